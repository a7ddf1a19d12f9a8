"""Tables: the right number in the right place, in four formats, with a way back to its runs."""

import csv
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from chord.analysis.catalogue import TABLES
from chord.analysis.cells import cell_files, estimates
from chord.analysis.specs import TableSpec
from chord.analysis.tables import tabulate
from chord.analysis.tables.reported import read_reported
from chord.analysis.tables.table import Entry, Table, html
from chord.analysis.tables.wording import number
from chord.errors import UserError
from tests.helpers import fake_study

REPORTED = Path(__file__).parents[2] / "config" / "paper" / "reported.yaml"
COLUMNS = [
    {"benchmark": "world", "group": "all", "title": "World"},
    {"benchmark": "world", "group": "T1", "title": "T1 & co_1"},
    {"benchmark": "skills", "title": "Skills"},
]


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    folders = fake_study.make(root, n_questions=30, steps=10)
    names = list(fake_study.METHODS)
    paths = [path for folder in folders if folder.parts[-2] in names for path in folder.glob("*.scores.parquet")]
    spec = {
        "comparison": "main",
        "methods": fake_study.titles(),
        "pairs": fake_study.pairs("rl", "sft_best_rl"),
        "seeds": [0, 1, 2],
        "decodings": {"world": "paper", "skills": "field"},
    }
    estimates.run(spec, paths, root / "main")
    return root / "main"


def table_spec(name: str, columns: list | None = None) -> dict:
    if TABLES[name].kind == "costs":
        return {"name": name, "methods": fake_study.titles(), "chains": fake_study.CHAINS}
    pairs = fake_study.pairs("rl", "sft_best_rl") if TABLES[name].kind == "differences" else []
    return {"name": name, "methods": fake_study.titles(), "columns": columns or COLUMNS, "pairs": pairs}


def make(comparison: Path, out: Path, name: str, **arguments) -> Path:
    spec = table_spec(name, arguments.pop("columns", None))
    if TABLES[name].kind == "costs":
        runs = comparison.parent.glob("runs/*/seed-*/manifest.json")
        tabulate.run(spec, out, runs=[path.parent for path in runs], **arguments)
    else:
        files = {"cells": comparison / "cells.parquet", "differences": comparison / "differences.parquet"}
        tabulate.run(spec, out, **files, **arguments)
    return out


def test_agreement_with_an_official_extraction_is_a_column_of_benchmarks_that_have_one(comparison, tmp_path):
    header = next(csv.reader((make(comparison, tmp_path, "diagnostics") / "diagnostics.csv").open(encoding="utf-8")))
    rows, record = cell_files.read(comparison / "cells.parquet")
    more = [
        row | {"metric": "official_agreement", "estimate": 0.75, "low": 0.5, "high": 0.875}
        for row in rows
        if (row["benchmark"], row["metric"]) == ("skills", "accuracy")
    ]
    cell_files.write(tmp_path / "cells.parquet", rows + more, cell_files.CELL, record)
    shutil.copy(comparison / "differences.parquet", tmp_path / "differences.parquet")
    assert "official" not in (tmp_path / "diagnostics.md").read_text(encoding="utf-8")
    make(tmp_path, tmp_path, "diagnostics")
    shown = (tmp_path / "diagnostics.md").read_text(encoding="utf-8")
    assert shown.count("same verdict by the official extraction") == 1
    assert "Skills, same verdict by the official extraction" in shown
    assert "75.0" in shown
    assert next(csv.reader((tmp_path / "diagnostics.csv").open(encoding="utf-8"))) == header


