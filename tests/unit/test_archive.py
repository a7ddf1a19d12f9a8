"""Article, crate and metadata of a finished study; tests/integration/test_chain.py makes them of a real one."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from chord.archive import pdf
from chord.archive.by_hand import read_parts
from chord.archive.method_settings import described_methods
from chord.cli import main
from chord.errors import UserError
from chord.study import load_study

ROOT = Path(__file__).parents[2]


def test_an_unknown_heading_of_the_parts_by_hand_is_refused_with_the_known_ones(tmp_path):
    read_parts(tmp_path)
    with (tmp_path / "by-hand.md").open("a", encoding="utf-8") as file:
        file.write("\n# What was hard\n\nAll of it.\n")
    with pytest.raises(UserError, match=r"by-hand.md: # What was hard: unknown heading; expected .*What was difficult"):
        read_parts(tmp_path)


def test_columns_of_the_pdf_are_as_wide_as_their_longest_cell_up_to_a_limit():
    table = f"| a | b |\n|---|---:|\n| {'x' * 8} | {'y' * 100} |\n"
    widths = re.findall(r'<th[^>]* width="([\d.]+)%"', pdf.html(table))
    assert widths == ["19.2", "80.8"]  # 8 + 2 and 40 + 2 characters
    assert '<td align="right">' in pdf.html(table)


def test_methods_are_described_by_what_they_do_not_share():
    """mu decays in CHORD-mu only; each hybrid stage samples alike. What a run records is preferred to the study."""
    study = load_study("smoke", ROOT)
    rl = {"kind": "hybrid", "steps": 3, "prompts_per_step": 5, "schedule": {"name": "constant", "mu": 0.0}}
    described = described_methods(study, {"rl": rl})
    methods = {method["name"]: method for method in described["methods"]}
    assert described["common"]["hybrid"] == {"kind": "hybrid", "steps": 3}
    assert methods["chord_mu"]["settings"]["schedule.decay"] == 2
    assert methods["chord_mu"]["settings"]["prompts_per_step"] == 4
    assert methods["rl"]["settings"]["prompts_per_step"] == 5
    assert methods["sft_best_rl"]["start"] == "SFT-best"
    assert methods["original"]["kind"] is None


@pytest.mark.parametrize("command", ["article", "crate", "croissant"])
def test_a_study_that_has_not_run_is_refused(command, tmp_path, capsys):
    options = ["smoke", "--root", str(ROOT), "--results", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([command, *options]) == 2
    assert "smoke/main/cells.parquet: no such file; expected a study that has run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_its_library_a_command_names_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rocrate", None)
    for name in [name for name in sys.modules if name.startswith("rocrate.") or name == "chord.archive.crate"]:
        monkeypatch.delitem(sys.modules, name)
    options = [
        "tiny",
        "--root",
        str(ROOT),
        "--results",
        str(ROOT / "results/reference"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["crate", *options]) == 2
    assert "chord crate: needs rocrate; install the extra: pip install -e '.[archive]'" in capsys.readouterr().err


def test_an_article_of_committed_results_needs_no_runs(tmp_path):
    """results/reference has tables and verdicts of five seeds, and neither curves nor manifests of runs."""
    options = ["--root", str(ROOT), "--results", str(ROOT / "results/reference"), "--seeds", "5"]
    assert main(["article", "tiny", *options, "--out", str(tmp_path)]) == 0
    text = (tmp_path / "article.md").read_text(encoding="utf-8")
    counts = json.loads((ROOT / "results/reference/tiny/claims/all/claims.json").read_text(encoding="utf-8"))["counts"]
    assert f"{counts['supported']} are supported, {counts['contradicted']} are contradicted" in text
    assert "with 5 seeds each" in text
    assert "As the files of the study have them." in text
    pictures = re.findall(r"^!\[.*\]\((.+)\)$", text, re.MULTILINE)
    assert len(pictures) >= 6
    assert all((tmp_path / picture).is_file() for picture in pictures)


def test_the_bill_of_materials_of_the_page_has_the_pins(tmp_path):
    page = (ROOT / "docs/archive.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    (cyclonedx-py .*)$", page, re.MULTILINE)
    name, *arguments = command.replace("sbom.cdx.json", str(tmp_path / "sbom.json")).split()
    program = Path(sys.executable).with_name(name)
    subprocess.run([program, *arguments, "--no-validate"], cwd=ROOT, check=True, capture_output=True)  # seconds
    bill = json.loads((tmp_path / "sbom.json").read_text(encoding="utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    found = {
        component["name"].lower().replace("_", "-"): component["version"].partition("+")[0]
        for component in bill["components"]
    }
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    for pin in pins:
        package, _, version = pin.partition("==")
        assert found[package.lower()] == version
