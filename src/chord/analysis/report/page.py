"""Command `report`: one page with everything a reader needs, without a network.

It has the question, a short answer, the main table, verdicts on the paper's claims, curves, compute, tuning, what
failed or is missing, and the source of every number. The same results give the same bytes, as times appear only if a
manifest holds them.
"""

import base64
from pathlib import Path

from markupsafe import Markup
from pydantic import TypeAdapter

from chord.analysis.catalogue import FIGURES, TABLES
from chord.analysis.cells.cell_files import read
from chord.analysis.report.assets import assets, template
from chord.analysis.report.curves import chart
from chord.analysis.report.run_records import RunRecord, codes, environments, fetched, read_runs
from chord.analysis.report.samples import read_samples
from chord.analysis.report.summary import summarise
from chord.analysis.specs import ReportComparison, ReportSpec, ShownMethod
from chord.analysis.tables.reported import PROVENANCE, read_reported
from chord.analysis.tables.wording import count
from chord.analysis.tuning import read_trials
from chord.evaluation.start_gates_spec import StartGatesSpec
from chord.io.files import read_json, write_text
from chord.world.pretrain_spec import PretrainSpec

HERE = Path(__file__).parent
START_MODEL = TypeAdapter(PretrainSpec | StartGatesSpec)  # what a model that was measured by gates was made by


def run(
    spec: dict,
    folder: Path,
    out: Path,
    reported: Path | None = None,
    claims: Path | None = None,
    tuning: Path | None = None,
    gates: Path | None = None,
) -> None:
    """Write the page `out` from the results in `folder` (results/<study>). The page lists what is missing.

    reported: the paper's numbers. claims: claims.json, with its fragment beside it. tuning: the table of the search
    that the study trains with. gates: manifest of the start model.
    """
    settings = ReportSpec.model_validate(spec)
    folder = Path(folder)
    paper = read_reported(reported) if reported else None
    verdicts = _claims(claims) if claims else None
    titles = {method.name: method.title for item in settings.comparisons for method in item.methods}
    runs = read_runs(folder, [ShownMethod(name=name, title=title) for name, title in titles.items()], settings.seeds)
    measured = _gates(gates) if gates else None
    sections, manifests = [], [record.manifest for record in runs if record.manifest]
    priming = [read_json(path) for path in folder.glob("priming/manifest.json")]
    missing = _missing_runs(runs) + ([] if verdicts else ["No verdicts on claims."])
    analysis = []
    for comparison in settings.comparisons:
        section, lacks, record = _section(comparison, folder)
        sections.append(section)
        missing += lacks
        analysis += [record] if record else []
    text = template(HERE / "page.html.j2", count=_count).render(
        spec=settings,
        assets=assets(HERE / "page.js", "default-src 'none'; img-src data:"),
        chart=chart(settings.comparisons, folder, settings.seeds),
        lead=sections[0],
        others=sections[1:],
        claims=verdicts,
        tuning=read_trials(tuning, titles) if tuning else None,
        runs=runs,
        trained=len(manifests),
        total_minutes=sum(record["result"]["train_minutes"] for record in manifests),
        missing=missing,
        warnings=[
            *(measured["missed"] if measured else []),
            *(verdicts["warnings"] if verdicts else []),
            *_mixed([*priming, *manifests]),
            *_hopeless(runs),
        ],
        gates=measured,
        environments=environments([*priming, *manifests, *analysis]),
        fetched=fetched(folder),
        samples=read_samples(folder, settings.sampled, settings.comparisons[0].methods, settings.seeds[0]),
        codes={"training": codes([*priming, *manifests]), "analysis": codes(analysis)},
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
    """Warnings if the runs were made by different code or versions, as a comparison should not mix them."""
    warnings = []
    sources = {source for _, source in codes(manifests)}
    if len(sources) > 1:
        warnings.append(f"The runs were trained by {len(sources)} different states of the code (see provenance).")
    versions = [name for name, seen in environments(manifests).items() if len(seen) > 1]
    if versions:
        warnings.append(f"The runs were trained with different versions of {', '.join(versions)}.")
    return warnings


def _hopeless(runs: list[RunRecord]) -> list[str]:
    """The warnings of runs that could learn nothing, or nothing more."""
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
    bounds = START_MODEL.validate_python(record["spec"]).gates
    measured = {name: value for name, value in record["gates"].items() if name in type(bounds).model_fields}
    rows = [(name, value, *getattr(bounds, name)) for name, value in sorted(measured.items())]
    missed = [f"Start model: {line}" for line in record["missed_gates"]]
    return {"model": path.parent.name, "rows": rows, "missed": missed}


def _claims(path: Path) -> dict:
    """Counts of verdicts, the fragment with all of them, and warnings if the claims may have come after the results."""
    record = read_json(path)
    warnings = []
    if record["git_commit"] is None:
        warnings = ["Claims: their file is in no commit."]
    elif record["modified"]:
        warnings = ["Claims: their file was changed after its commit."]
    elif record["before_runs"] is False:
        warnings = [f"Claims: commit {record['git_commit'][:12]} is not among the ancestors of every run's code."]
    counts = record["counts"]
    fragment = _fragment(path.with_suffix(".html"))
    return {"counts": counts, "total": sum(counts.values()), "fragment": fragment, "warnings": warnings}


def _section(comparison: ReportComparison, folder: Path) -> tuple[dict, list[str], dict | None]:
    """(what the page shows of a comparison, what the comparison lacks, the manifest of its cells)."""
    folder = folder / comparison.name
    missing, record = [], None
    section: dict = {"name": comparison.name, "title": comparison.title, "verdicts": []}
    section |= {"tables": [], "costs": [], "figures": [], "frontiers": []}
    if (folder / "cells.parquet").exists() and (folder / "differences.parquet").exists():
        _, record = read(folder / "cells.parquet")
        section["verdicts"] = summarise(comparison, read(folder / "differences.parquet")[0])
        missing += [
            f"{comparison.title}: no scores of {item['method']} on {item['benchmark']}, seeds {_list(item['seeds'])}"
            for item in record["missing"]
        ]
    else:
        missing.append(f"{comparison.title}: no cells")
    for name in comparison.tables:
        path = folder / "tables" / f"{name}.html"
        if path.exists():
            place = section["costs" if TABLES[name].kind == "costs" else "tables"]
            place.append({"name": name, "fragment": _fragment(path)})
        else:
            missing.append(f"{comparison.title}: no table {name}")
    for name in comparison.figures:
        image = folder / "figures" / f"{name}.png"
        if image.exists():
            section["frontiers" if FIGURES[name].kind == "frontier" else "figures"].append(_figure(image))
        else:
            missing.append(f"{comparison.title}: no figure {name}")
    return section, missing, record


def _fragment(path: Path) -> Markup:
    """HTML that another command wrote for this page."""
    return Markup(path.read_text(encoding="utf-8").rstrip())


def _figure(image: Path) -> dict:
    record = read_json(image.with_name(f"{image.stem}.manifest.json"))
    data = base64.b64encode(image.read_bytes()).decode("ascii")
    return {"name": image.stem, "data": data, "caption": record["caption"], "alt": record["alt"]}


def _list(values: list[int]) -> str:
    return ", ".join(map(str, values))


def _count(value: float | None) -> str:
    return "–" if value is None else count(value)
