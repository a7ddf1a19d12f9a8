"""Command `table`: what stands in which place of a table of cells, of differences or of costs.

Every estimate shows its interval; the caption says how many questions, seeds and samples; the csv has for each entry n,
seeds, the runs and their configuration hash.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from chord.analysis.catalogue import METRICS, TABLES, TableDefinition
from chord.analysis.cells.cell_files import read
from chord.analysis.report.run_records import run_name
from chord.analysis.specs import ALL, Column, TableSpec
from chord.analysis.tables.costs import RUN_FILES, costs_table, read_run
from chord.analysis.tables.precision import precision_table
from chord.analysis.tables.reported import Number, Reported, read_reported
from chord.analysis.tables.table import Table, write_table
from chord.analysis.tables.wording import (
    MARK,
    SIGNIFICANT,
    decoding_note,
    difference_entry,
    estimate_entry,
    few_questions_notes,
    record,
    size_notes,
    unit_note,
)
from chord.errors import UserError
from chord.io.files import read_json
from chord.io.provenance import manifest


def run(
    spec: dict,
    out: Path,
    cells: Path | None = None,
    differences: Path | None = None,
    runs: Sequence[Path] = (),
    experts: Path | None = None,
    reported: Path | None = None,
) -> None:
    """Write <name>.csv, .md, .tex, .html (a fragment for the report) and .manifest.json into the folder `out`.

    runs, experts: input of a table of costs, the folders of all runs in its chains and experts.manifest.json.
    cells, differences: input of all other tables, to which `reported` adds the paper's numbers.
    """
    settings = TableSpec.model_validate(spec)
    if definition_of(settings).kind == "costs":
        runs = sorted(map(Path, runs))
        expert_set = read_json(experts)["kept"] if experts else None
        table = costs_table(settings, [read_run(folder) for folder in runs], expert_set)
        inputs = {f"{run_name(folder)}/{name}": folder / name for folder in runs for name in RUN_FILES}
        inputs |= {"experts": experts} if experts else {}
    else:
        if cells is None or differences is None:
            raise UserError(f"{settings.name}: needs the files of cells and of differences")
        paper = read_reported(reported) if reported else None
        rows, made_from = read(cells)
        table = build(settings, rows, read(differences)[0], made_from["decodings"], paper)
        inputs = {"cells": cells, "differences": differences} | ({"reported": reported} if reported else {})
    write_table(table, out, manifest(settings.specification(), inputs))


def definition_of(spec: TableSpec) -> TableDefinition:
    if spec.name not in TABLES:
        raise UserError(f"unknown table {spec.name!r}; expected one of {', '.join(TABLES)}")
    return TABLES[spec.name]


def build(
    spec: TableSpec,
    cells: list[dict],
    differences: list[dict],
    decodings: dict[str, dict],
    reported: Reported | None = None,
) -> Table:
    """A table of estimates, of differences or of precision. decodings: benchmark -> how its answers were sampled."""
    definition = definition_of(spec)
    columns = [column for column in spec.columns if column.group == ALL or not definition.whole_benchmarks]
    if definition.kind == "precision":
        table = precision_table(spec, definition, columns, cells, differences)
    elif definition.kind == "estimates":
        table = _estimates(spec, definition, columns, cells, decodings, reported)
    else:
        table = _differences(spec, definition, columns, differences)
    notes = [decoding_note(columns, decodings)]
    if len(definition.metrics) == 1:
        notes += few_questions_notes(columns, definition.metrics[0], differences)
    return replace(table, notes=(*table.notes, *filter(None, notes)))


def _estimates(
    spec: TableSpec,
    definition: TableDefinition,
    columns: list[Column],
    cells: list[dict],
    decodings: dict[str, dict],
    reported: Reported | None,
) -> Table:
    cell_at = {(cell["benchmark"], cell["group"], cell["method"], cell["metric"]): cell for cell in cells}
    measured = {(cell["benchmark"], cell["metric"]) for cell in cells}
    places = [
        (column, metric)
        for metric in definition.metrics
        for column in columns
        if METRICS[metric].everywhere or (column.benchmark, metric) in measured
    ]
    rows, records, used, apart = [], [], [], []
    for method in spec.methods:
        entries = []
        for column, metric in places:
            cell = cell_at.get((column.benchmark, column.group, method.name, metric))
            number = _paper_number(spec, reported, column, method.name, metric)
            decoding = decodings.get(column.benchmark)  # None: no run has answered its questions
            if number and decoding and decoding["temperature"] != reported.temperature:
                number = None
                apart.append(column.title)
            records.append(record(method.title, column, metric, cell, number) | {"method": method.name})
            used += [cell] if cell else []
            entries.append(estimate_entry(cell, metric, number))
        rows.append((method.title, *entries))
    if not used:
        raise UserError(f"{spec.name}: none of its cells exists; check the methods, benchmarks and groups of its spec")
    several = len(definition.metrics) > 1
    header = tuple(f"{column.title}, {METRICS[metric].title}" if several else column.title for column, metric in places)
    notes = [unit_note(definition.metrics), *size_notes(columns, used)]
    if any(entry.note for row in rows for entry in row[1:]):
        notes.append(
            f"In braces the paper's number: {reported.settings[spec.paper_setting]}, temperature"
            f" {reported.temperature:g} (see its provenance)."
        )
    if apart:
        notes.append(
            f"The paper's numbers for {', '.join(dict.fromkeys(apart))} are not shown: they are at temperature"
            f" {reported.temperature:g}, and sampling otherwise changes accuracies and lengths."
        )
    return Table(spec.name, definition.heading, ("Method", *header), tuple(rows), tuple(notes), tuple(records))


def _differences(spec: TableSpec, definition: TableDefinition, columns: list[Column], differences: list[dict]) -> Table:
    (metric,) = definition.metrics
    row_at = {
        (row["benchmark"], row["group"], row["method"], row["reference"]): row
        for row in differences
        if row["metric"] == metric
    }
    titles = {method.name: method.title for method in spec.methods}
    places = list(titles)
    rows, records, used = [], [], []
    for method, reference in sorted(spec.pairs, key=lambda pair: places.index(pair[1])):
        row = [row_at.get((column.benchmark, column.group, method, reference)) for column in columns]
        for column, item in zip(columns, row, strict=True):
            extra = {"method": method, "reference": reference}
            records.append(record(titles[method], column, metric, item, None) | extra)
        used += [item for item in row if item]
        rows.append((f"{titles[method]} vs {titles[reference]}", *(difference_entry(item, metric) for item in row)))
    if not used:
        raise UserError(f"{spec.name}: no differences between these methods")
    family = sum(item["group"] == ALL and item["p"] is not None for item in differences if item["metric"] == metric)
    groups = sum(item["group"] != ALL and item["p"] is not None for item in differences if item["metric"] == metric)
    notes = [
        f"First method minus second in {METRICS[metric].unit}, paired by seed index and question; in brackets the 95 %"
        " interval.",
        f"{MARK} p < {SIGNIFICANT} after Holm's correction (a family of {family} comparisons of whole benchmarks,"
        f" one of {groups} of single groups). Where undecided, d is the smallest true difference that a single test"
        " would find with 80 % power.",
        *size_notes(columns, used),
    ]
    header = ("Difference", *(column.title for column in columns))
    return Table(spec.name, definition.heading, header, tuple(rows), tuple(notes), tuple(records))


def _paper_number(
    spec: TableSpec, reported: Reported | None, column: Column, method: str, metric: str
) -> Number | None:
    if reported is None or spec.paper_setting is None or column.group != ALL:
        return None
    recipe = method.partition("@")[0]  # `chord_mu@paper` is CHORD-mu under a protocol
    return reported.find(spec.paper_setting, column.benchmark, recipe, metric)
