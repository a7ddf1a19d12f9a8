"""A verdict has three values: yes, no and undecided (None), which is never rewarded."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Verdict = bool | None
T = TypeVar("T")


def every(verdicts: Iterable[Verdict]) -> Verdict:
    members = list(verdicts)
    return False if False in members else None if None in members else True


def either(verdicts: Iterable[Verdict]) -> Verdict:
    members = list(verdicts)
    return True if True in members else None if None in members else False


def in_order(gold: Sequence[T], answer: Sequence[T], compare: Callable[[T, T], Verdict]) -> Verdict:
    """Whether both sequences have the same members in the same order."""
    if len(gold) != len(answer):
        return False
    return every(compare(*pair) for pair in zip(gold, answer, strict=True))


def in_any_order(gold: Sequence[T], answer: Sequence[T], compare: Callable[[T, T], Verdict]) -> Verdict:
    """Whether each member of the reference can be paired with a different member of the answer."""
    if len(gold) != len(answer):
        return False
    verdicts = [[compare(one, other) for other in answer] for one in gold]
    if _match(verdicts, lambda verdict: verdict is True):
        return True
    return None if _match(verdicts, lambda verdict: verdict is not False) else False


def _match(verdicts: list[list[Verdict]], fits: Callable[[Verdict], bool]) -> bool:
    """Whether rows and columns can be paired (Kuhn's algorithm)."""
    partner: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for column, verdict in enumerate(verdicts[row]):
            if fits(verdict) and column not in tried:
                tried.add(column)
                if column not in partner or place(partner[column], tried):
                    partner[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(verdicts)))
