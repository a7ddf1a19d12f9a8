"""Draws the figures of the catalogue from the curves of all seeds, as png and pdf. The same data give the same bytes.

A line is the mean over seeds, the band one standard deviation over seeds to each side, thin lines are single seeds (up
to five). The frontier has its points from `frontier`; how a method looks is in `looks`.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from chord.analysis.catalogue import FIGURES, FigureDefinition, Panel
from chord.analysis.costs import RUN_FILES, Run, by_method, read_run
from chord.analysis.curves import Curve, RunCurves, curve, read_curves, running_mean
from chord.analysis.frontier import frontier
from chord.analysis.looks import Look, looks
from chord.analysis.run_records import run_name
from chord.analysis.specs import FigureSpec
from chord.errors import UserError
from chord.files import atomic_path, write_json
from chord.provenance import manifest

logging.getLogger("fontTools").setLevel(logging.WARNING)  # else a line for each letter of a pdf
THIN_LINES_UP_TO = 5
SMOOTHING = 0.05  # window of the running mean as a share of the steps
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
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the same on every machine
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "pdf.fonttype": 42,  # editable text
}
# Everything that would differ between two runs is taken out of the files.
METADATA = {"png": {"Software": None}, "pdf": {"Creator": None, "Producer": None, "CreationDate": None}}


class Drawing(NamedTuple):
    figure: Figure
    caption: str
    alt: str  # what a reader who cannot see it should know


def run(spec: dict, runs: list[Path], out: Path) -> None:
    """Write <name>.png, .pdf and .manifest.json into the folder `out`. runs: folders `runs/<method>/seed-<n>`."""
    settings = FigureSpec.model_validate(spec)
    if settings.name not in FIGURES:
        raise UserError(f"unknown figure {settings.name!r}; expected one of {', '.join(FIGURES)}")
    definition = FIGURES[settings.name]
    titles = {method.name: method.title for method in settings.methods}
    methods = definition.methods or tuple(titles)
    of_tokens = definition.x == "tokens"
    needed = {link for chain in settings.chains.values() for link in chain} if of_tokens else set(methods)
    folders = [folder for folder in sorted(map(Path, runs)) if folder.parent.name in needed]
    for method in sorted(needed):
        if method not in {folder.parent.name for folder in folders} or method in set(methods) - set(titles):
            raise UserError(
                f"{definition.name}: it shows {method!r}, which needs a title in the spec and at least one run"
            )
    if of_tokens:
        drawing = draw_frontier(definition, by_method([read_run(folder) for folder in folders]), titles, settings.chains)
    else:
        curves = [read_curves(folder) for folder in folders]
        drawing = draw(definition, {name: [x for x in curves if x.method == name] for name in methods}, titles)
    save(drawing.figure, Path(out) / definition.name)
    files = RUN_FILES if of_tokens else ("curves.csv",)
    inputs = {f"{run_name(folder)}/{name}": folder / name for folder in folders for name in files}
    write_json(
        Path(out) / f"{definition.name}.manifest.json",
        manifest(settings.model_dump(mode="json"), inputs, caption=drawing.caption, alt=drawing.alt),
    )


def save(figure: Figure, stem: Path) -> None:
    for kind, metadata in METADATA.items():
        with mpl.rc_context(STYLE), atomic_path(stem.with_name(f"{stem.name}.{kind}")) as temporary:
            figure.savefig(temporary, format=kind, dpi=200, metadata=metadata)


def draw(definition: FigureDefinition, runs: Mapping[str, list[RunCurves]], titles: Mapping[str, str]) -> Drawing:
    """One pair of axes for each panel, one line for each method, over steps or epochs."""
    n_panels = len(definition.panels)
    look = looks(definition.methods)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 1.0 + 2.6 * n_panels), layout="constrained")
        axes = figure.subplots(n_panels, 1, sharex=True, squeeze=False)[:, 0]
        windows, seeds, ends = set(), set(), []
        for panel, axis in zip(definition.panels, axes, strict=True):
            for method in definition.methods:
                found = curve(runs[method], definition.x, panel.column)
                found, window = _prepared(found, panel, definition)
                windows.add(window)
                seeds.add(len(found.seeds))
                ends.append(f"{panel.label}, {titles[method]}: from {found.mean[0]:.3g} to {found.mean[-1]:.3g}.")
                _band(axis, found, look[method])
                if 1 < len(found.seeds) <= THIN_LINES_UP_TO:
                    axis.plot(found.x, found.values.T, color=look[method].colour, alpha=0.35, linewidth=0.6)
                _line(axis, found, look[method], titles[method])
            axis.set_ylabel(panel.label)
            axis.margins(x=0.02)
        axes[-1].set_xlabel("Epoch" if definition.x == "epoch" else "Optimizer step")
        if len(definition.methods) > 1:
            # Above the axes, where it covers no data.
            handles, labels = axes[0].get_legend_handles_labels()
            columns = 3 if len(labels) in (3, 5, 6) else 2
            figure.legend(handles, labels, loc="outside upper left", ncols=columns, frameon=False, handlelength=3.2)
    parts = [_title(definition)]
    if len(definition.methods) == 1:
        parts.append(f"Method: {titles[definition.methods[0]]}.")
    parts.append(_seeds(seeds, "; thin lines: single seeds" if min(seeds) <= THIN_LINES_UP_TO else ""))
    if max(windows) > 1:
        parts.append(f"Running mean over {max(windows)} steps.")
    return Drawing(figure, " ".join(parts), " ".join([f"{definition.title}.", *ends]))


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
                axis.plot(*lead[-1], color=colour, marker="o", markersize=5, markerfacecolor="white", linestyle="none")
            _band(axis, own, look[method], alpha=0.08)
            _line(axis, own, look[method], titles[method])
            axis.plot(x, y, color=colour, marker=look[method].marker, markersize=8, markeredgecolor="white")
            names.append(_name(axis, titles[method], (x, y), colour))
            ends.append(f"{titles[method]}: {y:.3g} % after {x:.3g} {unit_name} tokens.")
        axis.set_xlabel(f"Tokens trained and generated ({unit_name})")
        axis.set_ylabel(panel.label)
        axis.set_xlim(left=0)
        _place(figure, axis, names)
    parts = [
        _title(definition),
        "Every token that led to these weights, trained or generated in rollouts; a method that starts from another's"
        " result goes on where that was delivered (thin line, open circle). Large markers: the last step.",
        _seeds({len(item.own.seeds) for item in found.values()}),
    ]
    return Drawing(figure, " ".join(parts), " ".join([f"{definition.title}.", *ends]))


def _name(axis: Axes, text: str, point: tuple[float, float], colour: str) -> Annotation:
    """A method's name beside its point, darker than its line and with a white rim, so that it can be read on others."""
    dark = tuple(0.7 * part for part in to_rgb(colour))
    rim = [patheffects.withStroke(linewidth=2.5, foreground="white")]
    return axis.annotate(text, point, (0, 0), textcoords="offset points", color=dark, fontweight="bold", path_effects=rim)


