"""Draws the compute frontier: every method's line over tokens, with its name at the line's end instead of a legend."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from chord.analysis.catalogue import FigureDefinition
from chord.analysis.figures.curves import Curve
from chord.analysis.figures.frontier import frontier
from chord.analysis.figures.looks import STYLE, Drawing, band, line, looks, seeds_note, title_of
from chord.analysis.tables.costs import Run

END_SIZE = 8  # points
# Where a name may stand beside its point: offset in points, alignment.
SIDES = tuple(
    (x, y, horizontal, vertical)
    for distance in (8, 16, 26, 38)
    for x, y, horizontal, vertical in (
        (distance, 0, "left", "center"),
        (0, distance, "center", "bottom"),
        (0, -distance, "center", "top"),
        (distance, distance / 2, "left", "bottom"),
        (distance, -distance / 2, "left", "top"),
    )
)


def draw_frontier(
    definition: FigureDefinition,
    runs: Mapping[str, Mapping[int, Run]],
    titles: Mapping[str, str],
    chains: Mapping[str, Sequence[str]],
) -> Drawing:
    """One line for each method over all tokens spent on it, named where it ends. runs: method -> seed index -> run."""
    (panel,) = definition.panels
    look = looks(titles)
    found = {method: frontier(runs, chains[method], panel.column) for method in titles}
    unit, unit_name = _token_unit(max(item.own.x[-1] for item in found.values()))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 4.6), layout="constrained")
        axis = figure.subplots()
        names, ends = [], []
        for method, item in found.items():
            own = Curve(item.own.x / unit, item.own.values * 100.0, item.own.seeds)
            x, y = float(own.x[-1]), float(own.mean[-1])
            colour = look[method].colour
            if item.lead:
                lead = np.array(item.lead) * (1 / unit, 100.0)
                axis.plot(*lead.T, color=colour, alpha=0.6, linewidth=0.8)
                axis.plot(*lead[-1], color=colour, marker="o", markersize=9, markerfacecolor="none", linestyle="none")
            band(axis, own, look[method], alpha=0.08)
            line(axis, own, look[method], titles[method])
            axis.plot(x, y, color=colour, marker=look[method].marker, markersize=END_SIZE, markeredgecolor="white")
            names.append(_name(axis, titles[method], (x, y), colour))
            ends.append(f"{titles[method]}: {y:.3g} % after {x:.3g} {unit_name} tokens.")
        axis.set_xlabel(f"Tokens trained and generated ({unit_name})")
        axis.set_ylabel(panel.label)
        axis.set_xlim(0, 1.16 * max(name.xy[0] for name in names))  # with room for the names of the last
        _place(figure, axis, names)
    parts = [
        title_of(definition),
        "Every token that led to these weights, trained or generated in rollouts; a method that starts from another's"
        " result goes on where that was delivered (thin line, open circle). Large markers: the last step.",
        seeds_note({len(item.own.seeds) for item in found.values()}),
    ]
    return Drawing(figure, " ".join(parts), " ".join([f"{definition.title}.", *ends]))


def _name(axis: Axes, text: str, point: tuple[float, float], colour: str) -> Annotation:
    """A method's name beside its point, darker than its line and with a white rim, so that it can be read on others."""
    dark = tuple(0.7 * part for part in to_rgb(colour))
    return axis.annotate(
        text,
        point,
        (0, 0),
        textcoords="offset points",
        color=dark,
        fontweight="bold",
        path_effects=[patheffects.withStroke(linewidth=2.5, foreground="white")],
        arrowprops={"arrowstyle": "-", "color": dark, "linewidth": 0.6, "shrinkA": 1, "shrinkB": END_SIZE / 2},
    )


def _token_unit(most: float) -> tuple[float, str]:
    return next((u for u in ((1e9, "billion"), (1e6, "million")) if most >= u[0]), (1e3, "thousand"))


def _place(figure: Figure, axis: Axes, names: Sequence[Annotation]) -> None:
    """Put each name on that side of its point where it covers least: ends and names first, then lines."""
    figure.draw_without_rendering()
    lines = np.concatenate([_dense(axis.transData.transform(drawn.get_xydata())) for drawn in axis.get_lines()])
    taken = [Bbox([end, end]).padded(END_SIZE) for end in axis.transData.transform([name.xy for name in names])]

    def covered(name: Annotation, side: tuple[float, float, str, str]) -> tuple[int, int]:
        _move(name, side)
        box = _box(name)
        outside = box.x1 > figure.bbox.x1 or box.y1 > axis.bbox.y1 or box.y0 < axis.bbox.y0
        inside = (lines > box.min).all(axis=1) & (lines < box.max).all(axis=1)
        return sum(box.overlaps(other) for other in taken) + outside, int(inside.sum())

    for name in sorted(names, key=lambda name: -name.xy[0]):
        _move(name, min(SIDES, key=lambda side, name=name: covered(name, side)))
        taken.append(_box(name))


def _box(name: Annotation) -> Bbox:
    return Text.get_window_extent(name).padded(2)  # an annotation's own counts the line to its point


def _dense(points: np.ndarray) -> np.ndarray:
    """(n, 2) corners of a line, with points between them."""
    between = np.linspace(0, len(points) - 1, 40 * len(points))
    return np.column_stack([np.interp(between, range(len(points)), values) for values in points.T])


def _move(name: Annotation, side: tuple[float, float, str, str]) -> None:
    *offset, horizontal, vertical = side
    name.set_position(offset)
    name.set(ha=horizontal, va=vertical)
