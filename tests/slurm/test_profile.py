"""How many entries of the queue a large study makes with the profile, from Snakemake's plan; needs no cluster."""

import re

import pytest

from tests.helpers.workflow import ROOT, snakemake

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def test_a_study_of_500_runs_makes_a_few_hundred_entries():
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the extra `slurm` of this package is not installed")
    plan = ["-n", "--forceall", "--workflow-profile", "profiles/slurm"]  # as if there were no results
    plan = snakemake(ROOT, *plan, "--quiet", "host", "reason", "--config", "study=tiny", "seeds=27").stdout
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", plan, re.MULTILINE)}
    runs = jobs["train"]
    assert runs > 500
    assert jobs["total"] > 5 * runs
    groups = re.findall(r"^\[.*\] Group job (\w+)", plan, re.MULTILINE)
    alone = re.findall(r"^Job \d+: (\w+)", plan, re.MULTILINE)  # jobs of a group are indented
    assert len(alone) == 1  # the expert trajectories
    assert groups.count("data") == groups.count("analysis") == 1
    assert groups.count("evaluation") <= -(-jobs["generate"] // 10)
    assert groups.count("training") <= -(-runs // 4)  # fewer, as runs that start from another's result go with it
    assert len(groups) < 250


def test_long_runs_have_an_entry_each():
    plan = ["-n", "--forceall", "--workflow-profile", "profiles/slurm", "--quiet", "host", "reason"]
    plan = snakemake(ROOT, *plan, "--config", "study=paper-math").stdout
    assert "Group job evaluation" in plan
    assert "Group job training" not in plan
