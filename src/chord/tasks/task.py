"""A task: how a row of a dataset is put as a prompt, and what a response to it is worth.

The rewards are those of the paper (appendix A.2 of arXiv 2508.11408); tasks with rewards of their own say so.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from chord.errors import GraderError, UserError

# Right, wrong but readable, no readable answer, cut off before an answer.
CORRECT, WRONG, UNPARSED, TRUNCATED = 1.0, 0.0, -0.1, -1.0
# Reasons of answers that were shown to be neither right nor wrong. They are never rewarded.
UNDECIDED = ("undecided", "too_complex", "grader_timeout", "grader_crash", "grader_error")

Item = tuple[dict, str, bool]  # row, response, truncated: it hit the length limit before its end token


class Verdict(NamedTuple):
    """reward: what RL sees; correct: what accuracy counts; parsed: an answer was found; reason: one word for tables."""

    reward: float
    correct: bool
    parsed: bool
    reason: str


def answer_part(text: str) -> str:
    """What follows the last `</think>`: all of it where no thinking is marked, nothing where it never ends."""
    part = text.rpartition("</think>")[2]
    return "" if "<think>" in part else part


def compare(answer: str | None, gold: str, truncated: bool) -> Verdict:
    """Verdict on an extracted answer (None: there is none), which must equal `gold` as text."""
    if answer is None:
        reward, reason = (TRUNCATED, "truncated") if truncated else (UNPARSED, "unparsed")
        return Verdict(reward, False, False, reason)
    return Verdict(CORRECT, True, True, "correct") if answer == gold else Verdict(WRONG, False, True, "wrong")


@dataclass(frozen=True)
class Task:
    """One task, all of it. Only a name and `judge` are necessary.

    judge: the verdict on (row, response, truncated).
    render: the chat messages around what a dataset has of a question. None: the rows come with their messages.
    takes: what `render` takes, in order: a question, or a question and a list of options. Tasks that take anything
        else are asked with messages that are ready.
    judge_many: verdicts on many items, in order, where this is faster than one by one.
    check: raises GraderError or UserError for a row by which no answer could be judged.
    official: whether (row, response) is right as the authors of the benchmark publish that they read it.
    record: what the verdicts depend on outside of the code, such as the name of a judge model.
    makes_rows: its rows have a source of their own; a map of any dataset's columns cannot give them.
    code: for our own tasks, the source that decides the verdicts: files and folders below src/chord. Editing it ends
        what was judged by it, and nothing else. A plug-in's whole package counts.
    """

    name: str
    judge: Callable[[dict, str, bool], Verdict]
    render: Callable[..., list[dict]] | None = None
    takes: tuple[str, ...] = ("question",)
    judge_many: Callable[[Iterable[Item]], Iterator[Verdict]] | None = None
    check: Callable[[dict], None] | None = None
    official: Callable[[dict, str], bool] | None = None
    record: Callable[[], dict] | None = None
    makes_rows: bool = False
    code: tuple[str, ...] = ()

    def verdicts(self, items: Iterable[Item]) -> Iterator[Verdict]:
        """Verdicts on many items, in order; GraderError names the row where the task fails."""
        return self.judge_many(items) if self.judge_many else self._one_by_one(items)

    def _one_by_one(self, items: Iterable[Item]) -> Iterator[Verdict]:
        for row, text, truncated in items:
            try:
                yield self.judge(row, text, truncated)
            except (UserError, GraderError):
                raise
            except Exception as error:
                shown = f"row {row['id']!r}: the grader of task {self.name!r} failed on the response {text[:80]!r}"
                raise GraderError(shown) from error
