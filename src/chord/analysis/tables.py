"""Tables from cells and differences: what stands in which place, as text. `table_formats` writes them down.

Every entry shows its interval; the caption says how many questions, seeds and samples; the csv has for each entry n,
seeds, the runs and their configuration hash.
"""

from dataclasses import dataclass, field
from pathlib import Path

from chord.analysis import table_formats
from chord.analysis.catalogue import METRIC_TITLES, SHARES, TABLES, TableDefinition
from chord.analysis.cell_files import read
from chord.analysis.reported import PROVENANCE, Number, Reported, read_reported
from chord.analysis.specs import ALL, Column, TableSpec
from chord.errors import UserError
from chord.files import write_json, write_text
from chord.provenance import manifest

SIGNIFICANT = 0.05
ONE_SEED = "‡"
MARK = "*"


@dataclass(frozen=True)
class Entry:
    """One place of a table. `note` stands after the interval: what could have been detected, or the paper's number."""

    estimate: str = "–"
    interval: str = ""
    marks: str = ""
    note: str = ""


@dataclass(frozen=True)
class Table:
    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | Entry, ...], ...]
    notes: tuple[str, ...]
    records: tuple[dict, ...] = field(repr=False)  # one for each entry: the csv
    columns: tuple[str, ...] = ()  # LaTeX column types; none: the first left, the others right

    @property
    def caption(self) -> str:
        return " ".join([f"{self.title}.", *self.notes])


def run(spec: dict, cells: Path, differences: Path, out: Path, reported: Path | None = None) -> None:
    """Write <name>.csv, .md, .tex and .manifest.json into the folder `out`."""
    settings = TableSpec.model_validate(spec)
    paper = read_reported(reported) if reported else None
    table = build(settings, read(cells)[0], read(differences)[0], paper)
    folder = Path(out)
    write_text(folder / f"{table.name}.csv", table_formats.csv_text(table))
    write_text(folder / f"{table.name}.md", table_formats.markdown(table))
    write_text(folder / f"{table.name}.tex", table_formats.latex(table))
    inputs = {"cells": cells, "differences": differences} | ({"reported": reported} if reported else {})
    write_json(
        folder / f"{table.name}.manifest.json",
        manifest(settings.model_dump(mode="json"), inputs, caption=table.caption),
    )


def build(spec: TableSpec, cells: list[dict], differences: list[dict], reported: Reported | None = None) -> Table:
    if spec.name not in TABLES:
        raise UserError(f"unknown table {spec.name!r}; expected one of {', '.join(TABLES)}")
    definition = TABLES[spec.name]
    columns = [column for column in spec.columns if column.group == ALL or not definition.whole_benchmarks]
    if definition.kind == "estimates":
        return _estimates(spec, definition, columns, cells, reported)
    return _differences(spec, definition, columns, differences)


def _estimates(
    spec: TableSpec, definition: TableDefinition, columns: list[Column], cells: list[dict], reported: Reported | None
) -> Table:
    found = {(cell["benchmark"], cell["group"], cell["method"], cell["metric"]): cell for cell in cells}
    places = [(column, metric) for metric in definition.metrics for column in columns]
    rows, records, used = [], [], []
    for method in spec.methods:
        entries = []
        for column, metric in places:
            cell = found.get((column.benchmark, column.group, method.name, metric))
            number = _paper_number(reported, column, method.name, metric)
            records.append(_record(method.title, column, metric, cell, number) | {"method": method.name})
            used += [cell] if cell else []
            entries.append(estimate_entry(cell, metric, number))
        rows.append((method.title, *entries))
    if not used:
        raise UserError(f"{spec.name}: none of its cells exists; check the methods, benchmarks and groups of its spec")
    several = len(definition.metrics) > 1
    header = tuple(f"{column.title}, {METRIC_TITLES[metric]}" if several else column.title for column, metric in places)
    notes = [_unit_note(definition.metrics), *size_notes(columns, used)]
    if any(entry.note for row in rows for entry in row[1:]):
        notes.append("In braces the number reported by the paper, another model and data (see its provenance).")
    return Table(spec.name, _title(definition), ("Method", *header), tuple(rows), tuple(notes), tuple(records))


