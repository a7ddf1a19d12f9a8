"""Command `figure`: one figure of the catalogue as png and pdf. The same data give the same bytes.

In a figure of curves a line is the mean over seeds, its band one standard deviation over seeds to each side, and thin
lines are single seeds (up to five). `frontier`, `grid` and `token_weights` draw the other kinds; `looks` says how a
method looks.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from chord.analysis.catalogue import FIGURES, FigureDefinition
from chord.analysis.cells.cell_files import read
from chord.analysis.figures.frontier import draw_frontier
from chord.analysis.figures.grid import draw_grid
from chord.analysis.figures.looks import STYLE, Drawing, band, line, looks, seeds_note, title_of
from chord.analysis.figures.run_curves import RunCurves, curve, prepare, read_curves
from chord.analysis.figures.token_weights import draw_token_weights
from chord.analysis.report.run_records import run_name
from chord.analysis.specs import FigureSpec
from chord.analysis.tables.costs import RUN_FILES, by_method, read_run
from chord.errors import UserError
from chord.io.files import atomic_path, write_json
from chord.io.provenance import manifest

logging.getLogger("fontTools").setLevel(logging.WARNING)  # it logs a line for each letter of a pdf
THIN_LINES_UP_TO = 5
# Everything that would differ between two runs is taken out of the files.
METADATA = {"png": {"Software": None}, "pdf": {"Creator": None, "Producer": None, "CreationDate": None}}


def run(
    spec: dict,
    out: Path,
    runs: Sequence[Path] = (),
    cells: Path | None = None,
    differences: Path | None = None,
) -> None:
    """Write <name>.png, .pdf and .manifest.json into the folder `out`.

    runs: the folders `runs/<method>/seed-<n>` from which curves and a frontier are drawn. cells, differences: the files
    from which a grid and token weights are drawn.
    """
    settings = FigureSpec.model_validate(spec)
    if settings.name not in FIGURES:
        raise UserError(f"unknown figure {settings.name!r}; expected one of {', '.join(FIGURES)}")
    definition = FIGURES[settings.name]
    if definition.shows_cells:
        if cells is None or differences is None:
            raise UserError(f"{settings.name}: needs the files of cells and of differences")
        if definition.kind == "grid":
            drawing = draw_grid(settings, read(cells)[0], read(differences)[0])
        else:
            drawing = draw_token_weights(settings, read(cells)[0])
        inputs = {"cells": cells, "differences": differences}
    else:
        drawing, inputs = _draw_runs(definition, settings, sorted(map(Path, runs)))
    record = manifest(settings.specification(), inputs, caption=drawing.caption, alt=drawing.alt)
    _save(drawing.figure, Path(out) / definition.name)
    write_json(Path(out) / f"{definition.name}.manifest.json", record)


def _draw_runs(
    definition: FigureDefinition, settings: FigureSpec, runs: Sequence[Path]
) -> tuple[Drawing, dict[str, Path]]:
    """The drawing, and the files from which it is made."""
    titles = {method.name: method.title for method in settings.methods}
    methods = definition.methods or tuple(titles)
    is_frontier = definition.kind == "frontier"
    needed = {link for chain in settings.chains.values() for link in chain} if is_frontier else set(methods)
    folders = [folder for folder in runs if folder.parent.name in needed]
    for method in sorted(needed):
        if method not in {folder.parent.name for folder in folders} or method in set(methods) - set(titles):
            raise UserError(
                f"{definition.name}: it shows {method!r}, which needs a title in the spec and at least one run"
            )
    if is_frontier:
        by_name = by_method([read_run(folder) for folder in folders])
        drawing = draw_frontier(definition, by_name, titles, settings.chains)
    else:
        curves = [read_curves(folder) for folder in folders]
        drawing = draw_curves(definition, {name: [x for x in curves if x.method == name] for name in methods}, titles)
    files = RUN_FILES if is_frontier else ("curves.csv",)
    return drawing, {f"{run_name(folder)}/{name}": folder / name for folder in folders for name in files}


def _save(figure: Figure, stem: Path) -> None:
    for kind, metadata in METADATA.items():
        with mpl.rc_context(STYLE), atomic_path(stem.with_name(f"{stem.name}.{kind}")) as temporary:
            figure.savefig(temporary, format=kind, dpi=200, metadata=metadata)
            if kind == "png":
                _shrink(temporary)


def _shrink(png: Path) -> None:
    """A palette of 256 colours is all that lines and bands need; the report, which holds every figure, halves."""
    with Image.open(png) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(png, format="PNG", optimize=True)


def draw_curves(
    definition: FigureDefinition, runs: Mapping[str, list[RunCurves]], titles: Mapping[str, str]
) -> Drawing:
    """One pair of axes for each panel, one line for each method, over steps or epochs."""
    n_panels = len(definition.panels)
    look = looks(definition.methods)
    if len(look) == 1:
        look = {
            method: replace(own, dashes="-") for method, own in look.items()
        }  # there is no other line to distinguish it from
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 1.0 + 2.6 * n_panels), layout="constrained")
        axes = figure.subplots(n_panels, 1, sharex=True, squeeze=False)[:, 0]
        windows, seeds, ends = set(), set(), []
        for panel, axis in zip(definition.panels, axes, strict=True):
            for method in definition.methods:
                values, window = prepare(curve(runs[method], definition.x, panel.column), panel, definition.smooth)
                windows.add(window)
                seeds.add(len(values.seeds))
                ends.append(f"{panel.label}, {titles[method]}: from {values.mean[0]:.3g} to {values.mean[-1]:.3g}.")
                band(axis, values, look[method])
                if 1 < len(values.seeds) <= THIN_LINES_UP_TO:
                    axis.plot(values.x, values.values.T, color=look[method].colour, alpha=0.35, linewidth=0.6)
                line(axis, values, look[method], titles[method])
            axis.set_ylabel(panel.label)
            axis.margins(x=0.02)
        axes[-1].set_xlabel("Epoch" if definition.x == "epoch" else "Optimizer step")
        if len(definition.methods) > 1:
            # Above the axes, where it covers no data.
            handles, labels = axes[0].get_legend_handles_labels()
            columns = 3 if len(labels) in (3, 5, 6) else 2
            figure.legend(handles, labels, loc="outside upper left", ncols=columns, frameon=False, handlelength=3.2)
    parts = [title_of(definition)]
    if len(definition.methods) == 1:
        parts.append(f"Method: {titles[definition.methods[0]]}.")
    parts.append(seeds_note(seeds, "; thin lines: single seeds" if min(seeds) <= THIN_LINES_UP_TO else ""))
    if max(windows) > 1:
        parts.append(f"Running mean over {max(windows)} steps.")
    return Drawing(figure, " ".join(parts), " ".join([f"{definition.title}.", *ends]))
