"""Tasks: how a completion is judged. One module a task; a new one is a module with `verdict` and a line in TASKS."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from chord.errors import UserError
from chord.tasks import bfcl, choice, mmlu_pro, mmlu_pro_letter, rubric, tool_call, world
from chord.tasks.verdict import CORRECT, WRONG, Verdict

if TYPE_CHECKING:  # the types only: scoring must not load transformers
    from transformers import PreTrainedTokenizerBase

    from chord.rollouts import Sample

TASKS: dict[str, Callable[[dict, str, bool], Verdict]] = {
    "bfcl": bfcl.verdict,
    "choice": choice.verdict,
    "mmlu_pro": mmlu_pro.verdict,
    "mmlu_pro_letter": mmlu_pro_letter.verdict,
    "rubric": rubric.verdict,
    "tool_call": tool_call.verdict,
    "world": world.verdict,
}
# Of tasks whose verdicts hang on something outside the code.
RECORDS: dict[str, Callable[[], dict]] = {"rubric": rubric.record}

__all__ = ["CORRECT", "TASKS", "WRONG", "Verdict", "grading_record", "judge_samples", "verdict"]


def verdict(row: dict, text: str, truncated: bool) -> Verdict:
    """Judge the response `text` by its row's own task; truncated: it hit the length limit before its end token."""
    try:
        judge = TASKS[row["task"]]
    except KeyError:
        known = ", ".join(sorted(TASKS))
        raise UserError(
            f"row {row.get('id')!r}: task {row.get('task')!r} is unknown; expected one of {known}"
        ) from None
    return judge(row, text, truncated)


def judge_samples(
    tokenizer: "PreTrainedTokenizerBase", rows: Iterable[dict], samples: "list[Sample]"
) -> list[tuple[str, Verdict]]:
    """Text (without end token and other special ones) and verdict of each sample; rows: the row of each sample."""
    texts = tokenizer.batch_decode([sample.token_ids for sample in samples], skip_special_tokens=True)
    return [
        (text, verdict(row, text, sample.truncated)) for row, text, sample in zip(rows, texts, samples, strict=True)
    ]


def grading_record(tasks: Iterable[str]) -> dict[str, dict]:
    """What verdicts hang on beside the code (a judge model), by task, for those of `tasks` that have such a record."""
    return {task: RECORDS[task]() for task in sorted(RECORDS.keys() & set(tasks))}
