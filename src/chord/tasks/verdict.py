"""What a task says about one completion, and the reward scheme of the paper that tasks share."""

from typing import NamedTuple

# Appendix A.2 of arXiv 2508.11408: right, wrong but readable, no readable answer, cut off before an answer.
CORRECT, WRONG, UNPARSED, TRUNCATED = 1.0, 0.0, -0.1, -1.0


class GraderError(RuntimeError):
    """The grader itself failed on a completion. Never a score of 0: that would be a statement about the model."""


class Verdict(NamedTuple):
    """reward: what RL sees; correct: what accuracy counts; parsed: an answer was found; reason: one word for tables."""

    reward: float
    correct: bool
    parsed: bool
    reason: str


def judge(answer: str | None, gold: str, truncated: bool) -> Verdict:
    """Verdict of an extracted answer (None: not found) that must equal `gold` as text."""
    if answer is None:
        return (
            Verdict(TRUNCATED, False, False, "truncated") if truncated else Verdict(UNPARSED, False, False, "unparsed")
        )
    return Verdict(CORRECT, True, True, "correct") if answer == gold else Verdict(WRONG, False, True, "wrong")
