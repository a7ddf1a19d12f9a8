"""docs/real-model.md shows a study that is one, and its numbers and those of the results are the committed ones."""

import csv
import re
import textwrap
from pathlib import Path
from statistics import fmean

import pytest

from chord.errors import UserError
from chord.io.files import read_json
from chord.study import load_study

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/real-model.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs/results.md").read_text(encoding="utf-8")
REFERENCE = ROOT / "results/reference/smol-tool-bf16"
METHODS = {"SFT-best": "sft_best", "RL": "rl", "CHORD-ϕ": "chord_phi", "CHORD-μ": "chord_mu"}


def fields(text: str, first: str) -> list[str]:
    """Of the first table row that begins with this field."""
    (row, *_) = re.findall(rf"^\| {re.escape(first)} \|(.*)\|$", text, re.MULTILINE)
    return [field.strip() for field in row.split("|")]


def test_its_seconds_are_those_of_the_committed_runs():
    table = PAGE.partition("## What it takes")[2]
    for title, name in (METHODS | {"SFT-best + RL": "sft_best_rl"}).items():
        with open(REFERENCE / f"runs/{name}/seed-0/curves.csv", encoding="utf-8", newline="") as file:
            steps = [step for step in csv.DictReader(file) if step["step_seconds"]]
        columns = [
            [float(step[f"{part}_seconds"]) for step in steps if step[f"{part}_seconds"]]
            for part in ("step", "generate", "backward")
        ]
        shown = [str(len(steps)), *(f"{fmean(seconds):.0f}" if seconds else "" for seconds in columns)]
        assert fields(table, title) == shown


def test_the_priming_that_was_taken_is_the_committed_one():
    gates = read_json(REFERENCE / "priming/gates.json")["gates"]
    assert fields(PAGE, "192 prompts, once")[1:3] == [f"{gates[name]:.3f}".lstrip("0") for name in ("accuracy", "gap")]


def test_the_results_have_the_committed_numbers():
    page = RESULTS.partition("## `smol-tool-bf16`")[2].partition("\n## ")[0]
    accuracy, compared = page.split("Accuracy, avg@2", 1)
    tables = {
        name: (REFERENCE / f"main/tables/{name}.md").read_text(encoding="utf-8").replace("‡", "")
        for name in ("table1", "table1_differences")
    }
    for title in ("Original", "SFT-light", "SFT-light + RL", "SFT-best + RL", *METHODS):
        assert fields(accuracy, title) == fields(tables["table1"], title)
    for title in ("CHORD-ϕ", "CHORD-μ", "SFT-best", "SFT-best + RL"):
        shown = fields(compared, title)
        for text, reference in zip(shown, ("SFT-best + RL", "RL"), strict=True):
            overall = fields(tables["table1_differences"], f"{title} vs {reference}")[-1] if title != reference else ""
            assert text == overall.partition(" d ")[0]
    verdicts = (REFERENCE / "claims/main/claims.md").read_text(encoding="utf-8")
    (counts,) = re.findall(r"2508.11408v3: (\d+) supported, (\d+) contradicted, (\d+) undecided, (\d+) not", verdicts)
    (said,) = re.findall(
        r"19 claims (\d+) are supported, (\d+) is contradicted, (\d+) are undecided and (\d+) not", page
    )
    assert said == counts
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    above, corrected, _ = fields(tables["table1_differences"], "CHORD-ϕ vs RL")[-1].partition("\\*")
    assert corrected
    assert f"above RL ({above} points, after the correction)" in readme


def test_the_study_whose_expert_is_a_model(tmp_path):
    (block,) = re.findall(r"^    # config/studies/smol-tool-model.yaml\n(?:    .*\n)+", PAGE, re.MULTILINE)
    path = tmp_path / "smol-tool-model.yaml"
    path.write_text(textwrap.dedent(block), encoding="utf-8")
    study, base = load_study(str(path), ROOT), load_study("smol-tool", ROOT)
    source = study.experts.source
    assert f"snakemake {source.folder} --config study=smol-tool" in PAGE
    assert source.folder == "results/smol-tool/runs/sft_all/seed-0/model"
    assert base.trains("sft_all")
    # The expert was trained on the same rows: what it never saw is what this study validates and tests on.
    assert study.prepare_spec() == base.prepare_spec()
    with pytest.raises(UserError, match=r"experts\.source\.folder: .*: no such folder; expected a model folder"):
        load_study(str(path), ROOT, thoroughly=True)


def test_the_teacher_reads_all_training_rows():
    study = load_study("smol-tool", ROOT)
    assert study.train_spec("sft_all", 0)["stage"]["also_traces"]
    assert {study.methods[name].teacher for name in ("opd", "rl_opd")} == {"sft_all"}
    assert f"{study.data.sft + study.data.rl} prompts instead of {study.data.sft}" in PAGE
    assert not {"sft_all", "opd", "rl_opd"} & {name for one in study.regular for name in study.comparisons[one].methods}
