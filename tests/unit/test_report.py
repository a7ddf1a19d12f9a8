"""The report: self-contained, repeatable, and it says what is missing."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import fake_study
import pandas as pd
import pytest

from chord.analysis import cells, figures, report
from chord.analysis.catalogue import FIGURES, TABLES
from chord.analysis.specs import ReportComparison
from chord.analysis.summary import summarise

REPORTED = Path(__file__).parents[2] / "config" / "paper" / "reported.yaml"
NAMES = ("original", "sft_best", "rl", "chord_mu", "chord_phi")
COLUMNS = [{"benchmark": "world", "title": "World"}, {"benchmark": "world", "group": "T1", "title": "T1"}]


def report_spec(**extra) -> dict:
    comparison = {
        "name": "main",
        "title": "Main <comparison>",
        "methods": fake_study.titles(*NAMES),
        "tables": [{"name": name, "methods": fake_study.titles(*NAMES), "columns": COLUMNS} for name in TABLES],
        "figures": ["fig2", "fig9"],
    }
    spec = {"study": "fake", "title": "A made-up study", "question": "Is it a page?", "seeds": [0, 1, 2]}
    return spec | {"comparisons": [comparison]} | extra


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    folders = fake_study.make(root, n_questions=12, steps=20)
    paths = [path for folder in folders if folder.parts[-2] in NAMES for path in folder.glob("world.scores.parquet")]
    methods = fake_study.titles(*NAMES)
    cells.run(
        {"comparison": "main", "methods": methods, "references": ["rl"], "seeds": [0, 1, 2]}, paths, root / "main"
    )
    for name in ("fig2", "fig9"):
        shown = FIGURES[name].methods
        runs = [folder for folder in folders if folder.parts[-2] in shown]
        figures.run({"name": name, "methods": fake_study.titles(*shown)}, runs, root / "main" / "figures")
    return root


def page(results: Path, out: Path, **extra) -> str:
    report.run(report_spec(**extra), results, out, REPORTED)
    return out.read_text(encoding="utf-8")


class Checker(HTMLParser):
    """Tags that are opened and closed in order, ids, links and everything that would load from elsewhere."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.loads = [], [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        if tag == "a":
            self.links.append(found["href"])
        elif "src" in found or "href" in found:
            self.loads.append(found.get("src", found.get("href")))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_no_network(results: Path, tmp_path: Path) -> None:
    text = page(results, tmp_path / "report.html")
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert {link.removeprefix("#") for link in checker.links} <= set(checker.ids)
    assert len(checker.loads) == 2
    assert all(load.startswith("data:image/png;base64,") for load in checker.loads)
    assert "url(" not in text
    assert "@import" not in text
    assert "Main &lt;comparison&gt;" in text
    assert str(results) not in text  # no machine's path


def test_it_shows_the_cells_runs_and_paper(results: Path, tmp_path: Path) -> None:
    text = page(results, tmp_path / "report.html")
    frame = pd.read_parquet(results / "main" / "cells.parquet").set_index(["group", "method", "metric"])
    value = frame.loc[("all", "chord_phi", "accuracy")]
    assert f"<b>{100 * value['estimate']:.1f}</b>" in text
    assert f"[{100 * value['low']:.1f}, {100 * value['high']:.1f}]" in text
    for name in NAMES:
        for seed in range(3):
            assert f"runs/{name}/seed-{seed}" in text
    assert "trains nothing: the start model, evaluated" in text
    assert f"{fake_study.hash_text('rl0'):016x}"[:16] in text
    assert "0123456789abcdef0123456789abcdef01234567" in text
    assert "2nd-hand" in text
    assert "2.13.0" in text
    assert '<span class="good">Nothing:</span>' in text
    # 4 methods train, 3 seeds each, 4.2 minutes
    assert re.search(r"All runs</th><td>12</td>.*<td>50\.4</td>", text)


def test_the_banner_shows_only_where_there_is_a_notice(results: Path, tmp_path: Path) -> None:
    assert 'class="notice"' not in page(results, tmp_path / "a.html")
    text = page(results, tmp_path / "b.html", notice="The numbers mean nothing.")
    assert '<p class="notice" role="alert">The numbers mean nothing.</p>' in text


def test_the_same_results_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    assert page(results, tmp_path / "a.html") == page(results, tmp_path / "b.html")


def test_missing_results_are_listed(results: Path, tmp_path: Path) -> None:
    broken = tmp_path / "study"
    shutil.copytree(results, broken)
    shutil.rmtree(broken / "runs" / "chord_phi" / "seed-2")
    for path in (broken / "runs" / "rl" / "seed-1").glob("*.scores.parquet"):
        path.unlink()
    (broken / "main" / "figures" / "fig9.png").unlink()
    text = page(broken, tmp_path / "report.html", seeds=[0, 1, 2])
    missing = text[text.index('<section id="missing">') : text.index('<section id="paper">')]
    assert "runs/chord_phi/seed-2: neither trained nor evaluated" in missing
    assert "runs/rl/seed-1: trained, not evaluated" in missing
    assert "no figure fig9" in missing
    assert "3 results missing" in text
    (broken / "main" / "cells.parquet").unlink()
    assert "no cells, so no tables" in page(broken, tmp_path / "report.html")


def test_sentences_say_no_more_than_the_intervals() -> None:
    comparison = ReportComparison.model_validate(report_spec()["comparisons"][0])
    rows = [
        {"benchmark": "world", "group": "all", "metric": "accuracy", "reference": "rl", "method": method,
         "estimate": estimate, "low": low, "high": high, "p_holm": p_holm, "detectable": detectable}
        for method, estimate, low, high, p_holm, detectable in [
            ("chord_phi", 0.10, 0.05, 0.15, 0.01, 0.06),
            ("original", -0.2, -0.3, -0.1, 0.001, 0.1),
            ("chord_mu", 0.06, 0.01, 0.11, 0.2, 0.07),
            ("sft_best", 0.05, -0.01, 0.11, 0.4, 0.08),
        ]
    ]  # fmt: skip
    (found,) = summarise(comparison, rows)
    assert (found.better, found.worse) == ("CHORD-φ (+10.0)", "Original (−20.0)")
    assert found.suggestive == "CHORD-µ (+6.0)"
    assert found.undecided.startswith("SFT-best (+5.0); true differences below 8.0 points")


def test_analysis_starts_fast_because_it_imports_no_torch() -> None:
    code = (
        "import sys; import chord.analysis.cells, chord.analysis.tables, chord.analysis.figures, chord.analysis.report;"
        "print(sorted({'torch', 'transformers', 'trl', 'accelerate'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_catalogue_and_specs_import_nothing_heavy() -> None:
    code = (
        "import sys; import chord.analysis.catalogue, chord.analysis.specs;"
        "print(sorted({'numpy', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_tables_figures_and_report_do_not_wait_for_pandas_or_scipy() -> None:
    code = (
        "import sys; import chord.analysis.tables, chord.analysis.figures, chord.analysis.report;"
        "print(sorted({'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
