"""A comparison over two axes as maps: a number in every place, and one value of an axis per row and per column.

Above, the differences from each reference in the same column, all on one scale of colours around 0. Below, what these
are differences of: the accuracy of every method, references included; and the length of its responses. Benchmarks
stand side by side.
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

from chord.analysis.catalogue import FIGURES
from chord.analysis.figures.looks import STYLE, Drawing, title_of
from chord.analysis.specs import ALL, FigureSpec, Grid, Metric
from chord.analysis.tables.wording import MARK, SIGNIFICANT, number, span
from chord.errors import UserError

DIFFERENCES, LEVELS = "RdBu", "cividis"  # red: worse, blue: better; the colour-blind can distinguish both
SHORTEST_SCALE = 0.01  # so that a map without differences does not show noise in full colours
PLACE = (0.78, 0.36)  # inches
LEVEL_TITLES: dict[Metric, str] = {"accuracy": "Accuracy, %", "response_tokens": "Response length, tokens"}


@dataclass(frozen=True)
class Map:
    """rows[row][column], from the bottom and from the left: a cell, a difference, or None."""

    title: str
    metric: Metric
    rows: list[list[dict | None]]
    labels: list[str]
    signed: bool

    @property
    def values(self) -> np.ndarray:
        return np.array([[np.nan if item is None else item["estimate"] for item in row] for row in self.rows])


def maps(grid: Grid, benchmark: str, cells: list[dict], differences: list[dict]) -> list[Map]:
    """The maps of one benchmark, from the top. cells, differences: the rows of its comparison."""
    questions = (benchmark, ALL)
    levels = {(row["method"], row["metric"]): row for row in cells if (row["benchmark"], row["group"]) == questions}
    pairs = {
        (row["method"], row["reference"]): row
        for row in differences
        if (row["benchmark"], row["group"], row["metric"]) == (*questions, "accuracy")
    }
    rows = list(zip(*grid.methods, strict=True))
    levels_of = {reference.title: reference.methods for reference in grid.references}
    levels_of |= {f"{grid.title}, {label}": methods for label, methods in zip(grid.rows.labels, rows, strict=True)}
    against = [
        Map(
            f"{grid.title} minus {reference.title}, accuracy in points",
            "accuracy",
            [[pairs.get(pair) for pair in zip(row, reference.methods, strict=True)] for row in rows],
            list(grid.rows.labels),
            signed=True,
        )
        for reference in grid.references
    ]
    return against + [
        Map(
            title,
            metric,
            [[levels.get((name, metric)) for name in row] for row in levels_of.values()],
            list(levels_of),
            False,
        )
        for metric, title in LEVEL_TITLES.items()
    ]


def draw_grid(spec: FigureSpec, cells: list[dict], differences: list[dict]) -> Drawing:
    """cells, differences: the rows of the comparison whose grid the specification describes."""
    if spec.grid is None or not spec.columns:
        raise UserError(f"{spec.name}: expected a grid and the columns of benchmarks in its specification")
    grid = spec.grid
    columns = [maps(grid, column.benchmark, cells, differences) for column in spec.columns]
    heights = [len(panel.rows) for panel in columns[0]]
    places = len(grid.columns.labels)
    width = len(columns) * max(places, 4) * PLACE[0] + 2.6
    with mpl.rc_context(STYLE | {"axes.grid": False, "axes.spines.left": False, "axes.spines.bottom": False}):
        figure = Figure(figsize=(width, sum(heights) * PLACE[1] + 0.45 * len(heights) + 0.7), layout="constrained")
        axes = figure.subplots(len(heights), len(columns), sharex=True, squeeze=False, height_ratios=heights)
        signed = [panel.values for panels in columns for panel in panels if panel.signed]
        largest = np.nanmax(np.abs(signed), initial=SHORTEST_SCALE) if signed else SHORTEST_SCALE
        scale = Normalize(-largest, largest)
        for panels, column, axis_column in zip(columns, spec.columns, axes.T, strict=True):
            for panel, axis in zip(panels, axis_column, strict=True):
                colours = mpl.colormaps[DIFFERENCES if panel.signed else LEVELS]
                _draw_map(axis, panel, f"{column.title}: {panel.title}", colours, scale if panel.signed else None)
            axis_column[-1].set_xticks(range(places), grid.columns.labels)
        figure.supxlabel(grid.columns.title, size=9)
        if signed:
            points = ScalarMappable(Normalize(100 * scale.vmin, 100 * scale.vmax), DIFFERENCES)
            bar = figure.colorbar(points, ax=axes[: len(grid.references)], label="points", pad=0.01)
            bar.outline.set_visible(False)
    return Drawing(figure, _caption(spec, cells), _alt(spec, columns))


def _draw_map(axis: Axes, panel: Map, title: str, colours: Colormap, scale: Normalize | None) -> None:
    image = axis.imshow(np.ma.masked_invalid(panel.values), cmap=colours, norm=scale, origin="lower", aspect="auto")
    axis.set_title(title, loc="left", size=9)
    axis.set_yticks(range(len(panel.labels)), panel.labels)
    axis.tick_params(length=0)
    for row, items in enumerate(panel.rows):
        for column, item in enumerate(items):
            if item is None:
                continue
            text = number(item["estimate"], panel.metric, sign=panel.signed)
            if panel.signed and item["p_holm"] is not None and item["p_holm"] < SIGNIFICANT:
                text += MARK
            ink = _ink(colours(image.norm(item["estimate"])))
            axis.text(column, row, text, ha="center", va="center", color=ink, size=8)
            if panel.signed and item["low"] is not None and (item["low"] > 0 or item["high"] < 0):
                axis.add_patch(
                    Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, edgecolor=ink, linewidth=1.4)
                )


def _ink(colour: Sequence[float]) -> str:
    """Black or white, whichever stands out from the colour (red, green, blue, alpha)."""
    return "black" if np.dot(colour[:3], (0.299, 0.587, 0.114)) > 0.5 else "white"


def _caption(spec: FigureSpec, cells: list[dict]) -> str:
    axes = f"{spec.grid.title} by {spec.grid.columns.title} (columns) and {spec.grid.rows.title} (rows)"
    seeds = span({row["n_seeds"] for row in cells}) if cells else "none"
    return (
        f"{title_of(FIGURES[spec.name])} {axes}. Above: paired differences from the reference in the same column; a"
        f" frame says that the 95 % interval excludes 0, {MARK} that p < {SIGNIFICANT} after Holm's correction over the"
        f" whole comparison. Below: the levels. Seeds: {seeds}."
    )


def _alt(spec: FigureSpec, columns: list[list[Map]]) -> str:
    """The accuracies, row by row."""
    lines = []
    for panels, column in zip(columns, spec.columns, strict=True):
        (accuracy,) = (panel for panel in panels if panel.metric == "accuracy" and not panel.signed)
        for label, row in zip(accuracy.labels, accuracy.rows, strict=True):
            values = ", ".join("none" if item is None else number(item["estimate"], "accuracy") for item in row)
            lines.append(f"{column.title}, {label}: {values}.")
    return " ".join([f"{FIGURES[spec.name].title}, accuracy in percent by {spec.grid.columns.title}.", *lines])
