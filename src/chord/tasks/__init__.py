"""Tasks: how a completion is judged. One module a task; a new one is a module with `verdict` and a line in TASKS.

A task of dataset rows has a line in PROMPTS besides; the other tables are for tasks that need them.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from chord.errors import GraderError, UserError
from chord.tasks import (
    bfcl,
    choice,
    math,
    math_trinity,
    mmlu_pro,
    mmlu_pro_letter,
    mmlu_pro_official,
    rubric,
    tool_call,
)
from chord.tasks.verdict import CORRECT, WRONG, Verdict
from chord.world import task as world

if TYPE_CHECKING:  # the types only: scoring must not load transformers
    from transformers import PreTrainedTokenizerBase

    from chord.rollouts import Sample

Item = tuple[dict, str, bool]  # row, response, truncated: it hit the length limit before its end token

TASKS: dict[str, Callable[[dict, str, bool], Verdict]] = {
    "bfcl": bfcl.verdict,
    "choice": choice.verdict,
    "math": math.verdict,
    "math_trinity": math_trinity.verdict,
    "mmlu_pro": mmlu_pro.verdict,
    "mmlu_pro_letter": mmlu_pro_letter.verdict,
    "rubric": rubric.verdict,
    "tool_call": tool_call.verdict,
    "world": world.verdict,
}
# Tasks of dataset rows: the chat messages around a row's content.
PROMPTS: dict[str, Callable[..., list[dict]]] = {
    "bfcl": bfcl.messages,
    "math": math.messages,
    "math_trinity": math_trinity.messages,
    "mmlu_pro": mmlu_pro.messages,
    "mmlu_pro_letter": mmlu_pro_letter.messages,
    "rubric": rubric.messages,
    "tool_call": tool_call.messages,
}
# Tasks that cannot use every reference: an error for a row by which no answer could be judged.
CHECKS: dict[str, Callable[[dict], None]] = {
    "math": math.check,
    "math_trinity": math_trinity.check,
    "rubric": rubric.check,
}
# Tasks that judge many responses faster than one by one.
MANY: dict[str, Callable[[Iterable[Item]], Iterator[Verdict]]] = {
    "math": math.verdicts,
    "math_trinity": math_trinity.verdicts,
    "rubric": rubric.verdicts,
}
# Of tasks for which the benchmark's authors publish how they read an answer: whether it is right by that.
OFFICIAL: dict[str, Callable[[dict, str], bool]] = {
    "mmlu_pro": mmlu_pro_official.correct,
    "mmlu_pro_letter": mmlu_pro_official.correct,
}
# Of tasks whose verdicts hang on something outside the code.
RECORDS: dict[str, Callable[[], dict]] = {"rubric": rubric.record}
BLOCK_ITEMS = 8192  # judged at a time: bounds memory, changes no verdict

__all__ = [
    "CORRECT",
    "PROMPTS",
    "TASKS",
    "WRONG",
    "Verdict",
    "fault",
    "grading_record",
    "judge_samples",
    "official_correct",
    "verdict",
    "verdicts",
]


def verdict(row: dict, text: str, truncated: bool) -> Verdict:
    """Judge the response `text` by its row's own task; truncated: it hit the length limit before its end token."""
    return next(verdicts([(row, text, truncated)]))


def verdicts(items: Iterable[Item]) -> Iterator[Verdict]:
    """Judge many responses, each by its row's own task, in order.

    A task that fails is a GraderError that names the row, never a verdict.
    """
    items = iter(items)
    while block := list(islice(items, BLOCK_ITEMS)):
        places: dict[str, list[int]] = {}
        for place, (row, _, _) in enumerate(block):
            places.setdefault(_known_task(row), []).append(place)
        judged: dict[int, Verdict] = {}
        for task, members in places.items():
            judge = MANY.get(task) or _one_by_one
            judged.update(zip(members, judge(block[place] for place in members), strict=True))
        yield from (judged[place] for place in range(len(block)))


def official_correct(row: dict, text: str) -> bool | None:
    """Whether a response is right as the authors of its benchmark read it; None where no such reading is known."""
    official = OFFICIAL.get(_known_task(row))
    return official(row, text) if official else None


def fault(row: dict) -> str | None:
    """Why no answer to this row could be judged, in words: its task cannot use its reference. None where it can."""
    check = CHECKS.get(_known_task(row))
    try:
        if check:
            check(row)
    except (GraderError, UserError) as error:
        return str(error)
    return None


def _known_task(row: dict) -> str:
    task = row.get("task")
    if task not in TASKS:
        known = ", ".join(sorted(TASKS))
        raise UserError(f"row {row.get('id')!r}: task {task!r} is unknown; expected one of {known}")
    return task


def _one_by_one(items: Iterable[Item]) -> Iterator[Verdict]:
    for row, text, truncated in items:
        try:
            yield TASKS[row["task"]](row, text, truncated)
        except (UserError, GraderError):
            raise
        except Exception as error:
            shown = f"row {row['id']!r}: the grader of task {row['task']!r} failed on the response {text[:80]!r}"
            raise GraderError(shown) from error


def judge_samples(
    tokenizer: "PreTrainedTokenizerBase", rows: Iterable[dict], samples: "list[Sample]"
) -> list[tuple[str, Verdict]]:
    """Text (`chord.rollouts.chat.response_texts`) and verdict of each sample; rows: the row of each sample."""
    from chord.rollouts.chat import response_texts  # graders alone need none of it

    texts = response_texts(tokenizer, [sample.token_ids for sample in samples])
    items = [(row, text, sample.truncated) for row, text, sample in zip(rows, texts, samples, strict=True)]
    return list(zip(texts, verdicts(items), strict=True))


def grading_record(tasks: Iterable[str]) -> dict[str, dict]:
    """What verdicts hang on beside the code (a judge model), by task, for those of `tasks` that have such a record."""
    return {task: RECORDS[task]() for task in sorted(RECORDS.keys() & set(tasks))}
