"""The compute frontier: a method's validation accuracy against all tokens spent on it, those of its start included.

A point stands for one validation: x is the tokens (trained and generated, see `costs`) that led to these weights, y
their accuracy, both averaged over seeds at the same optimizer step. A run that starts from another run's result begins
at the tokens which that result has cost, so the cost of the start is on the same axis as its effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from chord.analysis.catalogue import FigureDefinition
from chord.analysis.figures.looks import STYLE, Drawing, band, line, looks, seeds_note, title_of
from chord.analysis.figures.run_curves import Curve, RunCurves, curve
from chord.analysis.tables.costs import Run, chains_of_runs, tokens_before, tokens_so_far
from chord.errors import UserError

END_SIZE = 8  # points
# Where a name can be placed beside its point: offset in points, alignment.
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


@dataclass(frozen=True)
class Frontier:
    """One method: the line of its own run, and the line (x, mean y) of its start, which other methods may share."""

    own: Curve
    lead: tuple[tuple[float, float], ...]


def frontier(runs: dict[str, dict[int, Run]], chain: Sequence[str], column: str) -> Frontier:
    """runs: method -> seed index -> run. chain: the methods that lead to the result, first to last."""
    chains = chains_of_runs(runs, chain)
    if not chains:
        raise UserError(f"no seed has a run of each of {', '.join(chain)}")
    own = _over_tokens(list(chains.values()), column)
    if len(chain) == 1:
        return Frontier(own, ())
    start = frontier({name: {seed: runs[name][seed] for seed in chains} for name in chain[:-1]}, chain[:-1], column)
    # As far as every seed's start went; a straight line leads from there to where this run begins.
    delivered = min(links[-2].delivered_step for links in chains.values())
    steps = curve([links[-2].curves for links in chains.values()], "step", column).x
    points = zip(start.own.x[steps <= delivered], start.own.mean[steps <= delivered], strict=True)
    return Frontier(
        own, (*start.lead, *((float(x), float(y)) for x, y in points), (float(own.x[0]), float(own.mean[0])))
    )


def _over_tokens(chains: list[list[Run]], column: str) -> Curve:
    """The last runs of the chains, lined up at the optimizer steps that all have; x is their mean tokens there."""
    runs = [_with_tokens(chain) for chain in chains]
    values, tokens = curve(runs, "step", column), curve(runs, "step", "tokens")
    return Curve(tokens.mean[np.isin(tokens.x, values.x)], values.values, values.seeds)


def _with_tokens(chain: list[Run]) -> RunCurves:
    """The curves of the chain's last run with a column of tokens, those of its start included."""
    run = chain[-1]
    columns = run.curves.columns | {"tokens": tokens_before(chain) + tokens_so_far(run)}
    return RunCurves(run.curves.path, run.curves.method, run.seed_index, columns)


def draw_frontier(
    definition: FigureDefinition,
    runs: Mapping[str, Mapping[int, Run]],
    titles: Mapping[str, str],
    chains: Mapping[str, Sequence[str]],
) -> Drawing:
    """One line per method over all tokens spent on it, with its name at the end. runs: method -> seed index -> run."""
    (panel,) = definition.panels
    look = looks(titles)
    frontiers = {method: frontier(runs, chains[method], panel.column) for method in titles}
    unit, unit_name = _token_unit(max(item.own.x[-1] for item in frontiers.values()))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 4.6), layout="constrained")
        axis = figure.subplots()
        names, ends = [], []
        for method, item in frontiers.items():
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
        seeds_note({len(item.own.seeds) for item in frontiers.values()}),
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
    """Put each name on the side of its point where it covers the fewest ends and names, and then the least of lines."""
    figure.draw_without_rendering()
    lines = np.concatenate([_dense(axis.transData.transform(part.get_xydata())) for part in axis.get_lines()])
    occupied = [Bbox([end, end]).padded(END_SIZE) for end in axis.transData.transform([name.xy for name in names])]

    def overlaps(name: Annotation, side: tuple[float, float, str, str]) -> tuple[int, int]:
        _move(name, side)
        box = _box(name)
        outside = box.x1 > figure.bbox.x1 or box.y1 > axis.bbox.y1 or box.y0 < axis.bbox.y0
        inside = (lines > box.min).all(axis=1) & (lines < box.max).all(axis=1)
        return sum(box.overlaps(other) for other in occupied) + outside, int(inside.sum())

    for name in sorted(names, key=lambda name: -name.xy[0]):
        _move(name, min(SIDES, key=lambda side, name=name: overlaps(name, side)))
        occupied.append(_box(name))


def _box(name: Annotation) -> Bbox:
    return Text.get_window_extent(name).padded(2)  # an annotation's own extent includes the line to its point


def _dense(points: np.ndarray) -> np.ndarray:
    """(n, 2) corners of a line, with points between them."""
    between = np.linspace(0, len(points) - 1, 40 * len(points))
    return np.column_stack([np.interp(between, range(len(points)), values) for values in points.T])


def _move(name: Annotation, side: tuple[float, float, str, str]) -> None:
    *offset, horizontal, vertical = side
    name.set_position(offset)
    name.set(ha=horizontal, va=vertical)
