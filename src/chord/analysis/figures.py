"""Draws the figures of the catalogue from the curves of all seeds, as png and pdf. The same data give the same bytes.

A line is the mean over seeds, the band one standard deviation over seeds to each side, thin lines are single seeds (up
to five). Colours are Okabe and Ito's; dashes and markers differ as well, so that a figure survives a grey printer.
"""

from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chord.analysis.catalogue import FIGURES, FigureDefinition, Panel
from chord.analysis.curves import Curve, RunCurves, curve, read_curves, running_mean
from chord.analysis.run_records import run_name
from chord.analysis.specs import FigureSpec
from chord.errors import UserError
from chord.files import atomic_path, write_json
from chord.provenance import manifest

# Okabe and Ito (2008), ordered so that neighbours differ in lightness too.
COLOURS = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1.2)), (0, (8, 2)), (0, (2, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
THIN_LINES_UP_TO = 5
SMOOTHING = 0.05  # window of the running mean as a share of the steps
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


def run(spec: dict, runs: list[Path], out: Path) -> None:
    """Write <name>.png, .pdf and .manifest.json into the folder `out`. runs: folders `runs/<method>/seed-<n>`."""
    settings = FigureSpec.model_validate(spec)
    if settings.name not in FIGURES:
        raise UserError(f"unknown figure {settings.name!r}; expected one of {', '.join(FIGURES)}")
    definition = FIGURES[settings.name]
    titles = {method.name: method.title for method in settings.methods}
    by_method: dict[str, list[RunCurves]] = defaultdict(list)
    inputs = {}
    for folder in sorted(map(Path, runs)):
        item = read_curves(folder)
        if item.method in definition.methods:
            by_method[item.method].append(item)
            inputs[f"{run_name(folder)}/curves.csv"] = item.path
    for method in definition.methods:
        if method not in by_method or method not in titles:
            raise UserError(
                f"{definition.name}: it shows {method!r}, which needs a title in the spec and at least one run"
            )
    figure, caption = draw(definition, by_method, titles)
    save(figure, Path(out) / definition.name)
    write_json(
        Path(out) / f"{definition.name}.manifest.json",
        manifest(settings.model_dump(mode="json"), inputs, caption=caption),
    )


def save(figure: Figure, stem: Path) -> None:
    for kind, metadata in METADATA.items():
        with mpl.rc_context(STYLE), atomic_path(stem.with_name(f"{stem.name}.{kind}")) as temporary:
            figure.savefig(temporary, format=kind, dpi=200, metadata=metadata)


def draw(definition: FigureDefinition, runs: dict[str, list[RunCurves]], titles: dict[str, str]) -> tuple[Figure, str]:
    """The figure and its caption."""
    n_panels = len(definition.panels)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 1.0 + 2.6 * n_panels), layout="constrained")
        axes = figure.subplots(n_panels, 1, sharex=True, squeeze=False)[:, 0]
        windows, seeds = set(), set()
        for panel, axis in zip(definition.panels, axes, strict=True):
            for index, method in enumerate(definition.methods):
                found = curve(runs[method], definition.x, panel.column)
                found, window = _prepared(found, panel, definition)
                windows.add(window)
                seeds.add(len(found.seeds))
                _line(axis, found, index, titles[method])
            axis.set_ylabel(panel.label)
            axis.margins(x=0.02)
        axes[-1].set_xlabel("Epoch" if definition.x == "epoch" else "Optimizer step")
        if len(definition.methods) > 1:
            # Above the axes, where it covers no data.
            handles, labels = axes[0].get_legend_handles_labels()
            columns = 3 if len(labels) in (3, 5, 6) else 2
            figure.legend(handles, labels, loc="outside upper left", ncols=columns, frameon=False, handlelength=3.2)
    return figure, _caption(definition, titles, seeds, windows)


def _prepared(found: Curve, panel: Panel, definition: FigureDefinition) -> tuple[Curve, int]:
    """In the panel's unit, smoothed where that is wanted; and the window of smoothing."""
    scale = 100.0 if "%" in panel.label else 1.0
    noisy = definition.smooth and not panel.column.startswith("validation") and panel.column != "mu"
    window = 1 + 2 * round(SMOOTHING * len(found.x) / 2) if noisy else 1
    return Curve(found.x, running_mean(found.values * scale, window), found.seeds), window


def _line(axis: Axes, found: Curve, index: int, title: str) -> None:
    colour = COLOURS[index % len(COLOURS)]
    if found.deviation is not None:
        low, high = found.mean - found.deviation, found.mean + found.deviation
        axis.fill_between(found.x, low, high, color=colour, alpha=0.15, linewidth=0)
        if len(found.seeds) <= THIN_LINES_UP_TO:
            axis.plot(found.x, found.values.T, color=colour, alpha=0.35, linewidth=0.6)
    axis.plot(
        found.x,
        found.mean,
        color=colour,
        linestyle=DASHES[index % len(DASHES)],
        linewidth=1.7,
        marker=MARKERS[index % len(MARKERS)],
        markersize=4.5,
        markevery=max(1, len(found.x) // 12),
        label=title,
    )


def _caption(definition: FigureDefinition, titles: dict[str, str], seeds: set[int], windows: set[int]) -> str:
    few, many = min(seeds), max(seeds)
    parts = [f"{definition.title} (paper: {definition.paper})."]
    if len(definition.methods) == 1:
        parts.append(f"Method: {titles[definition.methods[0]]}.")
    if many == 1:
        parts.append("One seed.")
    else:
        parts.append(f"Mean over {many if few == many else f'{few} to {many}'} seeds;")
        thin = "; thin lines: single seeds" if few <= THIN_LINES_UP_TO else ""
        parts.append(f"band: one standard deviation over seeds to each side{thin}.")
    if max(windows) > 1:
        parts.append(f"Running mean over {max(windows)} steps.")
    return " ".join(parts)
