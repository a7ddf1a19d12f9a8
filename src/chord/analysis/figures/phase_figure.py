"""The phase diagram as maps: base models from left to right, methods from bottom to top, a number in every place.

Above, CHORD-phi against RL and CHORD-mu from the same base model, both on one scale of colours around 0. Below, what
these are differences of: the accuracy of every method; and the length of its responses, which tells how far it took
over the expert's style.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from chord.analysis.figures.figures import STYLE
from chord.analysis.figures.phase_map import PhaseMap
from chord.analysis.specs import Metric
from chord.analysis.tables.entries import MARK, SIGNIFICANT, number

DIFFERENCES, LEVELS = "RdBu", "cividis"  # red: worse, blue: better; both can be told apart by the colour-blind
SHORTEST_SCALE = 0.01  # a map without differences does not turn noise into full colours
CELL = (0.78, 0.36)  # inches


@dataclass(frozen=True)
class Panel:
    """rows[row][column], from the bottom and from the left: rows of cells or differences, None where there is none."""

    title: str
    metric: Metric
    rows: list[list[dict | None]]
    labels: list[str]
    signed: bool = False

    @property
    def values(self) -> np.ndarray:
        return np.array([[np.nan if item is None else item["estimate"] for item in row] for row in self.rows])


def panels(phase: PhaseMap) -> list[Panel]:
    bases, first = phase.spec.bases, phase.spec.bases[0]
    phi, mu, rl = first.chord_phi[0].method.title, first.chord_mu.title, first.rl.title
    mus = [f"μ = {value:g}" for value in phase.spec.mus]
    places = range(len(mus))
    against_rl = [[phase.difference(base.chord_phi[place].method, base.rl) for base in bases] for place in places]
    against_mu = [[phase.difference(base.chord_phi[place].method, base.chord_mu) for base in bases] for place in places]

    def levels(metric: Metric) -> list[list[dict | None]]:
        return [[phase.cell(base.methods[place], metric) for base in bases] for place in range(len(first.methods))]

    names = [rl, mu, *(f"{phi}, {label}" for label in mus)]
    return [
        Panel(f"{phi} minus {rl}, points", "accuracy", against_rl, mus, signed=True),
        Panel(f"{phi} minus {mu}, points", "accuracy", against_mu, mus, signed=True),
        Panel("Accuracy, %", "accuracy", levels("accuracy"), names),
        Panel("Response length, tokens", "response_tokens", levels("response_tokens"), names),
    ]


def draw(phase: PhaseMap) -> tuple[Figure, str]:
    """The figure and its caption."""
    shown = panels(phase)
    columns, heights = len(phase.spec.bases), [len(shown[0].rows), len(shown[2].rows)]
    width = 2 * max(columns, 4) * CELL[0] + 4.0
    with mpl.rc_context(STYLE | {"axes.grid": False, "axes.spines.left": False, "axes.spines.bottom": False}):
        figure = Figure(figsize=(width, sum(heights) * CELL[1] + 2.4), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True, height_ratios=heights)
        largest = np.nanmax(np.abs([panel.values for panel in shown[:2]]), initial=SHORTEST_SCALE)
        scale = Normalize(-largest, largest)
        for panel, axis in zip(shown, axes.flat, strict=True):
            _map(axis, panel, mpl.colormaps[DIFFERENCES if panel.signed else LEVELS], scale if panel.signed else None)
        for axis in axes[1]:
            ticks = [f"{base.exposure:g}\n{_logp(phase.marker_logp[base.name])}" for base in phase.spec.bases]
            axis.set_xticks(range(columns), ticks)
        figure.supxlabel(
            "Base model: exposure to the expert's style; mean log p of the expert's markers (nats)", size=9
        )
        points = Normalize(100 * scale.vmin, 100 * scale.vmax)
        figure.colorbar(ScalarMappable(points, DIFFERENCES), ax=axes[0], label="points", pad=0.01).outline.set_visible(
            False
        )
    return figure, _caption(phase)


def _map(axis: Axes, panel: Panel, colours: Colormap, scale: Normalize | None) -> None:
    values = np.ma.masked_invalid(panel.values)
    image = axis.imshow(values, cmap=colours, norm=scale, origin="lower", aspect="auto")
    axis.set_title(panel.title, loc="left", size=9)
    axis.set_yticks(range(len(panel.labels)), panel.labels)
    axis.tick_params(length=0)
    for row, items in enumerate(panel.rows):
        for column, item in enumerate(items):
            if item is None:
                continue
            text = number(item["estimate"], panel.metric, sign=panel.signed)
            if panel.signed and _below(item["p_holm"]):
                text += MARK
            ink = _ink(colours(image.norm(item["estimate"])))
            axis.text(column, row, text, ha="center", va="center", color=ink, size=8)
            if panel.signed and item["low"] is not None and (item["low"] > 0 or item["high"] < 0):
                axis.add_patch(
                    Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, edgecolor=ink, linewidth=1.4)
                )


def _below(p: float | None) -> bool:
    return p is not None and p < SIGNIFICANT


def _ink(colour: Sequence[float]) -> str:
    """Black or white, whichever stands out from the colour (red, green, blue, alpha)."""
    return "black" if np.dot(colour[:3], (0.299, 0.587, 0.114)) > 0.5 else "white"


def _logp(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _caption(phase: PhaseMap) -> str:
    seeds = sorted({row["n_seeds"] for row in phase.cells})
    counted = f"{seeds[-1]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return (
        f"Where CHORD-ϕ works: base models by their exposure to the expert's style, and μ ({phase.spec.title}; not in"
        " the paper). Above: paired differences in accuracy between methods from the same base model; a frame says that"
        f" the 95 % interval excludes 0, {MARK} that p < {SIGNIFICANT} after Holm's correction over the whole diagram."
        f" Below: the levels. Seeds: {counted}."
    )
