"""Tasks: how a completion is judged. One module a task; a new one is a module with `verdict` and a line in TASKS."""

from collections.abc import Callable

from chord.errors import UserError
from chord.tasks import choice, world
from chord.tasks.verdict import CORRECT, WRONG, Verdict

TASKS: dict[str, Callable[[dict, str, bool], Verdict]] = {"choice": choice.verdict, "world": world.verdict}

__all__ = ["CORRECT", "TASKS", "WRONG", "Verdict", "verdict"]


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
