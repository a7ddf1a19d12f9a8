"""What the models say: a few questions of one benchmark, with the first response of each method."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from chord.analysis.specs import ShownMethod
from chord.io import parquet
from chord.io.files import read_jsonl
from chord.io.seeds import derive_seed

QUESTIONS = 5
LONGEST = 1_500  # characters of a text on the page


@dataclass(frozen=True)
class Response:
    """A response, shortened, and its verdict."""

    method: str  # title
    text: str
    tokens: int
    correct: bool
    reason: str


@dataclass(frozen=True)
class AskedQuestion:
    """A question, shortened, its reference answer and the responses, in the order of the methods."""

    text: str
    gold: str
    responses: list[Response]


def read_samples(folder: Path, benchmark: str, methods: list[ShownMethod], seed_index: int) -> list[AskedQuestion]:
    """The questions that a hash of their ids puts first; none before the benchmark is prepared.

    folder: results/<study>. Methods that have not answered are left out; the report names them elsewhere.
    """
    path = folder / "data/benchmarks" / f"{benchmark}.jsonl"
    rows = read_jsonl(path) if path.exists() else []
    asked = sorted(rows, key=lambda row: derive_seed("samples", row["id"]))[:QUESTIONS]
    places = {method.title: folder / "runs" / method.name / f"seed-{seed_index}" / benchmark for method in methods}
    tables = {
        title: _first_responses(place)
        for title, place in places.items()
        if all(path.exists() for path in _files(place))
    }
    return [
        AskedQuestion(
            _shortened(row["messages"][-1]["content"]),
            _shortened(row["gold"]),
            [
                Response(title, _shortened(known["text"]), known["tokens"], known["correct"], known["reason"])
                for title, by_id in tables.items()
                if (known := by_id.get(row["id"]))
            ],
        )
        for row in asked
    ]


def _files(place: Path) -> tuple[Path, Path]:
    """Completions and scores."""
    return place.with_name(f"{place.name}.completions.parquet"), place.with_name(f"{place.name}.scores.parquet")


def _first_responses(place: Path) -> dict[str, dict]:
    """Id of a question -> text, tokens and verdict of its first sample."""
    completions, scores = (parquet.read(path) for path in _files(place))
    first = [table.filter(pc.equal(table["sample"], 0)).to_pylist() for table in (completions, scores)]
    texts = {row["prompt_id"]: row["text"] for row in first[0]}
    return {row["prompt_id"]: row | {"text": texts[row["prompt_id"]]} for row in first[1]}


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
