"""Command `phase`: the phase diagram of CHORD-phi from scores and base models. Why there is one: docs/world.md."""

from pathlib import Path

from chord.analysis.cells.cell_files import CELL, DIFFERENCE, write
from chord.analysis.figures import phase_figure
from chord.analysis.figures.figures import save
from chord.analysis.figures.phase_map import measure
from chord.analysis.report.run_records import run_name
from chord.analysis.specs import PhaseSpec
from chord.analysis.tables import formats, phase_table
from chord.io.files import write_json, write_text
from chord.io.provenance import manifest


def run(spec: dict, scores: list[Path], bases: list[Path], out: Path) -> None:
    """Write cells.parquet, differences.parquet, tables/ and figures/ into the folder `out`.

    scores: of every run on the diagram's benchmark. bases: folders of the base models.
    """
    settings = PhaseSpec.model_validate(spec)
    scores = sorted(scores)
    phase = measure(settings, scores, bases)
    inputs = {f"{run_name(path.parent)}/{path.name}": path for path in scores}
    inputs |= {f"bases/{folder.name}/manifest.json": folder / "manifest.json" for folder in bases}
    record = manifest(
        settings.specification(),
        inputs,
        missing=phase.missing,
        marker_logp=phase.marker_logp,
        decodings={settings.benchmark: phase.decoding},
    )
    write(out / "cells.parquet", phase.cells, CELL, record)
    write(out / "differences.parquet", phase.differences, DIFFERENCE, record)
    table = phase_table.build(phase)
    stem = out / "tables" / table.name
    for kind, text in (
        ("csv", formats.csv_text(table)),
        ("md", formats.markdown(table)),
        ("tex", formats.latex(table)),
    ):
        write_text(stem.with_suffix(f".{kind}"), text)
    write_json(stem.with_suffix(".manifest.json"), record | {"caption": table.caption})
    figure, caption = phase_figure.draw(phase)
    stem = out / "figures" / table.name
    save(figure, stem)
    write_json(stem.with_suffix(".manifest.json"), record | {"caption": caption})
