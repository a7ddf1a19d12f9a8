"""What a task says about one completion, and the reward scheme of the paper that tasks share."""

from typing import NamedTuple

# Appendix A.2 of arXiv 2508.11408: right, wrong but readable, no readable answer, cut off before an answer.
CORRECT, WRONG, UNPARSED, TRUNCATED = 1.0, 0.0, -0.1, -1.0
# Reasons of answers that were shown to be neither right nor wrong. They are never rewarded.
UNDECIDED = ("undecided", "too_complex", "grader_timeout", "grader_crash", "grader_error")


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
