"""Cells and differences in the words of a table: entries (number, interval, marks), lines of the csv, notes below."""

from chord.analysis.catalogue import METRICS
from chord.analysis.specs import ALL, Column
from chord.analysis.tables.reported import PROVENANCE, Number
from chord.analysis.tables.table import Entry

SIGNIFICANT = 0.05
ONE_SEED = "‡"
ONE_SEED_NOTE = f"{ONE_SEED} one seed: the interval covers questions and decoding, not training."
MARK = "*"
PARTS = ("sd_decoding", "sd_questions", "sd_seeds")
FEW_QUESTIONS = 100  # below, the choice of questions alone may be worth a standard error of 5 points: sqrt(.25 / 100)


def number(value: float, metric: str, sign: bool = False) -> str:
    """One decimal, in percent for shares; lengths above 1000 tokens without decimals. A true minus sign."""
    scaled = value * METRICS[metric].scale
    digits = 0 if abs(scaled) >= 1000 else 1
    text = f"{scaled:+.{digits}f}" if sign else f"{scaled:.{digits}f}"
    if float(text) == 0.0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def count(value: float) -> str:
    """1234567 -> 1 234 567 with thin spaces; one decimal below 100."""
    text = f"{value:,.1f}" if abs(value) < 100 and value != round(value) else f"{value:,.0f}"
    return text.replace(",", "\u202f")


def plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def span(values: set[int]) -> str:
    return str(min(values)) if len(values) == 1 else f"{min(values)} to {max(values)}"


def _sizes(item: dict) -> str:
    samples = f", k = {item['k']}" if "k" in item else ""
    return f"{plural(item['n_seeds'], 'seed')}, {plural(item['n_questions'], 'question')}{samples}"


def _bounds(item: dict, metric: str, sign: bool = False) -> str:
    if item["low"] is None:
        return "[no interval: one question]"
    return f"[{number(item['low'], metric, sign)}, {number(item['high'], metric, sign)}]"


def estimate_entry(cell: dict | None, metric: str, paper: Number | None) -> Entry:
    note = f"{{{paper.value:g}, {PROVENANCE[paper.provenance]}}}" if paper else ""
    if cell is None:
        return Entry(note=note)
    marks = ONE_SEED if cell["n_seeds"] == 1 else ""
    return Entry(number(cell["estimate"], metric), _bounds(cell, metric), marks, note, _sizes(cell))


def difference_entry(item: dict | None, metric: str) -> Entry:
    if item is None:
        return Entry()
    decided = item["p_holm"] is not None and item["p_holm"] < SIGNIFICANT
    marks = (MARK if decided else "") + (ONE_SEED if item["n_seeds"] == 1 else "")
    undecided = not decided and item["detectable"] is not None
    note = f"d {number(item['detectable'], metric)}" if undecided else ""
    estimate = number(item["estimate"], metric, sign=True)
    return Entry(estimate, _bounds(item, metric, sign=True), marks, note, _sizes(item))


def without_parts(item: dict) -> dict:
    """A cell without the parts of its uncertainty, which have a table of their own."""
    return {key: value for key, value in item.items() if key not in PARTS}


def record(title: str, column: Column, metric: str, item: dict | None, paper: Number | None) -> dict:
    """One line of the csv: the item's own columns in full precision (shares as shares), and the paper's number."""
    line = {"title": title, "benchmark": column.benchmark, "group": column.group, "metric": metric}
    line |= without_parts(item or {"estimate": None, "low": None, "high": None, "n_questions": 0, "n_seeds": 0})
    if paper:
        line |= {
            "reported": paper.value / METRICS[metric].scale,
            "reported_provenance": paper.provenance,
            "reported_source": paper.source,
        }
    return line


def unit_note(metrics: tuple[str, ...]) -> str:
    (caption,) = {METRICS[metric].caption for metric in metrics}
    return f"{caption}; in brackets the 95 % interval over seeds and questions."


def size_notes(columns: list[Column], used: list[dict]) -> list[str]:
    """The numbers of questions of each column and of seeds, as a range if they differ."""
    questions = []
    for column in columns:
        counts = {x["n_questions"] for x in used if (x["benchmark"], x["group"]) == (column.benchmark, column.group)}
        if counts:
            questions.append(f"{column.title} {span(counts)}")
    notes = [f"Questions: {', '.join(questions)}.", f"Seeds: {span({item['n_seeds'] for item in used})}."]
    if any(item["n_seeds"] == 1 for item in used):
        notes.append(ONE_SEED_NOTE)
    return notes


def decoding_note(columns: list[Column], decodings: dict[str, dict]) -> str:
    """How the answers were sampled, and how often: name and numbers of each benchmark's decoding."""
    benchmarks: dict[str, list[str]] = {}
    for name, title in benchmark_titles(columns).items():
        if name in decodings:
            benchmarks.setdefault(_decoding_text(decodings[name]), []).append(title)
    text = "; ".join(f"{', '.join(titles)}: {decoding}" for decoding, titles in benchmarks.items())
    return f"Decoding: {text}." if text else ""


def _decoding_text(decoding: dict) -> str:
    numbers = f"k = {decoding['k']}, temperature {decoding['temperature']:g}, top-p {decoding['top_p']:g}"
    return f"{decoding['name']}, {numbers}, at most {count(decoding['max_response_tokens'])} tokens"


def benchmark_titles(columns: list[Column]) -> dict[str, str]:
    """Benchmark -> heading of its column of all questions, or its name if the table has no such column."""
    titles = {column.benchmark: column.benchmark for column in columns}
    return titles | {column.benchmark: column.title for column in columns if column.group == ALL}


def few_questions_notes(columns: list[Column], metric: str, differences: list[dict]) -> list[str]:
    """For each benchmark of few questions, the true differences that its comparisons could have detected."""
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
