"""Planning stays fast, in user CPU seconds, which other work on the machine changes little (benchmarks/plan.py)."""

import os
import re

import pytest

from tests.helpers.workflow import copy_checkout, pretend_finished, snakemake

pytestmark = pytest.mark.slow


@pytest.fixture
def checkout(tmp_path):
    return copy_checkout(tmp_path / "checkout")


def test_a_thousand_runs_are_planned_in_30_seconds(checkout):
    before = os.times().children_user
    output = snakemake(checkout, "-n", "--quiet", "host", "reason", "--config", "study=tiny", "seeds=53").stdout
    seconds = os.times().children_user - before
    (runs,) = re.findall(r"^train +(\d+)$", output, re.MULTILINE)[:1]
    assert int(runs) >= 1000
    assert seconds <= 30


def test_a_call_with_nothing_to_do_takes_5_seconds(checkout):
    smoke = ("--config", "study=smoke", "--", "main")
    pretend_finished(checkout, *smoke)
    before = os.times().children_user
    assert "Nothing to be done" in snakemake(checkout, *smoke).stderr
    assert os.times().children_user - before <= 5
