"""Task `math_trinity`: the reward of the public code (Trinity-RFT, `MathBoxedRewardFn` with_think), same prompt.

Accuracy (1 or 0) less 0.1 without exactly one pair of think tags: a right answer can get 0.9, and there is no penalty
for a response that was cut off. Accuracy here is by the same grader as task `math`; the public code compares
normalised strings.
"""

from collections.abc import Iterable, Iterator

from chord.tasks.answers import extraction
from chord.tasks.math import check, judged, messages
from chord.tasks.verdict import Verdict

__all__ = ["check", "messages", "verdict", "verdicts"]

FORMAT_PENALTY = 0.1


def verdict(row: dict, text: str, truncated: bool) -> Verdict:
    return next(verdicts([(row, text, truncated)]))


def verdicts(items: Iterable[tuple[dict, str, bool]]) -> Iterator[Verdict]:
    """Verdicts in order; GraderError names a row whose gold cannot be used."""
    for text, truncated, judgement in judged(items):
        correct = judgement is not None and judgement.correct
        reward = float(correct) - (0.0 if extraction.is_well_formed(text) else FORMAT_PENALTY)
        missing = "truncated" if truncated else "unparsed"
        yield Verdict(reward, correct, judgement is not None, judgement.reason if judgement else missing)