def _token_unit(most: float) -> tuple[float, str]:
    return next((u for u in ((1e9, "billion"), (1e6, "million")) if most >= u[0]), (1e3, "thousand"))


def _place(figure: Figure, axis: Axes, names: Sequence[Annotation]) -> None:
    """Put each name on that side of its point where it covers least: lines drawn so far, and names placed before."""
    figure.draw_without_rendering()
    drawn = []
    for line in axis.get_lines():
        x, y = axis.transData.transform(line.get_xydata()).T
        between = np.linspace(0, len(x) - 1, 40 * len(x))
        drawn.append(np.column_stack([np.interp(between, range(len(x)), x), np.interp(between, range(len(x)), y)]))
    points = np.concatenate(drawn)
    placed: list[Bbox] = []

    def covered(name: Annotation, side: tuple[float, float, str, str]) -> tuple[int, int]:
        _move(name, side)
        box = name.get_window_extent().padded(2)
        inside = (points > box.min).all(axis=1) & (points < box.max).all(axis=1)
        outside = box.x1 > figure.bbox.x1 or box.y1 > axis.bbox.y1 or box.y0 < axis.bbox.y0
        return sum(box.overlaps(other) for other in placed) + outside, int(inside.sum())

    for name in names:
        _move(name, min(SIDES, key=lambda side, name=name: covered(name, side)))
        placed.append(name.get_window_extent().padded(2))


def _move(name: Annotation, side: tuple[float, float, str, str]) -> None:
    *offset, horizontal, vertical = side
    name.set_position(offset)
    name.set(ha=horizontal, va=vertical)


def _prepared(found: Curve, panel: Panel, definition: FigureDefinition) -> tuple[Curve, int]:
    """In the panel's unit, smoothed where that is wanted; and the window of smoothing."""
    scale = 100.0 if "%" in panel.label else 1.0
    noisy = definition.smooth and not panel.column.startswith("validation") and panel.column != "mu"
    window = 1 + 2 * round(SMOOTHING * len(found.x) / 2) if noisy else 1
    return Curve(found.x, running_mean(found.values * scale, window), found.seeds), window


def _band(axis: Axes, found: Curve, look: Look, alpha: float = 0.15) -> None:
    if found.deviation is not None:
        low, high = found.mean - found.deviation, found.mean + found.deviation
        axis.fill_between(found.x, low, high, color=look.colour, alpha=alpha, linewidth=0)


def _line(axis: Axes, found: Curve, look: Look, title: str) -> None:
    axis.plot(
        found.x,
        found.mean,
        color=look.colour,
        linestyle=look.dashes,
        linewidth=1.7,
        marker=look.marker,
        markersize=4.5,
        markevery=max(1, len(found.x) // 12),
        label=title,
    )


def _title(definition: FigureDefinition) -> str:
    return f"{definition.title} (paper: {definition.paper})." if definition.paper else f"{definition.title}."


def _seeds(counts: set[int], more: str = "") -> str:
    few, many = min(counts), max(counts)
    if many == 1:
        return "One seed."
    number = many if few == many else f"{few} to {many}"
    return f"Mean over {number} seeds; band: one standard deviation over seeds to each side{more}."
