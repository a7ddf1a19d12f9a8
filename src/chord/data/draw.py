"""SFT, RL and validation prompts drawn from pools: seeded, disjoint, and none of them a test question.

Every row has a place of its own in each draw, from a hash of its id: more rows keep the first ones, and the order of
the files changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from chord.data.contamination import Report, TestQuestion, TestQuestions
from chord.data.pool import Pool
from chord.data.row_format import question_of
from chord.errors import UserError
from chord.io.seeds import derive_seed

VALIDATION = "validation"


@dataclass(frozen=True)
class Drawn:
    splits: dict[str, list[dict]]
    left: dict[str, int]  # rows that each split could have been drawn from
    contamination: Report


def draw_splits(
    sft: Pool, rl: Pool, sizes: Mapping[str, int], benchmarks: Mapping[str, list[dict]], seed: int, draw: int
) -> Drawn:
    """sft and rl: pools, which may be one and the same. benchmarks: name -> rows that no split may repeat.

    Validation comes first, from what RL may use, and is the same in every draw; its near-duplicates are then kept out
    of the other two like those of a benchmark. SFT comes before RL, as in the authors' script.
    """
    report = Report([*benchmarks, VALIDATION])
    questions = TestQuestions(_questions(benchmarks))
    pools = [sft] if sft is rl else [sft, rl]
    for pool in pools:
        _keep(pool, lambda row: _clean(row, questions, report))
        _drop_repeated(pool)
    left = {VALIDATION: sum(rl.for_rl)}
    order = _order(seed, VALIDATION)
    validation = _take(
        VALIDATION, [row for row, good in zip(rl.rows, rl.for_rl, strict=True) if good], sizes, order, rl
    )

    own = TestQuestions(_questions({VALIDATION: validation}))
    drawn_ids = {row["id"] for row in validation}
    for pool in pools:
        if pool is rl:  # they are in the pool themselves
            _keep(pool, lambda row: row["id"] not in drawn_ids, counted=False)
        _keep(pool, lambda row: _clean(row, own, report))
    left["sft"] = len(sft.rows)
    chosen = _take("sft", sft.rows, sizes, _order(seed, "sft", draw), sft)
    taken = {_same(row) for row in chosen}
    rest = [row for row, good in zip(rl.rows, rl.for_rl, strict=True) if good and _same(row) not in taken]
    left["rl"] = len(rest)
    prompts = _take("rl", rest, sizes, _order(seed, "rl", draw), rl)
    return Drawn({"sft": chosen, "rl": prompts, VALIDATION: validation}, left, report)


def _questions(rows_by_name: Mapping[str, list[dict]]) -> Iterator[TestQuestion]:
    for name, rows in rows_by_name.items():
        for row in rows:
            yield TestQuestion(name, row["id"], question_of(row))


def _same(row: dict) -> str:
    return " ".join(question_of(row).casefold().split())


def _clean(row: dict, questions: TestQuestions, report: Report) -> bool:
    if match := questions.matches(question_of(row)):
        report.drop(row["id"], match)
    return not match


def _keep(pool: Pool, wanted: Callable[[dict], bool], counted: bool = True) -> None:
    marks = [wanted(row) for row in pool.rows]
    if counted:
        pool.dropped["contaminated"] += marks.count(False)
    _select(pool, marks)


def _drop_repeated(pool: Pool) -> None:
    """The first row of each id and of each question stays."""
    ids: set[str] = set()
    questions: set[str] = set()
    marks = []
    for row in pool.rows:
        new = row["id"] not in ids and _same(row) not in questions
        marks.append(new)
        if new:
            ids.add(row["id"])
            questions.add(_same(row))
    pool.dropped["repeated"] += marks.count(False)
    _select(pool, marks)


def _select(pool: Pool, marks: Iterable[bool]) -> None:
    marks = list(marks)
    pool.rows = [row for row, keep in zip(pool.rows, marks, strict=True) if keep]
    pool.for_rl = [good for good, keep in zip(pool.for_rl, marks, strict=True) if keep]


def _order(seed: int, *purpose: str | int) -> Callable[[dict], int]:
    return lambda row: derive_seed(seed, "draw", *purpose, row["id"])


def _take(
    split: str, rows: list[dict], sizes: Mapping[str, int], order: Callable[[dict], int], pool: Pool
) -> list[dict]:
    if len(rows) < sizes[split]:
        why = ", ".join(f"{reason} {count:,}" for reason, count in sorted((+pool.dropped).items())) or "nothing"
        raise UserError(
            f"{split}: expected {sizes[split]:,} rows, but only {len(rows):,} are left of {pool.read:,} "
            f"(dropped: {why}); ask for fewer"
        )
    return sorted(rows, key=order)[: sizes[split]]
