"""report.html: one page with everything a reader needs, without a network, in the order in which one asks.

The question, the answer in short, the main table, verdicts on the paper's claims, curves, compute, tuning, what failed
or is missing, and where every number comes from. The same results give the same bytes; times appear only where a
manifest holds them.
"""

import base64
from pathlib import Path

import jinja2
from markupsafe import Markup

from chord.analysis.catalogue import FIGURES, TABLES
from chord.analysis.cells.cell_files import read
from chord.analysis.report.report_claims import read_claims
from chord.analysis.report.report_tuning import read_tuning
from chord.analysis.report.run_records import RunRecord, codes, environments, read_runs
from chord.analysis.report.summary import summarise
from chord.analysis.specs import Method, ReportComparison, ReportSpec, TableSpec
from chord.analysis.tables import costs_table, formats
from chord.analysis.tables.costs import RUN_FILES, Run, read_run
from chord.analysis.tables.entries import count
from chord.analysis.tables.reported import PROVENANCE, Reported, read_reported
from chord.analysis.tables.tables import build
from chord.io.files import read_json, write_text
from chord.world.pretrain_spec import Gates, PretrainSpec

TEMPLATE = Path(__file__).with_name("report.html.j2")


def run(
    spec: dict,
    folder: Path,
    out: Path,
    reported: Path | None = None,
    claims: Path | None = None,
    tuning: Path | None = None,
    gates: Path | None = None,
) -> None:
    """Write the page `out` from the results in `folder` (results/<study>). What is not there is listed on the page.

    reported: the paper's numbers. claims: claims.json. tuning: the table of the search that the study trains
    with. gates: manifest of the start model.
    """
    settings = ReportSpec.model_validate(spec)
    folder = Path(folder)
    paper = read_reported(reported) if reported else None
    verdicts = read_claims(claims) if claims else None
    titles = {method.name: method.title for item in settings.comparisons for method in item.methods}
    runs = read_runs(folder, [Method(name=name, title=title) for name, title in titles.items()], settings.seeds)
    measured = _gates(gates) if gates else None
    sections, manifests = [], [record.manifest for record in runs if record.manifest]
    missing = _missing_runs(runs) + ([] if verdicts else ["No verdicts on claims."])
    analysis = []
    for comparison in settings.comparisons:
        section, lacks, record = _section(comparison, folder, settings.seeds, paper)
        sections.append(section)
        missing += lacks
        analysis += [record] if record else []
    page = _environment().from_string(TEMPLATE.read_text(encoding="utf-8"))
    text = page.render(
        spec=settings,
        lead=sections[0],
        others=sections[1:],
        claims=verdicts,
        tuning=read_tuning(tuning, titles) if tuning else None,
        runs=runs,
        trained=len(manifests),
        total_minutes=sum(record["result"]["train_minutes"] for record in manifests),
        missing=missing,
        warnings=[
            *(measured["missed"] if measured else []),
            *(verdicts["warnings"] if verdicts else []),
            *_mixed(manifests),
            *_hopeless(runs),
        ],
        gates=measured,
        environments=environments([*manifests, *analysis]),
        codes={"training": codes(manifests), "analysis": codes(analysis)},
        paper=paper,
        provenance=PROVENANCE,
    )
    write_text(out, text)


def _missing_runs(runs: list[RunRecord]) -> list[str]:
    gone = [record.name for record in runs if not record.manifest and not record.evaluated]
    unused = [record.name for record in runs if record.manifest and not record.evaluated]
    return [f"{name}: neither trained nor evaluated" for name in gone] + [
        f"{name}: trained, not evaluated" for name in unused
    ]


def _mixed(manifests: list[dict]) -> list[str]:
    """Whether the runs were made by different code or versions, which a comparison should not be."""
    found = []
    sources = {source for _, source in codes(manifests)}
    if len(sources) > 1:
        found.append(f"The runs were trained by {len(sources)} different states of the code (see provenance).")
    versions = [name for name, seen in environments(manifests).items() if len(seen) > 1]
    if versions:
        found.append(f"The runs were trained with different versions of {', '.join(versions)}.")
    return found


