"""Tasks: how a row becomes a prompt and how a response is judged. Each task is one object, a `Task`.

To add one, write a module with its object and a line in `registry`. An installed package adds one by an entry point of
the group `chord.tasks`. Neither torch nor transformers is imported here.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from chord.errors import GraderError, UserError
from chord.tasks.registry import GROUP, TASKS, find_task, known_tasks, task_hashes
from chord.tasks.task import CORRECT, WRONG, Item, Task, Verdict

if TYPE_CHECKING:  # the types only: scoring must not load transformers
    from transformers import PreTrainedTokenizerBase

    from chord.rollouts import Sample

BLOCK_ITEMS = 8192  # judged at a time: bounds memory, changes no verdict

__all__ = [
    "CORRECT",
    "GROUP",
    "TASKS",
    "WRONG",
    "Task",
    "Verdict",
    "fault",
    "find_task",
    "grading_record",
    "judge_samples",
    "known_tasks",
    "official_correct",
    "task_hashes",
    "tasks_of",
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
            places.setdefault(_task_of(row).name, []).append(place)
        verdict_at: dict[int, Verdict] = {}
        for name, members in places.items():
            verdict_at.update(zip(members, find_task(name).verdicts(block[place] for place in members), strict=True))
        yield from (verdict_at[place] for place in range(len(block)))


def official_correct(row: dict, text: str) -> bool | None:
    """Whether a response is right by the extraction of its benchmark's authors; None if they published none."""
    official = _task_of(row).official
    return official(row, text) if official else None


def fault(row: dict) -> str | None:
    """Why no answer to this row can be judged: its task cannot use its reference. None if it can."""
    check = _task_of(row).check
    try:
        if check:
            check(row)
    except (GraderError, UserError) as error:
        return str(error)
    return None


def judge_samples(
    tokenizer: "PreTrainedTokenizerBase", rows: Iterable[dict], samples: "list[Sample]"
) -> list[tuple[str, Verdict]]:
    """Text (`chord.rollouts.chat.response_texts`) and verdict of each sample; rows: the row of each sample."""
    from chord.rollouts.chat import response_texts  # graders alone need none of it

    texts = response_texts(tokenizer, [sample.token_ids for sample in samples])
    items = [(row, text, sample.truncated) for row, text, sample in zip(rows, texts, samples, strict=True)]
    return list(zip(texts, verdicts(items), strict=True))


def grading_record(names: Iterable[str]) -> dict[str, dict]:
    """What the verdicts of each task depend on in addition to its code (a judge model), if it has such a record."""
    tasks = {name: find_task(name) for name in sorted(set(names))}
    return {name: task.record() for name, task in tasks.items() if task.record}


def tasks_of(rows: Iterable[dict]) -> set[str]:
    """Names of the tasks that judge these rows; UserError for a row whose task is unknown."""
    return {_task_of(row).name for row in rows}


def _task_of(row: dict) -> Task:
    try:
        return find_task(row.get("task"))
    except UserError as error:
        raise UserError(f"row {row.get('id')!r}: {error}") from None
