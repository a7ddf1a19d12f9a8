"""docs/tutorial.md: its files, written where it says, and its commands, run in its order as they stand."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from chord.io.files import read_json
from tests.helpers.warm_python import warm_python
from tests.helpers.workflow import ROOT, copy_checkout, planned, snakemake

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
# A file is introduced by its path in a sentence that ends with a colon.
BLOCK = re.compile(r"(?:`([\w./-]+)`[^`\n]*:\n\n)?```(yaml|python|toml|sh)\n(.*?)```", re.DOTALL)
MINE = ("--config", "study=mine")


class Reader:
    """A person who follows the page in a checkout of their own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.site = folder / "site"  # in place of the environment's own packages
        self.variables = {"PYTHONPATH": f"{folder / 'src'}:{self.site}"}

    def follow(self, number: int) -> list[str]:
        """Write the files of a step and run its commands; returns what they print."""
        (section,) = re.findall(rf"^## {number}\. .*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
        printed = []
        for path, kind, text in BLOCK.findall(section):
            if kind == "sh":
                printed += [self.run(*shlex.split(line)) for line in text.splitlines()]
            else:
                (self.folder / path).parent.mkdir(exist_ok=True)
                (self.folder / path).write_text(text, encoding="utf-8")
        return printed

    def run(self, program: str, *arguments: str) -> str:
        if program == "snakemake":
            return snakemake(self.folder, *arguments, environment={"PYTHONPATH": str(self.site)}).stdout
        if program == "pip":
            offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(self.site)]
            command = [sys.executable, "-m", "pip", *arguments, *offline]
        else:
            command = [warm_python(), "-m", program, *arguments]
        variables = os.environ | self.variables
        return subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True, check=True
        ).stdout

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (self.folder / path).write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Reader:
    """A reader after step 3."""
    reader = Reader(copy_checkout(tmp_path_factory.mktemp("tutorial") / "chord"))
    reader.follow(1)
    check, plan = reader.follow(2)
    assert "no problems found" in check
    assert "damped" in plan
    reader.follow(3)
    return reader


def test_the_files_that_step_3_names_are_there(reader):
    (section,) = re.findall(r"^## 3\. .*?(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    named = re.findall(r"`(results/[\w./-]+)`", section)
    assert len(named) == 3
    assert all((reader.folder / name).is_file() for name in named)
    table = (reader.folder / "results/mine/main/tables/table1.md").read_text(encoding="utf-8")
    assert "damped" in table


def test_another_mu_runs_this_method_again_and_no_other(reader):
    reader.edit("config/methods/damped.yaml", "mu: 0.3", "mu: 0.2")
    again = planned(reader.folder, *MINE, "--", "main")
    reader.edit("config/methods/damped.yaml", "mu: 0.2", "mu: 0.3")
    assert {name.split("/")[1] for name in again if name.startswith("runs/")} == {"damped"}


def test_a_part_of_ones_own_trains_one_method(reader, monkeypatch):
    reader.follow(4)
    study = "config/studies/mine.yaml"
    reader.edit(study, "methods: {damped: {}}", "methods: {damped: {}, surprise: {}}")
    reader.edit(study, "[chord_phi, damped]", "[chord_phi, damped, surprise]")
    monkeypatch.setenv("PYTHONPATH", str(reader.site))
    new = planned(reader.folder, *MINE, "--", "main")
    assert {name.split("/")[1] for name in new if name.startswith("runs/")} == {"surprise"}
    reader.run("snakemake", *MINE, "--cores", "2", "--", "results/mine/runs/surprise/seed-0/manifest.json")
    (plugin,) = read_json(reader.folder / "results/mine/runs/surprise/seed-0/manifest.json")["plugins"].values()
    assert (plugin["distribution"], plugin["version"]) == ("own-parts", "0.1")
