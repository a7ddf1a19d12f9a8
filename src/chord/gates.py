"""Gates: bounds on what is measured of a start model."""

import logging

from chord.settings import Settings

log = logging.getLogger(__name__)


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