def _hopeless(runs: list[RunRecord]) -> list[str]:
    """What training said of runs that could learn nothing, or nothing more."""
    return [
        f"{record.name}, steps {one['first_step']} to {one['last_step']}: {one['message']}."
        for record in runs
        for one in (record.manifest or {}).get("warnings", [])
    ]


def _gates(path: Path) -> dict | None:
    """The gates of a start model: measured, bounds, and a line for each that was missed. None if it has none."""
    record = read_json(path)
    if "gates" not in record:
        return None
    wanted = PretrainSpec.model_validate(record["spec"]).gates
    measured = {name: value for name, value in record["gates"].items() if name in Gates.model_fields}
    rows = [(name, value, *getattr(wanted, name)) for name, value in sorted(measured.items())]
    missed = [f"Start model: {line}" for line in record["missed_gates"]]
    return {"model": path.parent.name, "rows": rows, "missed": missed}


def _section(
    comparison: ReportComparison, folder: Path, seeds: tuple[int, ...], paper: Reported | None
) -> tuple[dict, list[str], dict | None]:
    """What the page shows of a comparison, what it lacks, and the manifest of its cells."""
    cells_path = folder / comparison.name / "cells.parquet"
    differences_path = folder / comparison.name / "differences.parquet"
    missing, tables, verdicts, record = [], [], [], None
    if cells_path.exists() and differences_path.exists():
        cells, record = read(cells_path)
        differences, _ = read(differences_path)
        tables = [
            build(table, cells, differences, record["decodings"], paper)
            for table in comparison.tables
            if TABLES[table.name].kind != "costs"
        ]
        verdicts = summarise(comparison, differences)
        missing += [
            f"{comparison.title}: no scores of {item['method']} on {item['benchmark']}, seeds {_list(item['seeds'])}"
            for item in record["missing"]
        ]
    else:
        missing.append(f"{comparison.title}: no cells, so no tables")
    costs = [
        costs_table.build(table, _runs(table, folder, seeds), _expert_set(folder))
        for table in comparison.tables
        if TABLES[table.name].kind == "costs"
    ]
    figures, frontiers = [], []
    for name in comparison.figures:
        image = folder / comparison.name / "figures" / f"{name}.png"
        if image.exists():
            shown = frontiers if FIGURES[name].x == "tokens" else figures
            shown.append(_figure(image))
        else:
            missing.append(f"{comparison.title}: no figure {name}")
    section = {"name": comparison.name, "title": comparison.title} | {
        "tables": [Markup(formats.html(table, comparison.name)) for table in tables],
        "costs": [Markup(formats.html(table, comparison.name)) for table in costs],
        "verdicts": verdicts,
        "figures": figures,
        "frontiers": frontiers,
    }
    return section, missing, record


def _runs(table: TableSpec, folder: Path, seeds: tuple[int, ...]) -> list[Run]:
    """Those of the chains of a table of costs, as far as they are there."""
    methods = dict.fromkeys(link for chain in table.chains.values() for link in chain)
    folders = [folder / "runs" / method / f"seed-{seed}" for method in methods for seed in seeds]
    return [read_run(path) for path in folders if all((path / name).exists() for name in RUN_FILES)]


def _expert_set(folder: Path) -> int | None:
    path = folder / "data" / "experts.manifest.json"
    return read_json(path)["kept"] if path.exists() else None


def _figure(image: Path) -> dict:
    record = read_json(image.with_name(f"{image.stem}.manifest.json"))
    data = base64.b64encode(image.read_bytes()).decode("ascii")
    return {"name": image.stem, "data": data, "caption": record["caption"], "alt": record["alt"]}


def _list(values: list[int]) -> str:
    return ", ".join(map(str, values))


def _environment() -> jinja2.Environment:
    # A name the template misspells is an error, not an empty place.
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["count"] = lambda value: "–" if value is None else count(value)
    return environment
