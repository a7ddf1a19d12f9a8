"""The curves of the page's chart, in which a reader picks methods: means and deviations over seeds, for its script.

They are smoothed as in the figures, thinned, and rounded to what a chart can show, so that the page stays small.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from chord.analysis.catalogue import ACCURACY, ENTROPY, LENGTH, MU, REWARD, Panel
from chord.analysis.figures.looks import LOOKS, looks
from chord.analysis.figures.run_curves import RunCurves, curve, prepare, read_curves
from chord.analysis.specs import ReportComparison

PANELS = (ACCURACY, REWARD, ENTROPY, LENGTH, MU)
MOST_POINTS = 60
WIDTH = 2.0  # matplotlib counts dashes in line widths, SVG in pixels
SVG_LOOKS = [
    {
        "colour": look.colour,
        "dash": "" if isinstance(look.dashes, str) else " ".join(f"{WIDTH * length:g}" for length in look.dashes[1]),
    }
    for look in LOOKS
]


def chart(comparisons: Sequence[ReportComparison], folder: Path, seeds: Iterable[int]) -> dict | None:
    """What page.js draws; None before any run has curves. folder: results/<study>.

    `looks` has colours and dashes, `comparisons` the methods of each with their look, `panels` the curves of each
    method: steps, means and deviations (none of a single seed).
    """
    seeds = list(seeds)
    names = dict.fromkeys(method.name for item in comparisons for method in item.methods)
    runs = {name: found for name in names if (found := _runs(folder, name, seeds))}
    panels = [
        {"label": panel.label, "curves": {name: line for name, own in runs.items() if (line := _line(own, panel))}}
        for panel in PANELS
    ]
    panels = [panel for panel in panels if panel["curves"]]
    if not panels:
        return None
    return {
        "looks": SVG_LOOKS,
        "comparisons": [shown for item in comparisons if (shown := _comparison(item, runs))["methods"]],
        "panels": panels,
    }


def _runs(folder: Path, method: str, seeds: list[int]) -> list[RunCurves]:
    places = [folder / "runs" / method / f"seed-{seed}" for seed in seeds]
    return [read_curves(place) for place in places if (place / "curves.csv").exists()]


def _line(runs: list[RunCurves], panel: Panel) -> dict | None:
    """The curve of a method; None if a run has no such quantity, as SFT has no rewards."""
    if any(np.isnan(run.column(panel.column)).all() for run in runs):
        return None
    values, _ = prepare(curve(runs, "step", panel.column), panel)
    places = np.unique(np.linspace(0, len(values.x) - 1, MOST_POINTS).round().astype(int))
    deviation = values.deviation
    return {
        "x": [int(step) for step in values.x[places]],
        "mean": [_short(value) for value in values.mean[places]],
        "deviation": [] if deviation is None else [_short(value) for value in deviation[places]],
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def _comparison(item: ReportComparison, runs: dict[str, list[RunCurves]]) -> dict:
    titles = {method.name: method.title for method in item.methods if method.name in runs}
    own = {name: LOOKS.index(look) for name, look in looks(titles).items()}
    methods = [
        {"name": name, "title": title, "look": own[name], "seeds": len(runs[name])} for name, title in titles.items()
    ]
    return {"title": item.title, "methods": methods}
