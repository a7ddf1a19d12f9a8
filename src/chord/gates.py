"""Gates: bounds on what is measured of a start model."""

import logging
from collections.abc import Sequence
from statistics import fmean

from chord.settings import Settings

log = logging.getLogger(__name__)


def solved_shares(correct: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """(avg@k, pass@k) over questions. correct: for each question whether each of its k samples is right."""
    return fmean(map(fmean, correct)), fmean(map(any, correct))


def missed_gates(figures: dict, gates: Settings) -> list[str]:
    """Log all gates, and return one line per gate whose figure is outside its bounds.

    gates: a field (low, high) for each gate; fields without a figure are settings of how gates are measured.
    """
    lines = []
    for name in type(gates).model_fields:
        if name not in figures:
            continue
        low, high = getattr(gates, name)
        log.info("gate %-12s %7.3f   wanted %g to %g", name, figures[name], low, high)
        if not low <= figures[name] <= high:
            lines.append(f"gate {name}: {figures[name]:.3f} is outside [{low}, {high}]")
    return lines
