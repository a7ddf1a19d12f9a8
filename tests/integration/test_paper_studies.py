"""The studies that no machine of the tests could run: Snakemake plans all of their jobs, before anything is fetched."""

import re
from pathlib import Path

import pytest

from chord.study import load_study
from tests.integration.workflow import ROOT, copy_checkout, snakemake

pytestmark = pytest.mark.slow
STUDIES = sorted(path.name.removesuffix(".yaml") for path in (ROOT / "config/studies").glob("*.yaml"))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    return copy_checkout(tmp_path_factory.mktemp("paper") / "checkout")


@pytest.mark.parametrize("name", [name for name in STUDIES if load_study(name, ROOT).gpu])
def test_every_job_is_planned(checkout, name):
    study = load_study(name, ROOT)
    shown = {method for comparison in study.comparisons.values() for method in comparison.methods}
    trained = {step.name for method in shown for step in study.chain(method) if study.trains(step.name)}
    output = snakemake(checkout, "-n", "--quiet", "host", "--config", f"study={name}").stdout
    (runs,) = set(re.findall(r"^train +(\d+)$", output, re.MULTILINE))  # the table of jobs stands there twice
    assert int(runs) == len(trained) * len(study.seed_indices)
    assert bool(re.search(r"^pretrain +1$", output, re.MULTILINE)) == (name == "world-gpu")
    assert bool(re.search(r"^repository +\d+$", output, re.MULTILINE)) == (name != "world-gpu")
