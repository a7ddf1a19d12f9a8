"""Methods that differ in their token weight: what each weight makes of a token's probability, and what came of it.

Left, the weights that are functions of p, on a scale that stretches both ends: a line that falls to the left damps
tokens that surprise the policy, and one that falls to the right damps those that it has learned. Right, the accuracy of
each weight as it is, and with the same mean as all others (`equal_mass`). Methods without expert rows are lines.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from chord.analysis.catalogue import FIGURES
from chord.analysis.figures.looks import STYLE, Drawing, Look, looks, title_of
from chord.analysis.specs import ALL, Column, FigureSpec
from chord.analysis.tables.wording import number, span
from chord.errors import UserError
from chord.objectives import EqualMass, ProbabilityWeight, TokenWeight

TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
LOWEST = 1e-3  # weights below are not drawn
NO_LINE = Look("#777777", "-", "o")  # of a weight that is no function of p


@dataclass(frozen=True)
class Row:
    """The methods with one weight."""

    title: str
    weight: TokenWeight
    methods: list[tuple[str, bool]]  # (name, whether its weights have the mean that all have)


def rows_of(spec: FigureSpec) -> list[Row]:
    """One row for each weight, in the order of the methods, with the title of its first method."""
    rows: dict[str, Row] = {}
    for method in spec.methods:
        if own := spec.token_weights.get(method.name):
            is_equal = isinstance(own, EqualMass)
            weight = own.of if is_equal else own
            row = rows.setdefault(weight.model_dump_json(), Row(method.title, weight, []))
            row.methods.append((method.name, is_equal))
    return list(rows.values())


def draw_token_weights(spec: FigureSpec, cells: list[dict]) -> Drawing:
    """cells: the rows of the comparison whose methods and their weights the specification names."""
    if not spec.token_weights or not spec.columns:
        raise UserError(f"{spec.name}: expected token weights and the columns of benchmarks in its specification")
    rows = rows_of(spec)
    drawn = [row.title for row in rows if isinstance(row.weight, ProbabilityWeight)]
    look = {row.title: NO_LINE for row in rows} | looks(drawn)
    found = {(cell["method"], cell["benchmark"]): cell for cell in _accuracies(cells)}
    with mpl.rc_context(STYLE):
        size = (4.4 + 2.6 * len(spec.columns), max(3.6, 1.3 + 0.36 * len(rows)))
        figure = Figure(figsize=size, layout="constrained")
        shapes, *results = figure.subplots(1, 1 + len(spec.columns), width_ratios=[1.4, *[1.0] * len(spec.columns)])
        _draw_shapes(shapes, rows, look)
        for column, axis in zip(spec.columns, results, strict=True):
            _draw_results(axis, rows, look, column, found, spec)
        for axis in results[1:]:
            axis.set_yticklabels([])
        marks = [Line2D([], [], color="black", marker="o", linestyle="", markerfacecolor=face) for face in _FACES]
        handles, labels = shapes.get_legend_handles_labels()
        figure.legend(
            [*handles, *marks],
            [*labels, "weight as it is", "equal mass"],
            loc="outside upper left",
            ncols=5,
            frameon=False,
            handlelength=3.2,
        )
    return Drawing(figure, _caption(spec, rows, cells), _alt(spec, found))


_FACES = ("black", "white")  # of a marker: the weight as it is, and with the mean that all have


def _draw_shapes(axis: Axes, rows: list[Row], look: dict[str, Look]) -> None:
    odds = np.linspace(-7.5, 7.5, 601)  # log(p / (1 - p))
    p, q = 1.0 / (1.0 + np.exp(-odds)), 1.0 / (1.0 + np.exp(odds))
    for row in rows:
        if isinstance(row.weight, ProbabilityWeight):
            w = np.asarray(row.weight.of_p(p, q), dtype=float)
            own = look[row.title]
            axis.plot(
                odds,
                np.where(w >= LOWEST, w, np.nan),
                color=own.colour,
                linestyle=own.dashes,
                linewidth=1.7,
                label=row.title,
            )
    axis.set_yscale("log")
    axis.set_ylim(bottom=LOWEST)
    axis.set_xticks([np.log(p / (1.0 - p)) for p in TICKS], [f"{p:g}" for p in TICKS])
    axis.set_xlabel("surprising  ←  p of the expert's token  →  learned")
    axis.set_ylabel("Token weight")


def _draw_results(
    axis: Axes,
    rows: list[Row],
    look: dict[str, Look],
    column: Column,
    found: dict[tuple[str, str], dict],
    spec: FigureSpec,
) -> None:
    for method in spec.methods:
        cell = found.get((method.name, column.benchmark))
        if cell and method.name not in spec.token_weights:
            axis.axvline(100 * cell["estimate"], color="#555555", linewidth=1.0)
            axis.axvspan(*_interval(cell), color="#555555", alpha=0.12, linewidth=0)
            above = axis.get_xaxis_transform()
            axis.text(100 * cell["estimate"], 1.0, method.title, transform=above, ha="center", va="bottom", size=8)
    for place, row in enumerate(rows):
        for offset, (name, is_equal) in zip(_offsets(len(row.methods)), row.methods, strict=True):
            if cell := found.get((name, column.benchmark)):
                own = look[row.title]
                axis.plot(_interval(cell), [place + offset] * 2, color=own.colour, linewidth=1.4)
                axis.plot(
                    100 * cell["estimate"],
                    place + offset,
                    color=own.colour,
                    marker=own.marker,
                    markersize=5.5,
                    markerfacecolor="white" if is_equal else own.colour,
                )
    axis.set_yticks(range(len(rows)), [row.title for row in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel(f"{column.title}: accuracy (%)")


def _offsets(count: int) -> np.ndarray:
    return np.linspace(-0.18, 0.18, count) if count > 1 else np.zeros(1)


def _accuracies(cells: list[dict]) -> Iterator[dict]:
    return (cell for cell in cells if (cell["metric"], cell["group"]) == ("accuracy", ALL))


def _interval(cell: dict) -> tuple[float, float]:
    """In percent; the estimate itself if there is no interval."""
    if cell["low"] is None:
        return 100 * cell["estimate"], 100 * cell["estimate"]
    return 100 * cell["low"], 100 * cell["high"]


def _caption(spec: FigureSpec, rows: list[Row], cells: list[dict]) -> str:
    masses = {weight.mean for weight in spec.token_weights.values() if isinstance(weight, EqualMass)}
    of_mass = f" (here {', '.join(f'{mass:g}' for mass in sorted(masses))})" if masses else ""
    others = ", ".join(row.title for row in rows if not isinstance(row.weight, ProbabilityWeight))
    of_others = f"; no functions of p: {others}" if others else ""
    seeds = span({cell["n_seeds"] for cell in cells}) if cells else "none"
    return (
        f"{title_of(FIGURES[spec.name])} Left: the weights that are functions of p, on logarithmic scales of the odds"
        f" and of the weight{of_others}. Right: accuracy with its 95 % interval. Filled: the"
        f" weight as it is; open: with the same mean over the expert tokens of each step as all others{of_mass}."
        f" Vertical: methods without expert rows. Seeds: {seeds}."
    )


def _alt(spec: FigureSpec, found: dict[tuple[str, str], dict]) -> str:
    lines = [
        f"{column.title}, {method.title}: {number(cell['estimate'], 'accuracy')}."
        for column in spec.columns
        for method in spec.methods
        if (cell := found.get((method.name, column.benchmark)))
    ]
    return " ".join([f"{FIGURES[spec.name].title}, accuracy in percent.", *lines])
