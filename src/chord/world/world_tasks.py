"""Tasks of the synthetic world: `world`, its arithmetic, and `choice`, the skills' questions with numbered options.

Each counts the end of a response only: words after the answer make it unreadable, so that it cannot be hedged.
"""

import re

from chord.tasks.task import Task, Verdict, compare

_DIGITS = re.compile(r"\banswer (\d) (\d)\s*$")
_OPTION = re.compile(r"\boption (\d+)\s*$")


def _judge_world(row: dict, text: str, truncated: bool) -> Verdict:
    """Two digits after the word "answer"."""
    answer = _DIGITS.search(text)
    return compare(" ".join(answer.groups()) if answer else None, row["gold"], truncated)


def _judge_choice(row: dict, text: str, truncated: bool) -> Verdict:
    """The number of the right option after the word "option"."""
    answer = _OPTION.search(text)
    return compare(answer.group(1) if answer else None, row["gold"], truncated)


WORLD = Task("world", _judge_world, makes_rows=True, code=("world/world_tasks.py",))
CHOICE = Task("choice", _judge_choice, makes_rows=True, code=("world/world_tasks.py",))
