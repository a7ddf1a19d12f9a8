"""The notes under a table: units, how many questions and seeds, how the answers were sampled, what that can show."""

from chord.analysis.catalogue import METRICS
from chord.analysis.specs import ALL, Column
from chord.analysis.tables.entries import ONE_SEED, count, number, span

FEW_QUESTIONS = 100  # below, the choice of questions alone may be worth a standard error of 5 points: sqrt(.25 / 100)


def unit_note(metrics: tuple[str, ...]) -> str:
    (caption,) = {METRICS[metric].caption for metric in metrics}
    return f"{caption}; in brackets the 95 % interval over seeds and questions."


def size_notes(columns: list[Column], used: list[dict]) -> list[str]:
    """Questions of each column, and seeds; where they differ, the range."""
    questions = []
    for column in columns:
        counts = {x["n_questions"] for x in used if (x["benchmark"], x["group"]) == (column.benchmark, column.group)}
        if counts:
            questions.append(f"{column.title} {span(counts)}")
    notes = [f"Questions: {', '.join(questions)}.", f"Seeds: {span({item['n_seeds'] for item in used})}."]
    if any(item["n_seeds"] == 1 for item in used):
        notes.append(f"{ONE_SEED} one seed: the interval covers questions and decoding, not training.")
    return notes


def decoding_note(columns: list[Column], decodings: dict[str, dict]) -> str:
    """How the answers were sampled, and how often: name and numbers of each benchmark's decoding."""
    benchmarks: dict[str, list[str]] = {}
    for name, title in benchmark_titles(columns).items():
        if name in decodings:
            benchmarks.setdefault(_decoding_text(decodings[name]), []).append(title)
    found = "; ".join(f"{', '.join(titles)}: {text}" for text, titles in benchmarks.items())
    return f"Decoding: {found}." if found else ""


def _decoding_text(decoding: dict) -> str:
    numbers = f"k = {decoding['k']}, temperature {decoding['temperature']:g}, top-p {decoding['top_p']:g}"
    return f"{decoding['name']}, {numbers}, at most {count(decoding['max_response_tokens'])} tokens"


def benchmark_titles(columns: list[Column]) -> dict[str, str]:
    """Benchmark -> heading of its column of all questions; its name where the table has none."""
    titles = {column.benchmark: column.benchmark for column in columns}
    return titles | {column.benchmark: column.title for column in columns if column.group == ALL}


def few_questions_notes(columns: list[Column], metric: str, differences: list[dict]) -> list[str]:
    """What a benchmark of few questions can show at all: the true differences that its comparisons would have found."""
    notes = []
    for name, title in benchmark_titles(columns).items():
        rows = [
            row
            for row in differences
            if (row["benchmark"], row["group"], row["metric"]) == (name, ALL, metric)
            and row["n_questions"] < FEW_QUESTIONS
            and row["detectable"] is not None
        ]
        if rows:
            least, most = (number(bound(row["detectable"] for row in rows), metric) for bound in (min, max))
            unit = METRICS[metric].unit
            size = f"{least} {unit}" if least == most else f"{least} to {most} {unit}, depending on the methods"
            notes.append(
                f"{title} has {span({row['n_questions'] for row in rows})} questions: a single paired comparison on it"
                f" finds, with 80 % power, only true differences of at least {size}."
            )
    return notes
