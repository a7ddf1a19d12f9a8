"""The report: self-contained, repeatable, and it says what is missing."""

import base64
import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from chord.analysis.claims.fragment import Picture, picture
from chord.analysis.report.curves import chart
from chord.analysis.report.page import run as write_page
from chord.analysis.report.summary import summarise
from chord.analysis.specs import ReportComparison
from chord.io.seeds import derive_seed
from tests.helpers import fake_study
from tests.helpers.fake_report import GATES, NAMES, add_responses, judged, make, page, report_spec, write_claims


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("study"))


class Checker(HTMLParser):
    """Tags that are opened and closed in order, ids, links and everything that would load from elsewhere."""

    VOID = ("meta", "img", "br", "link")
    SELF_CLOSING = ("rect", "line")

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.loads = [], [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "img":
            assert len(found["alt"]) > 40  # says what the picture shows
        self.ids += [found["id"]] if "id" in found else []
        if tag == "a":
            self.links.append(found["href"])
        elif "src" in found or "href" in found:
            self.loads.append(found.get("src", found.get("href")))

    def handle_startendtag(self, tag, attrs):
        assert tag in self.SELF_CLOSING

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_no_network(results: Path, tmp_path: Path) -> None:
    text = page(results, tmp_path / "report.html")
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    files = {link for link in checker.links if not link.startswith("#")}
    assert {link.removeprefix("#") for link in checker.links} - files <= set(checker.ids)
    assert files == {"claims.csv"}
    assert (results / "claims.csv").is_file()  # links start at the page, which is in this folder
    assert {"#claim-one", "#claim-one-1", "#claim-one-2", "#claim-two"} <= set(checker.links)
    assert len(checker.loads) == 3
    assert all(load.startswith("data:image/png;base64,") for load in checker.loads)
    assert "url(" not in text
    assert "@import" not in text
    assert "Main &lt;comparison&gt;" in text
    assert text.count("<script") == 2  # its own and the chart's data
    for kind in ("style", "script"):
        own = re.search(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in unescape(text[: text.index("<title>")])
    assert str(results) not in text  # no machine's path


def test_it_shows_the_cells_runs_and_paper(results: Path, tmp_path: Path) -> None:
    text = page(results, tmp_path / "report.html")
    frame = pd.read_parquet(results / "main" / "cells.parquet").set_index(["group", "method", "metric"])
    value = frame.loc[("all", "chord_phi", "accuracy")]
    assert f"<b>{100 * value['estimate']:.1f}</b>" in text
    assert f"[{100 * value['low']:.1f}, {100 * value['high']:.1f}]" in text
    assert 'title="3 seeds, 12 questions, k = 4"' in text
    for name in NAMES:
        for seed in range(3):
            assert f"runs/{name}/seed-{seed}" in text
    assert "trains nothing: the start model, evaluated" in text
    assert f"{fake_study.hash_text('rl0'):016x}"[:16] in text
    assert "0123456789abcdef0123456789abcdef01234567" in text
    assert "2nd-hand" in text
    assert "2.13.0" in text
    assert '<span class="good">None:</span>' in text
    assert "All 12 runs of this page together: 50.4 minutes" in text  # 4 methods train, 3 seeds each, 4.2 minutes
    # 64 rollouts a step in 20 steps, of which SFT has none
    assert [re.search(rf"{name}</th><td[^>]*><b>(.*?)</b>", text[text.index('id="main-costs"') :])[1] for name in
            ("Original", "SFT-best", "CHORD-µ")] == ["0", "0", "1\u202f280"]  # fmt: skip


def test_the_page_goes_from_the_question_to_where_numbers_come_from(results: Path, tmp_path: Path) -> None:
    text = page(results, tmp_path / "report.html")
    places = ("answer main-table1 claims main-fig2 main-frontier main-costs main-table1_differences tuning failures"
              " provenance").split()  # fmt: skip
    found = [text.index('class="question"'), *(text.index(f'id="{place}"') for place in places)]
    assert found == sorted(found)


def test_it_shows_the_verdicts_and_when_the_claims_were_written(results: Path, tmp_path: Path) -> None:
    text = page(results, tmp_path / "report.html")
    assert '<li class="supported"><b>1</b> supported</li>' in text
    assert '<li class="contradicted"><b>0</b> contradicted</li>' in text
    assert "A &lt; B." in text
    assert "+5.0 points [+2.0, +8.0]" in text
    assert 'title="3 seeds, 12 questions; margin: one point is little"' in text
    assert "1 not measured on these runs" in text
    assert "the study has no method c" in text
    assert "commit <code>a1b2c3d4e5f6</code> of 2026-01-02. Every run was made by code that has this commit" in text
    late = tmp_path / "claims.json"
    write_claims(late, before_runs=False)
    text = page(results, tmp_path / "late.html", claims=late)
    assert "Claims: commit a1b2c3d4e5f6 is not among the ancestors" in text[text.index('id="failures"') :]
    write_claims(late, before_runs=False, modified=True)
    assert "Claims: their file was changed after its commit." in page(results, tmp_path / "late.html", claims=late)
    write_claims(late, before_runs=None, git_commit=None, date=None, modified=None)
    assert "Claims: their file is in no commit." in page(results, tmp_path / "late.html", claims=late)


def test_a_page_without_verdicts_says_so(results: Path, tmp_path: Path) -> None:
    write_page(report_spec(), results, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No verdicts on claims." in text[text.index('id="failures"') :]
    assert 'href="#claims"' not in text


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ({"rule": "above", "margin": 1, "low": 0, "high": 2, "estimate": 1}, (7, 93, 50, (50,), (50, 50))),
        ({"rule": "at_most", "margin": 1, "low": 1, "high": 3, "estimate": 2}, (50, 93, 72, (50,), (0, 50))),
        ({"rule": "within", "margin": 1, "low": -2, "high": 1, "estimate": 0}, (7, 72, 50, (28, 72), (28, 43))),
    ],
)
def test_a_picture_has_the_margin_in_the_middle_and_shades_what_supports(test: dict, expected: tuple) -> None:
    found = picture(test)
    rounded = (found.low, found.high, found.estimate, found.margins, found.shaded)
    assert tuple(tuple(map(round, x)) if isinstance(x, tuple) else round(x) for x in rounded) == expected


def test_without_an_interval_there_is_no_picture() -> None:
    assert picture(judged("undecided", low=None, high=None)) is None
    assert isinstance(picture(judged("undecided", low=0.01, high=0.01, estimate=0.01)), Picture)  # width 0


def test_trials_stand_side_by_side_and_the_chosen_one_is_marked(results: Path, tmp_path: Path) -> None:
    setting = {"setting": "optimizer.lr", "value": "0.001"}
    trials = [("rl", 0.5, "no"), ("rl", 0.75, "yes"), ("chord_mu", 0.25, "yes"), ("elsewhere", 0.125, "yes")]
    rows = [
        {"method": method, "validation_accuracy": accuracy, "delivered_step": 8, "chosen": chosen} | setting
        for method, accuracy, chosen in trials
    ]
    path = tmp_path / "searched.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    text = page(results, tmp_path / "report.html", tuning=path)
    text = text[text.index('id="tuning"') : text.index('id="failures"')]
    assert '<td title="step 8"><b>50.0</b><small>lr 0.001</small></td>' in text
    assert '<td class="chosen" title="step 8"><b>75.0</b> ✓<small>lr 0.001</small></td>' in text
    assert "<b>12.5</b>" not in text  # no method of this page; its line is in the whole table
    assert "<td>elsewhere</td>" in text
    assert "different numbers of trials" in text
    assert "No table of a search" in page(results, tmp_path / "report.html")


def test_missed_gates_and_mixed_code_are_failures(results: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "study"
    shutil.copytree(results, mixed)
    path = mixed / "runs" / "rl" / "seed-0" / "manifest.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"code": {"git_commit": None, "source_sha256": "0" * 16}}))
    gates = tmp_path / "manifest.json"
    gates.write_text(json.dumps(json.loads(GATES.read_text()) | {"missed_gates": ["gate gap: 0.1"]}))
    write_page(report_spec(), mixed, tmp_path / "report.html", gates=gates)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    failures = text[text.index('id="failures"') : text.index('id="provenance"')]
    assert "2 different states of the code" in failures
    assert "Start model: gate gap: 0.1" in failures


def test_gates_of_a_primed_model_have_its_bounds(results: Path, tmp_path: Path) -> None:
    sampled = {"temperature": 1.0, "max_response_tokens": 9}
    spec = {"study_seed": 1, "gates": {"accuracy": [0.1, 0.4]}, "batch_rows": 2, "decoding": sampled}
    figures = {"accuracy": 0.25, "gap": 0.125, "parts": {"pass": 0.375}}
    gates = tmp_path / "priming/gates.json"
    gates.parent.mkdir()
    gates.write_text(json.dumps({"spec": spec, "gates": figures, "missed_gates": ["gate gap: 0.125 is too low"]}))
    write_page(report_spec(), results, tmp_path / "report.html", gates=gates)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    rows = re.findall(r"<code>(accuracy|gap|pass)</code></th><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td>", text)
    assert rows == [("accuracy", "0.250", "0.1", "0.4"), ("gap", "0.125", "0.2", "1")]
    assert "Measured on <code>priming</code>" in text
    assert "Start model: gate gap: 0.125 is too low" in text


def test_five_questions_come_with_the_first_response_of_each_method(results: Path, tmp_path: Path) -> None:
    study = shutil.copytree(results, tmp_path / "study")
    assert "What the models say" not in page(study, tmp_path / "before.html")
    scores = add_responses(study, "How <many> are " + "x" * 3_000)
    ids = list(dict.fromkeys(row["prompt_id"] for row in scores[NAMES[0]]))
    text = page(study, tmp_path / "after.html")
    section = text[text.index('<section id="samples">') : text.index('<section id="tuning">')]
    chosen = sorted(ids, key=lambda id_: derive_seed("samples", id_))[:5]
    shown = re.findall(r"<td>(.*?)</td><td>(\d+)</td><td class=\"text said\">(.*?)</td>", section)
    by_key = {(name, row["prompt_id"], row["sample"]): row for name, rows in scores.items() for row in rows}
    wanted = [by_key[name, id_, 0] for id_ in chosen for name in scores]
    assert shown == [("✓" if row["correct"] else row["reason"], str(row["tokens"]), row["text"]) for row in wanted]
    assert section.count("<code>&lt;7&gt;</code>") == 5
    assert "x" * 1_400 in section
    assert "x" * 1_500 not in section


def test_what_was_downloaded_comes_with_its_licence(results: Path, tmp_path: Path) -> None:
    study = shutil.copytree(results, tmp_path / "study")
    assert "Downloaded" not in page(study, tmp_path / "before.html")
    for address, name, licence in (("owner/rows", "owner/rows", None), ("pypi:a==1", "pypi/a-1", "Apache-2.0")):
        spec = {"kind": "dataset", "address": address, "pin": {"revision": "b1" * 20}}
        record = {"spec": spec, "licence": licence, "bytes": {"x": 1_500_000, "y": 250_000}}
        path = study / f"hub/datasets/{name}.manifest.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(record), encoding="utf-8")
    text = page(study, tmp_path / "after.html")
    cells = re.findall(r"<code>(.*?)</code></td><td class=\"text\">(.*?)</td><td>(.*?)</td>", text)
    assert ("owner/rows", "not stated", "1.8") in cells
    assert ("pypi:a==1", "Apache-2.0", "1.8") in cells
    assert f"<code>{'b1' * 8}</code>" in text


def test_runs_that_could_not_learn_are_failures(results: Path, tmp_path: Path) -> None:
    warned = shutil.copytree(results, tmp_path / "warned")
    path = warned / "runs/rl/seed-1/manifest.json"
    one = {"symptom": "equal", "first_step": 3, "last_step": 20, "message": "all rewards have been 0"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"warnings": [one]}))
    write_page(report_spec(), warned, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "runs/rl/seed-1, steps 3 to 20: all rewards have been 0." in text[text.index("<h2>Failures and gaps</h2>") :]


def test_the_banner_shows_only_where_there_is_a_notice(results: Path, tmp_path: Path) -> None:
    assert 'class="notice"' not in page(results, tmp_path / "a.html")
    text = page(results, tmp_path / "b.html", notice="The numbers mean nothing.")
    assert '<p class="notice" role="alert">The numbers mean nothing.</p>' in text


def test_the_same_results_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    assert page(results, tmp_path / "a.html") == page(results, tmp_path / "b.html")


def test_the_chart_has_the_mean_and_deviation_of_the_seeds(results: Path) -> None:
    found = chart([ReportComparison.model_validate(report_spec()["comparisons"][0])], results, [0, 1, 2])
    assert [panel["label"][:19] for panel in found["panels"]][:2] == ["Validation accuracy", "Mean reward of roll"]
    accuracy, reward, *_ = (panel["curves"] for panel in found["panels"])
    assert sorted(accuracy) == ["chord_mu", "chord_phi", "rl", "sft_best"]  # the start model trains nothing
    assert "sft_best" not in reward  # SFT has no rollouts
    seeds = [pd.read_csv(results / f"runs/rl/seed-{seed}/curves.csv", index_col="step") for seed in range(3)]
    wanted = 100 * pd.concat([frame["validation_accuracy"].dropna() for frame in seeds], axis=1)
    assert accuracy["rl"]["x"] == list(wanted.index)
    assert accuracy["rl"]["mean"] == pytest.approx(list(wanted.mean(axis=1)), rel=1e-3)
    assert accuracy["rl"]["deviation"] == pytest.approx(list(wanted.std(axis=1)), rel=1e-3)
    (shown,) = found["comparisons"]
    looks = {method["name"]: found["looks"][method["look"]] for method in shown["methods"]}
    assert looks["rl"] == {"colour": "#000000", "dash": ""}  # as in the figures
    assert looks["chord_mu"] == {"colour": "#0072B2", "dash": "2.4 2.4"}


def test_long_curves_are_thinned_and_a_page_without_curves_has_no_chart(results: Path, tmp_path: Path) -> None:
    study = shutil.copytree(results, tmp_path / "study")
    for path in study.glob("runs/*/*/curves.csv"):
        if path.parent != study / "runs/rl/seed-0":
            path.unlink()
    path = study / "runs/rl/seed-0/curves.csv"
    header, *_ = path.read_text().splitlines()
    empty = "," * (header.count(",") - 1)
    place = header.split(",").index("mu")
    lines = [f"{step},{empty[: place - 1]}{step % 2}{empty[place - 1 :]}" for step in range(1000)]
    path.write_text("\n".join([header, *lines]))
    comparison = ReportComparison.model_validate(report_spec()["comparisons"][0])
    (panel,) = chart([comparison], study, [0, 1, 2])["panels"]
    curve = panel["curves"]["rl"]
    assert (curve["x"][0], curve["x"][-1], len(curve["x"])) == (0, 999, 60)
    assert curve["mean"] == [step % 2 for step in curve["x"]]
    assert curve["deviation"] == []  # of one seed
    path.unlink()
    assert chart([comparison], study, [0, 1, 2]) is None
    assert 'id="chart"' not in page(study, tmp_path / "report.html")


def test_missing_results_are_listed(results: Path, tmp_path: Path) -> None:
    broken = tmp_path / "study"
    shutil.copytree(results, broken)
    shutil.rmtree(broken / "runs" / "chord_phi" / "seed-2")
    for path in (broken / "runs" / "rl" / "seed-1").glob("*.scores.parquet"):
        path.unlink()
    (broken / "main" / "figures" / "fig9.png").unlink()
    text = page(broken, tmp_path / "report.html", seeds=[0, 1, 2])
    missing = text[text.index('<section id="failures">') : text.index('<section id="provenance">')]
    assert "runs/chord_phi/seed-2: neither trained nor evaluated" in missing
    assert "runs/rl/seed-1: trained, not evaluated" in missing
    assert "no figure fig9" in missing
    assert "3 results missing" in text
    (broken / "main" / "cells.parquet").unlink()
    (broken / "main" / "tables" / "costs.html").unlink()
    text = page(broken, tmp_path / "report.html")
    assert "no cells" in text
    assert "no table costs" in text


def test_further_comparisons_come_after_the_first(results: Path, tmp_path: Path) -> None:
    lead, *_ = report_spec()["comparisons"]
    other = tmp_path / "study"
    shutil.copytree(results, other)
    shutil.copytree(other / "main", other / "ablation")
    comparisons = [lead, lead | {"name": "ablation", "title": "An ablation"}, lead | {"name": "gone", "title": "Gone"}]
    text = page(other, tmp_path / "report.html", comparisons=comparisons)
    assert text.index('id="main-costs"') < text.index('id="ablation-table1"') < text.index('id="tuning"')
    assert 'id="ablation-frontier"' in text
    assert "Gone: no cells" in text
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))


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
    assert found.undecided.startswith("SFT-best (+5.0); true differences below 8.0 percentage points")
    by_degrees = comparison.model_copy(update={"tables": ("table7",)})
    (found,) = summarise(by_degrees, [row | {"metric": "reward"} for row in rows])
    assert (found.benchmark, found.better) == ("World, mean reward", "CHORD-φ (+10.0)")
    assert summarise(by_degrees, rows) == []


def test_commands_of_the_analysis_start_fast_because_they_import_little() -> None:
    code = (
        "import sys; loaded = lambda *names: print(*sorted({*names} & {*sys.modules}), sep=',');"
        "import chord.analysis.catalogue, chord.analysis.specs; loaded('numpy', 'pandas', 'scipy', 'matplotlib');"
        "import chord.analysis.tables.tabulate, chord.analysis.figures.plot, chord.analysis.report.page;"
        "loaded('pandas', 'scipy'); import chord.analysis.cells.estimates;"
        "loaded('torch', 'transformers', 'trl', 'accelerate')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n\n\n"