@pytest.mark.parametrize("name", list(TABLES))
def test_every_table_in_every_format_and_twice_the_same(comparison: Path, tmp_path: Path, name: str) -> None:
    make(comparison, tmp_path / "one", name)
    make(comparison, tmp_path / "two", name)
    for suffix in ("csv", "md", "tex", "html"):
        text = (tmp_path / "one" / f"{name}.{suffix}").read_text()
        assert text == (tmp_path / "two" / f"{name}.{suffix}").read_text()
        assert "nan" not in text.lower().split()
    with open(tmp_path / "one" / f"{name}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    if TABLES[name].kind == "costs":
        return
    for row in rows:
        assert int(row["n_questions"]) > 0
        assert int(row["n_seeds"]) == 3
        assert float(row["low"]) <= float(row["estimate"]) <= float(row["high"])
        if TABLES[name].kind == "estimates":
            runs = [f"runs/{row['method']}/seed-{seed}" for seed in range(3)]
            assert row["runs"].split() == runs
            assert len(row["config_hash"]) == 16


def test_an_entry_of_the_table_is_the_cell(comparison: Path, tmp_path: Path) -> None:
    make(comparison, tmp_path, "table1")
    frame = pd.read_parquet(comparison / "cells.parquet").set_index(["benchmark", "group", "method", "metric"])
    cell = frame.loc[("world", "T1", "chord_phi", "accuracy")]
    lines = (tmp_path / "table1.md").read_text().splitlines()
    line = next(line for line in lines if line.startswith("| CHORD-φ"))
    entry = line.split("|")[3].strip()
    assert entry == f"{100 * cell['estimate']:.1f} [{100 * cell['low']:.1f}, {100 * cell['high']:.1f}]"
    text = "\n".join(lines)
    assert "Questions: World 30, T1 & co\\_1 10, Skills 30." in text
    assert "Seeds: 3." in text
    assert "k = 4" in text
    assert "table1.csv" in text


def test_differences_are_marked_only_after_holm_and_say_what_was_detectable(comparison: Path) -> None:
    rows = [
        {"benchmark": "world", "group": "all", "method": method, "reference": "rl", "metric": "accuracy",
         "estimate": 0.05, "low": 0.01, "high": 0.09, "p": 0.01, "p_holm": p_holm, "detectable": 0.0632,
         "n_questions": 30, "n_seeds": n_seeds, "seeds": list(range(n_seeds))}
        for method, p_holm, n_seeds in [("chord_mu", 0.02, 3), ("chord_phi", 0.07, 1)]
    ]  # fmt: skip
    spec = TableSpec.model_validate(table_spec("table1_differences", COLUMNS[:1]))
    table = tabulate.build(spec, [], rows, {})
    entries = {row[0]: row[1] for row in table.rows}
    assert entries["CHORD-µ vs RL (GRPO)"] == Entry("+5.0", "[+1.0, +9.0]", "*", "", "3 seeds, 30 questions")
    assert entries["CHORD-φ vs RL (GRPO)"] == Entry("+5.0", "[+1.0, +9.0]", "‡", "d 6.3", "1 seed, 30 questions")
    assert entries["SFT-best vs RL (GRPO)"] == Entry()
    assert any("one seed" in note for note in table.notes)
    assert any("family of 2 comparisons of whole benchmarks" in note for note in table.notes)


def test_precision_has_the_parts_of_each_cell_and_what_they_hide(comparison: Path, tmp_path: Path) -> None:
    make(comparison, tmp_path, "precision")
    cells_by = pd.read_parquet(comparison / "cells.parquet").set_index(["benchmark", "group", "method", "metric"])
    differences = pd.read_parquet(comparison / "differences.parquet")
    cell = cells_by.loc[("world", "all", "chord_phi", "accuracy")]
    of_method = differences.query("benchmark == 'world' and group == 'all' and metric == 'accuracy'")
    hardest = of_method[of_method["method"] == "chord_phi"]["detectable"].max()
    parts = [cell[f"sd_{name}"] for name in ("decoding", "questions", "seeds")]
    assert min(parts) > 0
    shown = [cell["estimate"], *parts, sum(part**2 for part in parts) ** 0.5, hardest]
    text = (tmp_path / "precision.md").read_text()
    numbers = " | ".join(f"{100 * value:.1f}" for value in shown)
    assert f"| World | CHORD-φ | 30 | 4 | 3 | {numbers} |" in text
    assert "World: paper, k = 4, temperature 1, top-p 1, at most 110 tokens; Skills: field, k = 4" in text
    with open(tmp_path / "precision.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(fake_study.METHODS)
    row = next(row for row in rows if (row["benchmark"], row["method"]) == ("world", "chord_phi"))
    assert float(row["sd_questions"]) == cell["sd_questions"]
    assert float(row["detectable"]) == hardest
    assert row["reference"] in ("rl", "sft_best_rl")


def test_one_seed_leaves_the_seeds_part_open(comparison: Path) -> None:
    cell = {"benchmark": "world", "group": "all", "method": "rl", "metric": "accuracy", "estimate": 0.5, "low": 0.3,
            "high": 0.7, "sd_decoding": 0.03, "sd_questions": 0.04, "sd_seeds": None, "n_questions": 30, "n_seeds": 1,
            "k": 8}  # fmt: skip
    spec = TableSpec.model_validate(table_spec("precision", COLUMNS[:1]))
    (row,) = tabulate.build(spec, [cell], [], {}).rows
    assert [entry.estimate for entry in row[2:]] == ["30", "8", "1", "50.0", "3.0", "4.0", "n/e", "5.0", "–"]


@pytest.mark.parametrize(("n_questions", "shown"), [(30, True), (100, False)])
def test_few_questions_say_what_difference_they_could_show(n_questions: int, shown: bool) -> None:
    rows = [
        {"benchmark": "world", "group": "all", "method": method, "reference": "rl", "metric": "accuracy",
         "estimate": 0.05, "low": 0.01, "high": 0.09, "p": 0.01, "p_holm": 0.02, "detectable": detectable,
         "n_questions": n_questions, "n_seeds": 3, "seeds": [0, 1, 2]}
        for method, detectable in [("chord_mu", 0.0632), ("chord_phi", 0.112), ("sft_best", None)]
    ]  # fmt: skip
    cell = {"benchmark": "world", "group": "all", "method": "rl", "metric": "accuracy", "estimate": 0.5, "low": 0.3,
            "high": 0.7, "n_questions": n_questions, "n_seeds": 3, "k": 32}  # fmt: skip
    for name in ("table1", "table1_differences"):
        table = tabulate.build(TableSpec.model_validate(table_spec(name, COLUMNS[:1])), [cell], rows, {})
        note = (
            f"World has {n_questions} questions: a single paired comparison on it finds, with 80 % power, only true"
            " differences of at least 6.3 to 11.2 percentage points, depending on the methods."
        )
        assert (note in table.notes) is shown


def test_two_decodings_of_a_benchmark_are_told_apart(comparison: Path) -> None:
    rows, record = cell_files.read(comparison / "cells.parquet")
    spec = TableSpec.model_validate(table_spec("table1"))
    table = tabulate.build(spec, rows, [], record["decodings"])
    assert (
        "Decoding: World: paper, k = 4, temperature 1, top-p 1, at most 110 tokens;"
        " Skills: field, k = 4, temperature 1, top-p 1, at most 110 tokens." in table.notes
    )


@pytest.mark.parametrize(
    ("value", "metric", "sign", "text"),
    [
        (0.1234, "accuracy", False, "12.3"),
        (-0.0512, "accuracy", True, "−5.1"),
        (0.0001, "accuracy", True, "0.0"),
        (-0.0001, "accuracy", True, "0.0"),
        (6132.4, "response_tokens", False, "6132"),
        (55.26, "response_tokens", True, "+55.3"),
    ],
)
def test_numbers_as_text(value: float, metric: str, sign: bool, text: str) -> None:
    assert number(value, metric, sign) == text


def test_the_papers_number_stands_beside_ours_only_for_the_same_cell(comparison: Path, tmp_path: Path) -> None:
    make(comparison, tmp_path / "none", "table1", reported=REPORTED)
    assert (
        "{" not in (tmp_path / "none" / "table1.md").read_text()
    )  # the made-up world is none of the paper's benchmarks
    cells_rows, _ = cell_files.read(comparison / "cells.parquet")
    renamed = [row | {"benchmark": "amc"} for row in cells_rows if row["benchmark"] == "world"]
    columns = [{"benchmark": "amc", "title": "AMC"}, {"benchmark": "amc", "group": "T1", "title": "part"}]
    spec = TableSpec.model_validate(table_spec("table1", columns) | {"paper_setting": "math"})
    decodings = {"amc": {"name": "paper", "k": 4} | fake_study.DECODING}
    table = tabulate.build(spec, renamed, [], decodings, read_reported(REPORTED))
    assert "In braces the paper's number" in table.caption
    row = next(row for row in table.rows if row[0] == "CHORD-φ")
    assert (row[1].note, row[2].note) == ("{62.5, 2nd-hand}", "")
    record = next(r for r in table.records if r["method"] == "chord_phi" and r["group"] == "all")
    assert (record["reported"], record["reported_source"]) == (0.625, "N1")
    assert next(row for row in table.rows if row[0] == "SFT-light")[1].note == ""  # not found, so nothing is shown
    for other in (None, "tools"):
        table = tabulate.build(
            spec.model_copy(update={"paper_setting": other}), renamed, [], decodings, read_reported(REPORTED)
        )
        assert not any(entry.note for row in table.rows for entry in row[1:])
    decodings["amc"] |= {"name": "field", "temperature": 0.6}
    table = tabulate.build(spec, renamed, [], decodings, read_reported(REPORTED))
    assert not any(entry.note for row in table.rows for entry in row[1:])
    assert not any("reported" in record for record in table.records)
    assert "The paper's numbers for AMC are not shown: they are at temperature 1," in table.caption


def test_the_reported_numbers_are_those_of_the_fact_sheet() -> None:
    reported = read_reported(REPORTED)
    assert reported.find("math", "aime25", "chord_mu", "accuracy").value == 17.9
    assert reported.find("tools", "bfcl_v3", "sft_best_rl", "accuracy").value == 76.1
    assert reported.find("math", "mmlu_pro", "sft_light", "accuracy").provenance == "derived"
    assert reported.find("math", "math", "sft_light", "response_tokens").provenance == "second_hand"
    assert reported.find("math", "aime24", "sft_light", "accuracy") is None
    assert reported.find("tools_72b", "bfcl_v3", "chord_mu", "accuracy").value == 78.1  # Table 6, not Table 1


def test_a_number_without_a_known_source_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reported.yaml"
    path.write_text(REPORTED.read_text().replace("source: N3}", "source: N9}"))
    with pytest.raises(UserError) as caught:
        read_reported(path)
    assert re.fullmatch(rf"{re.escape(str(path))}: .*: source 'N9' is not among the sources", str(caught.value))


def test_tex_and_html_escape(comparison: Path, tmp_path: Path) -> None:
    make(comparison, tmp_path, "table1")
    tex = (tmp_path / "table1.tex").read_text()
    assert r"T1 \& co\_1" in tex
    assert r"CHORD-\ensuremath{\phi}" in tex
    assert "95 \\%" in tex
    assert tex.isascii()
    table = Table("t", "a < b", ("x", "<y>"), (("r & s", Entry("1")),), (), ())
    assert "&lt;y&gt;" in html(table)
    assert "r &amp; s" in html(table)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_tex_compiles(comparison: Path, tmp_path: Path) -> None:
    for name in TABLES:
        make(comparison, tmp_path, name)
    inputs = "".join(rf"\input{{{name}.tex}}" for name in TABLES)
    (tmp_path / "page.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs}\begin{document}" + inputs + r"\end{document}"
    )
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_unknown_tables_and_empty_tables_are_errors(comparison: Path) -> None:
    with pytest.raises(UserError, match="unknown table 'table9'"):
        tabulate.build(TableSpec.model_validate(table_spec("table1") | {"name": "table9"}), [], [], {})
    with pytest.raises(UserError, match="needs the files of cells"):
        tabulate.run(table_spec("table1"), Path("nowhere"))
    for name in ("table1", "table1_differences", "precision"):
        with pytest.raises(UserError, match=name):
            tabulate.build(TableSpec.model_validate(table_spec(name)), [], [], {})