def _differences(spec: TableSpec, definition: TableDefinition, columns: list[Column], differences: list[dict]) -> Table:
    (metric,) = definition.metrics
    found = {
        (row["benchmark"], row["group"], row["method"], row["reference"]): row
        for row in differences
        if row["metric"] == metric
    }
    references = {key[3] for key in found}
    rows, records, used = [], [], []
    for reference in (method for method in spec.methods if method.name in references):
        for method in spec.methods:
            if method.name == reference.name:
                continue
            row = [found.get((column.benchmark, column.group, method.name, reference.name)) for column in columns]
            for column, item in zip(columns, row, strict=True):
                extra = {"method": method.name, "reference": reference.name}
                records.append(_record(method.title, column, metric, item, None) | extra)
            used += [item for item in row if item]
            rows.append((f"{method.title} vs {reference.title}", *(difference_entry(item, metric) for item in row)))
    if not used:
        raise UserError(f"{spec.name}: no differences for these methods; are the references among the methods?")
    unit = "percentage points" if SHARES[metric] else "tokens"
    family = sum(item["group"] == ALL and item["p"] is not None for item in differences if item["metric"] == metric)
    groups = sum(item["group"] != ALL and item["p"] is not None for item in differences if item["metric"] == metric)
    notes = [
        f"First method minus second in {unit}, paired by seed index and question; in brackets the 95 % interval.",
        f"{MARK} p < {SIGNIFICANT} after Holm's correction (a family of {family} comparisons of whole benchmarks,"
        f" one of {groups} of single groups). Where undecided, d is the smallest true difference that a single test"
        " would find with 80 % power.",
        *size_notes(columns, used),
    ]
    header = ("Difference", *(column.title for column in columns))
    return Table(spec.name, _title(definition), header, tuple(rows), tuple(notes), tuple(records))


def _title(definition: TableDefinition) -> str:
    return f"{definition.title} (as {definition.paper} of the paper)" if definition.paper else definition.title


def _paper_number(reported: Reported | None, column: Column, method: str, metric: str) -> Number | None:
    recipe = method.partition("@")[0]  # `chord_mu@paper` is CHORD-mu under a protocol
    return reported.find(column.benchmark, recipe, metric) if reported and column.group == ALL else None


def _scale(metric: str) -> float:
    return 100.0 if SHARES[metric] else 1.0


def number(value: float, metric: str, sign: bool = False) -> str:
    """One decimal, in percent for shares; lengths above 1000 tokens without decimals. A true minus sign."""
    scaled = value * _scale(metric)
    digits = 0 if abs(scaled) >= 1000 else 1
    text = f"{scaled:+.{digits}f}" if sign else f"{scaled:.{digits}f}"
    if float(text) == 0.0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def _bounds(item: dict, metric: str, sign: bool = False) -> str:
    if item["low"] is None:
        return "[no interval: one question]"
    return f"[{number(item['low'], metric, sign)}, {number(item['high'], metric, sign)}]"


def estimate_entry(cell: dict | None, metric: str, paper: Number | None) -> Entry:
    note = f"{{{paper.value:g}, {PROVENANCE[paper.provenance]}}}" if paper else ""
    if cell is None:
        return Entry(note=note)
    marks = ONE_SEED if cell["n_seeds"] == 1 else ""
    return Entry(number(cell["estimate"], metric), _bounds(cell, metric), marks, note)


def difference_entry(item: dict | None, metric: str) -> Entry:
    if item is None:
        return Entry()
    decided = item["p_holm"] is not None and item["p_holm"] < SIGNIFICANT
    marks = (MARK if decided else "") + (ONE_SEED if item["n_seeds"] == 1 else "")
    undecided = not decided and item["detectable"] is not None
    note = f"d {number(item['detectable'], metric)}" if undecided else ""
    return Entry(number(item["estimate"], metric, sign=True), _bounds(item, metric, sign=True), marks, note)


def _unit_note(metrics: tuple[str, ...]) -> str:
    unit = "In percent" if all(SHARES[metric] for metric in metrics) else "In tokens"
    return f"{unit}; in brackets the 95 % interval over seeds and questions."


def size_notes(columns: list[Column], used: list[dict]) -> list[str]:
    """Questions of each column, seeds and samples; where they differ, the range."""
    questions = []
    for column in columns:
        counts = {x["n_questions"] for x in used if (x["benchmark"], x["group"]) == (column.benchmark, column.group)}
        if counts:
            questions.append(f"{column.title} {_range(counts)}")
    notes = [f"Questions: {', '.join(questions)}.", f"Seeds: {_range({item['n_seeds'] for item in used})}."]
    samples = {item["k"] for item in used if "k" in item}
    if samples:
        notes.append(f"Samples per question: k = {_range(samples)}.")
    if any(item["n_seeds"] == 1 for item in used):
        notes.append(f"{ONE_SEED} one seed: the interval covers questions and decoding, not training.")
    return notes


def _range(values: set[int]) -> str:
    return str(min(values)) if len(values) == 1 else f"{min(values)} to {max(values)}"


def _record(title: str, column: Column, metric: str, item: dict | None, paper: Number | None) -> dict:
    """One line of the csv: the item's own columns in full precision (shares as shares), and the paper's number."""
    record = {"title": title, "benchmark": column.benchmark, "group": column.group, "metric": metric}
    record |= item or {"estimate": None, "low": None, "high": None, "n_questions": 0, "n_seeds": 0}
    if paper:
        record |= {
            "reported": paper.value / _scale(metric),
            "reported_provenance": paper.provenance,
            "reported_source": paper.source,
        }
    return record
