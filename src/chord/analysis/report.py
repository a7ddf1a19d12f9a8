"""report.html: one page with everything a reader needs, without a network: tables, figures, what ran, what is missing.

The same results give the same bytes; times appear only where a manifest holds them.
"""

import base64
from pathlib import Path

import jinja2
from markupsafe import Markup

from chord.analysis import table_formats
from chord.analysis.catalogue import FIGURES
from chord.analysis.cell_files import read
from chord.analysis.reported import PROVENANCE, Reported, read_reported
from chord.analysis.run_records import codes, costs, environments, read_runs
from chord.analysis.specs import ReportComparison, ReportSpec
from chord.analysis.summary import summarise
from chord.analysis.tables import build
from chord.files import read_json, write_text

TEMPLATE = Path(__file__).with_name("report.html.j2")


def run(spec: dict, folder: Path, out: Path, reported: Path | None = None) -> None:
    """Write the page `out` from the results in `folder` (results/<study>). What is not there is listed on the page."""
    settings = ReportSpec.model_validate(spec)
    folder = Path(folder)
    paper = read_reported(reported) if reported else None
    methods = list(dict.fromkeys(method for item in settings.comparisons for method in item.methods))
    runs = read_runs(folder, methods, settings.seeds)
    manifests = [record.manifest for record in runs if record.manifest]
    missing = [f"{record.name}: neither trained nor evaluated" for record in runs if not _exists(record)]
    missing += [f"{record.name}: trained, not evaluated" for record in runs if record.manifest and not record.evaluated]
    sections = []
    for comparison in settings.comparisons:
        section, lacks, record = _section(comparison, folder, paper)
        sections.append(section)
        missing += lacks
        manifests += [record] if record else []
    page = _environment().from_string(TEMPLATE.read_text(encoding="utf-8"))
    method_costs = costs(runs)
    text = page.render(
        spec=settings,
        sections=sections,
        runs=runs,
        costs=method_costs,
        total_minutes=sum(item.n_runs * item.means["train_minutes"] for item in method_costs),
        missing=missing,
        environments=environments(manifests),
        codes=codes(manifests),
        paper=paper,
        provenance=PROVENANCE,
    )
    write_text(out, text)


def _exists(record) -> bool:
    return record.manifest is not None or record.evaluated


def _section(comparison: ReportComparison, folder: Path, paper: Reported | None) -> tuple[dict, list[str], dict | None]:
    """What the page shows of a comparison, what it lacks, and the manifest of its cells."""
    cells_path = folder / comparison.name / "cells.parquet"
    differences_path = folder / comparison.name / "differences.parquet"
    missing, tables, verdicts, record = [], [], [], None
    if cells_path.exists() and differences_path.exists():
        cells, record = read(cells_path)
        differences, _ = read(differences_path)
        tables = [
            Markup(table_formats.html(build(table, cells, differences, paper), comparison.name))
            for table in comparison.tables
        ]
        verdicts = summarise(comparison, differences)
        missing += [
            f"{comparison.title}: no scores of {item['method']} on {item['benchmark']}, seeds {_list(item['seeds'])}"
            for item in record["missing"]
        ]
    else:
        missing.append(f"{comparison.title}: no cells, so no tables")
    figures = []
    for name in comparison.figures:
        image = folder / comparison.name / "figures" / f"{name}.png"
        if image.exists():
            data = base64.b64encode(image.read_bytes()).decode("ascii")
            caption = read_json(image.with_name(f"{name}.manifest.json"))["caption"]
            figures.append({"name": name, "title": FIGURES[name].title, "data": data, "caption": caption})
        else:
            missing.append(f"{comparison.title}: no figure {name}")
    section = {"name": comparison.name, "title": comparison.title} | {
        "tables": tables,
        "verdicts": verdicts,
        "figures": figures,
    }
    return section, missing, record


def _list(values: list[int]) -> str:
    return ", ".join(map(str, values))


def _count(value: float | None) -> str:
    """1234567 -> 1,234,567 with thin spaces; one decimal below 100."""
    if value is None:
        return "–"
    text = f"{value:,.1f}" if abs(value) < 100 and value != round(value) else f"{value:,.0f}"
    return text.replace(",", "\u202f")


def _environment() -> jinja2.Environment:
    # A name the template misspells is an error, not an empty place.
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["count"] = _count
    return environment
