"""Draws SFT, RL and validation prompts from pools: seeded, disjoint, and without test questions.

A hash of its id gives every row its own place in each draw: a larger draw begins with the rows of a smaller one. The
order of the files changes nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from chord.data.contamination import Report, TestQuestion, TestQuestions
from chord.data.pool import Pool
from chord.data.row_format import question_of
from chord.errors import UserError
from chord.io.seeds import derive_seed

VALIDATION = "validation"
PRIMING = "priming"


@dataclass(frozen=True)
class Draw:
    splits: dict[str, list[dict]]
    available: dict[str, int]  # number of rows from which each split was drawn
    contamination: Report


def draw_splits(
    sft: Pool, rl: Pool, sizes: Mapping[str, int], benchmarks: Mapping[str, list[dict]], seed: int, draw: int
) -> Draw:
    """Draw the three splits. sft and rl may be the same pool. benchmarks: name -> rows that no split may repeat.

    Validation is drawn first, from the rows that RL may use, and is the same in every draw. Its near-duplicates are
    then excluded from the other two splits, as for a benchmark. SFT is drawn before RL, as in the authors' script.
    """
    report = Report([*benchmarks, VALIDATION])
    questions = question_index(benchmarks)
    pools = [sft] if sft is rl else [sft, rl]
    for pool in pools:
        _keep(pool, lambda row: _is_clean(row, questions, report))
        _drop_repeated(pool)
    available = {VALIDATION: sum(rl.for_rl)}
    order = draw_order(seed, VALIDATION)
    validation = take(VALIDATION, [row for row, good in zip(rl.rows, rl.for_rl, strict=True) if good], sizes, order, rl)

    validation_questions = question_index({VALIDATION: validation})
    drawn_ids = {row["id"] for row in validation}
    for pool in pools:
        if pool is rl:  # this pool contains the validation rows themselves
            _keep(pool, lambda row: row["id"] not in drawn_ids, count_drops=False)
        _keep(pool, lambda row: _is_clean(row, validation_questions, report))
    available["sft"] = len(sft.rows)
    sft_rows = take("sft", sft.rows, sizes, draw_order(seed, "sft", draw), sft)
    sft_questions = {_question_key(row) for row in sft_rows}
    rl_rows = [
        row for row, good in zip(rl.rows, rl.for_rl, strict=True) if good and _question_key(row) not in sft_questions
    ]
    available["rl"] = len(rl_rows)
    prompts = take("rl", rl_rows, sizes, draw_order(seed, "rl", draw), rl)
    return Draw({"sft": sft_rows, "rl": prompts, VALIDATION: validation}, available, report)


def question_index(benchmarks: Mapping[str, list[dict]]) -> TestQuestions:
    return TestQuestions(
        TestQuestion(name, row["id"], question_of(row)) for name, rows in benchmarks.items() for row in rows
    )


def _question_key(row: dict) -> str:
    return " ".join(question_of(row).casefold().split())


def _is_clean(row: dict, questions: TestQuestions, report: Report) -> bool:
    if matches := questions.matches(question_of(row)):
        report.drop(row["id"], matches)
    return not matches


def _keep(pool: Pool, condition: Callable[[dict], bool], count_drops: bool = True) -> None:
    flags = [condition(row) for row in pool.rows]
    if count_drops:
        pool.drops["contaminated"] += flags.count(False)
    _select(pool, flags)


def _drop_repeated(pool: Pool) -> None:
    """Keep only the first row of each id and of each question."""
    ids: set[str] = set()
    questions: set[str] = set()
    flags = []
    for row in pool.rows:
        new = row["id"] not in ids and _question_key(row) not in questions
        flags.append(new)
        if new:
            ids.add(row["id"])
            questions.add(_question_key(row))
    pool.drops["repeated"] += flags.count(False)
    _select(pool, flags)


def _select(pool: Pool, flags: Iterable[bool]) -> None:
    flags = list(flags)
    pool.rows = [row for row, keep in zip(pool.rows, flags, strict=True) if keep]
    pool.for_rl = [good for good, keep in zip(pool.for_rl, flags, strict=True) if keep]


def draw_order(seed: int, *purpose: str | int) -> Callable[[dict], int]:
    """The place of each row in one draw."""
    return lambda row: derive_seed(seed, "draw", *purpose, row["id"])


def take(
    split: str, rows: list[dict], sizes: Mapping[str, int], order: Callable[[dict], int], pool: Pool
) -> list[dict]:
    """`sizes[split]` of the rows, in this order; UserError where there are fewer."""
    if len(rows) < sizes[split]:
        why = ", ".join(f"{reason} {count:,}" for reason, count in sorted((+pool.drops).items())) or "nothing"
        raise UserError(
            f"{split}: expected {sizes[split]:,} rows, but only {len(rows):,} are left of {pool.rows_read:,} "
            f"(dropped: {why}); ask for fewer"
        )
    return sorted(rows, key=order)[: sizes[split]]
