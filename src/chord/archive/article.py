"""Command `article`: a finished study as a [Re] article, in the form of the ML Reproducibility Challenge.

Every number comes from the study's tables, verdicts and manifests, with its interval. What only a person can say is in
a file of its own (`by_hand`) and marked in the article until it is written. The article itself is made anew each time.
"""

import shutil
from pathlib import Path

import jinja2
import yaml

from chord.analysis.catalogue import TABLES
from chord.analysis.cells.cell_files import read
from chord.analysis.report.run_records import codes, environments, fetched
from chord.analysis.report.summary import Verdicts, summarise
from chord.analysis.specs import ReportComparison, ReportSpec
from chord.analysis.tables.table import markdown_escape
from chord.analysis.tables.wording import count, plural
from chord.archive.by_hand import PARTS, read_parts
from chord.archive.finished import FinishedStudy
from chord.archive.method_settings import described_methods
from chord.archive.pdf import write_pdf
from chord.io.files import read_json, write_text

TEMPLATE = Path(__file__).with_name("article.md.j2")


def run(finished: FinishedStudy, out: Path) -> None:
    """Write article.md, article.pdf and the figures into the folder `out`, and by-hand.md if it is not there."""
    parts = read_parts(out)
    report = ReportSpec.model_validate(finished.study.report_spec())
    comparisons = [
        _comparison(finished, shown, out)
        for shown in report.comparisons
        if (finished.folder / shown.name / "cells.parquet").is_file()
    ]
    text = _article(finished, report, comparisons, parts)
    write_text(out / "article.md", text)
    write_pdf(text, out)


def _article(finished: FinishedStudy, report: ReportSpec, comparisons: list[dict], parts: dict[str, str]) -> str:
    named = {record.name: record.content for record in finished.records()}
    runs = {name: content for name, content in named.items() if name.startswith("runs/") and "result" in content}
    records, trained = list(named.values()), list(runs.values())
    stages = {name.split("/")[1]: content["spec"]["stage"] for name, content in runs.items()}
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # noqa: S701
    environment.filters |= {"md": markdown_escape, "count": count, "plural": plural}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        study=finished.study,
        spec=report,
        paper=_paper(finished.root),
        claims=_claims(finished.folder),
        comparisons=comparisons,
        seeds=sorted({cell["n_seeds"] for item in comparisons for cell in item["cells"]}),
        questions={cell["benchmark"]: cell["n_questions"] for item in comparisons for cell in item["whole"]},
        decodings={name: one for item in comparisons for name, one in item["decodings"].items()},
        methods=described_methods(finished.study, stages),
        missing=[line for item in comparisons for line in item["missing"]],
        trained=trained,
        minutes=sum(record["result"]["train_minutes"] for record in trained),
        devices=sorted({record["device"] for record in trained}),
        environments=environments(records),
        codes=codes(records),
        fetched=fetched(finished.folder),
        parts=parts,
        wanted=PARTS,
    )


def _comparison(finished: FinishedStudy, shown: ReportComparison, out: Path) -> dict:
    """What the article shows of a comparison; copies its figures."""
    folder = finished.folder / shown.name
    cells, record = read(folder / "cells.parquet")
    of_study = finished.study.comparisons[shown.name]
    figures = []
    for image in (folder / "figures" / f"{name}.png" for name in shown.figures):
        if image.is_file():
            place = f"figures/{shown.name}-{image.name}"
            (out / "figures").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(image, out / place)
            caption = read_json(image.with_name(f"{image.stem}.manifest.json"))["caption"]
            figures.append({"place": place, "caption": caption})
    return {
        "name": shown.name,
        "title": shown.title,
        "of_paper": not of_study.paper.startswith("none"),
        "answers": of_study.paper,
        "cells": cells,
        "whole": [cell for cell in cells if cell["group"] == "all"],
        "decodings": record["decodings"],
        "sentences": [_sentence(item) for item in summarise(shown, read(folder / "differences.parquet")[0])],
        "tables": _tables(folder, shown.tables),
        "figures": figures,
        "missing": [
            f"{shown.title}: no scores of {item['method']} on {item['benchmark']}, seeds {item['seeds']}"
            for item in record["missing"]
        ],
    }


def _tables(folder: Path, names: tuple[str, ...]) -> dict[str, list[str]]:
    """Kind (estimates, differences, precision, costs) -> the Markdown of its tables."""
    tables: dict[str, list[str]] = {}
    for name in names:
        file = folder / "tables" / f"{name}.md"
        if file.is_file():
            tables.setdefault(TABLES[name].kind, []).append(file.read_text(encoding="utf-8"))
    return tables


def _sentence(item: Verdicts) -> dict[str, str]:
    parts = {
        "better": item.better,
        "worse": item.worse,
        "interval excludes 0, but not after the correction": item.suggestive,
        "undecided": item.undecided,
    }
    said = "; ".join(f"{what}: {names}" for what, names in parts.items() if names)
    return {"measure": item.measure, "where": f"{item.benchmark}, against {item.reference}", "said": said}


def _claims(folder: Path) -> dict | None:
    """The verdicts on the runs of all comparisons, or else on those of the main one; None if there are none."""
    files = [folder / "claims" / scope / "claims.json" for scope in ("all", "main")]
    return next((read_json(file) for file in files if file.is_file()), None)


def _paper(root: Path) -> dict:
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    (paper,) = citation["references"]
    names = [f"{author['given-names']} {author['family-names']}" for author in paper["authors"]]
    return {
        "title": paper["title"],
        "authors": ", ".join(names),
        "year": paper["year"],
        "where": paper["conference"]["name"],
        "identifier": paper["identifiers"][0]["value"],
    }
