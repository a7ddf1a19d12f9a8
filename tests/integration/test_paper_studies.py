"""The studies that no machine of the tests could run: Snakemake plans all of their jobs, before anything is fetched."""

import re
from pathlib import Path

import pytest

from chord.study import load_study
from tests.helpers.workflow import ROOT, copy_checkout, snakemake

pytestmark = pytest.mark.slow
# One of each kind: mathematics, tool calls, a judge's rubrics, two datasets, a base model of its own. The others are
# overlays of these, and test_study_shipped.py makes the specification of each of their jobs.
STUDIES = ("paper-math", "paper-tool", "paper-medicine", "small-gpu", "world-gpu")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    return copy_checkout(tmp_path_factory.mktemp("paper") / "checkout")


@pytest.mark.parametrize("name", STUDIES)
def test_every_job_is_planned(checkout, name):
    study = load_study(name, ROOT)
    shown = {method for name in study.regular for method in study.comparisons[name].methods}
    trained = {step.name for method in shown for step in study.needed(method) if study.trains(step.name)}
    output = snakemake(checkout, "-n", "--quiet", "host", "--config", f"study={name}").stdout
    (runs,) = set(re.findall(r"^train +(\d+)$", output, re.MULTILINE))  # the table of jobs stands there twice
    assert int(runs) == len(trained) * len(study.seed_indices)
    assert bool(re.search(r"^pretrain +1$", output, re.MULTILINE)) == (name == "world-gpu")
    assert bool(re.search(r"^repository +\d+$", output, re.MULTILINE)) == (name != "world-gpu")
