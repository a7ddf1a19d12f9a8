"""Tables of cells, differences and costs: what stands in which place, as text. `table_formats` writes them down.

Every estimate shows its interval; the caption says how many questions, seeds and samples; the csv has for each entry n,
seeds, the runs and their configuration hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from chord.analysis import table_formats
from chord.analysis.catalogue import METRIC_TITLES, SHARES, TABLES, TableDefinition
from chord.analysis.cell_files import read
from chord.analysis.costs import RUN_FILES, Run, by_method, chain_costs, chains_of_runs, read_run
from chord.analysis.reported import PROVENANCE, Number, Reported, read_reported
from chord.analysis.run_records import run_name
from chord.analysis.specs import ALL, Column, TableSpec
from chord.errors import UserError
from chord.files import read_json, write_json, write_text
from chord.provenance import json_hash, manifest

SIGNIFICANT = 0.05
ONE_SEED = "‡"
MARK = "*"
COST_COLUMNS = {
    "rollouts": "Rollouts",
    "expert_rows": "Expert rows",
    "weighted_expert_rows": "weighted",
    "expert_passes": "passes",
    "trained_tokens": "Tokens trained",
    "generated_tokens": "generated",
    "tokens": "in total",
    "minutes": "Minutes",
}


@dataclass(frozen=True)
class Entry:
    """One place of a table. `note` stands after the interval: what could have been detected, or the paper's number.
    `sizes` says what the number rests on; the page shows it when a reader points at it."""

    estimate: str = "–"
    interval: str = ""
    marks: str = ""
    note: str = ""
    sizes: str = ""


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


def run(
    spec: dict,
    out: Path,
    cells: Path | None = None,
    differences: Path | None = None,
    runs: Sequence[Path] = (),
    experts: Path | None = None,
    reported: Path | None = None,
) -> None:
    """Write <name>.csv, .md, .tex and .manifest.json into the folder `out`.

    cells, differences: what tables of estimates and differences read, beside `reported` (the paper's numbers).
    runs, experts: what a table of costs reads, the folders of every run in its chains and experts.manifest.json.
    """
    settings = TableSpec.model_validate(spec)
    if definition_of(settings).kind == "costs":
        runs = sorted(map(Path, runs))
        expert_set = read_json(experts)["kept"] if experts else None
        table = build_costs(settings, [read_run(folder) for folder in runs], expert_set)
        inputs = {f"{run_name(folder)}/{name}": folder / name for folder in runs for name in RUN_FILES}
        inputs |= {"experts": experts} if experts else {}
    else:
        if cells is None or differences is None:
            raise UserError(f"{settings.name}: needs the files of cells and of differences")
        paper = read_reported(reported) if reported else None
        table = build(settings, read(cells)[0], read(differences)[0], paper)
        inputs = {"cells": cells, "differences": differences} | ({"reported": reported} if reported else {})
    folder = Path(out)
    write_text(folder / f"{table.name}.csv", table_formats.csv_text(table))
    write_text(folder / f"{table.name}.md", table_formats.markdown(table))
    write_text(folder / f"{table.name}.tex", table_formats.latex(table))
    write_json(
        folder / f"{table.name}.manifest.json",
        manifest(settings.model_dump(mode="json"), inputs, caption=table.caption),
    )


def definition_of(spec: TableSpec) -> TableDefinition:
    if spec.name not in TABLES:
        raise UserError(f"unknown table {spec.name!r}; expected one of {', '.join(TABLES)}")
    return TABLES[spec.name]


def build(spec: TableSpec, cells: list[dict], differences: list[dict], reported: Reported | None = None) -> Table:
    """A table of estimates or of differences."""
    definition = definition_of(spec)
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


def build_costs(spec: TableSpec, runs: Sequence[Run], expert_set: int | None) -> Table:
    """What the runs that lead to each method's result have cost, as means over seeds.

    expert_set: number of rows in the expert set, of which the expert rows read are so many passes.
    """
    found = by_method(runs)
    rows, records, seeds_used = [], [], set()
    shown = [name for name in COST_COLUMNS if name != "expert_passes" or expert_set]
    for method in spec.methods:
        chain = spec.chains[method.name]
        chains = chains_of_runs(found, chain)
        per_seed = [chain_costs(runs) for runs in chains.values()] if chain else [chain_costs(())]
        for costs in per_seed:
            costs["expert_passes"] = costs["expert_rows"] / expert_set if expert_set else 0.0
        seeds_used |= {len(chains)} if chains else set()
        behind = [run for runs in chains.values() for run in runs]
        identity = [[run.curves.method, run.seed_index, run.spec_hash] for run in behind]
        config_hash = json_hash(identity) if identity else None  # what trains nothing has no configuration
        entries = []
        for metric in shown:
            values = [costs[metric] for costs in per_seed]
            records.append(
                {
                    "method": method.name,
                    "title": method.title,
                    "metric": metric,
                    "estimate": fmean(values) if values else None,
                    "n_seeds": len(chains),
                    "seeds": list(chains),
                    "seed_estimates": values if chains else [],
                    "runs": [run_name(run.curves.path.parent) for run in behind],
                    "config_hash": config_hash,
                }
            )
            sizes = f"{_plural(len(chains), 'seed')}: {' + '.join(chain)}" if chains else ""
            entries.append(Entry(count(fmean(values)), sizes=sizes) if values else Entry())
        rows.append((method.title, *entries))
    definition = definition_of(spec)
    header = ("Method", *(COST_COLUMNS[name] for name in shown))
    notes = [
        "Means over seeds of everything spent on a method's result: SFT-then-RL rows hold their SFT run too, and steps"
        " after the delivered one count. Validation and the making of the expert rows are left out.",
        "Weighted: an expert row counts by the weight of its loss, a_ex times the mean token weight.",
        f"Passes: expert rows over the {count(expert_set)} of the expert set." if expert_set else "",
        "Tokens trained: prompt and response through a forward and a backward pass (groups of equal rewards have no"
        " gradient and are not computed); generated: response tokens of rollouts.",
        "Minutes: wall time of the steps on the machine that ran them, other jobs beside them.",
        f"Seeds: {_range(seeds_used)}." if seeds_used else "",
    ]
    return Table(spec.name, _title(definition), header, tuple(rows), tuple(filter(None, notes)), tuple(records))


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


def count(value: float) -> str:
    """1234567 -> 1 234 567 with thin spaces; one decimal below 100."""
    text = f"{value:,.1f}" if abs(value) < 100 and value != round(value) else f"{value:,.0f}"
    return text.replace(",", "\u202f")


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _sizes(item: dict) -> str:
    samples = f", k = {item['k']}" if "k" in item else ""
    return f"{_plural(item['n_seeds'], 'seed')}, {_plural(item['n_questions'], 'question')}{samples}"


def _bounds(item: dict, metric: str, sign: bool = False) -> str:
    if item["low"] is None:
        return "[no interval: one question]"
    return f"[{number(item['low'], metric, sign)}, {number(item['high'], metric, sign)}]"


def estimate_entry(cell: dict | None, metric: str, paper: Number | None) -> Entry:
    note = f"{{{paper.value:g}, {PROVENANCE[paper.provenance]}}}" if paper else ""
    if cell is None:
        return Entry(note=note)
    marks = ONE_SEED if cell["n_seeds"] == 1 else ""
    return Entry(number(cell["estimate"], metric), _bounds(cell, metric), marks, note, _sizes(cell))


def difference_entry(item: dict | None, metric: str) -> Entry:
    if item is None:
        return Entry()
    decided = item["p_holm"] is not None and item["p_holm"] < SIGNIFICANT
    marks = (MARK if decided else "") + (ONE_SEED if item["n_seeds"] == 1 else "")
    undecided = not decided and item["detectable"] is not None
    note = f"d {number(item['detectable'], metric)}" if undecided else ""
    estimate = number(item["estimate"], metric, sign=True)
    return Entry(estimate, _bounds(item, metric, sign=True), marks, note, _sizes(item))


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
