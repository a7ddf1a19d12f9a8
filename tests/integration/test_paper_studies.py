"""The studies that no machine of the tests could run: Snakemake plans all of their jobs, before anything is fetched."""

import re
from pathlib import Path

import pytest

from chord.io.files import read_json
from chord.io.provenance import folder_sha256
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
    shown = {method for comparison in study.comparisons.values() for method in comparison.methods}
    trained = {step.name for method in shown for step in study.chain(method) if study.trains(step.name)}
    output = snakemake(checkout, "-n", "--quiet", "host", "--config", f"study={name}").stdout
    (runs,) = set(re.findall(r"^train +(\d+)$", output, re.MULTILINE))  # the table of jobs stands there twice
    assert int(runs) == len(trained) * len(study.seed_indices)
    assert bool(re.search(r"^pretrain +1$", output, re.MULTILINE)) == (name == "world-gpu")
    assert bool(re.search(r"^repository +\d+$", output, re.MULTILINE)) == (name != "world-gpu")


def test_a_start_model_that_the_study_trains_first(checkout):
    """The way of world-gpu, with a model of some thousand weights: base model, experts and a run, for real."""
    (checkout / "config/studies/own.yaml").write_text(
        """
base: world-gpu
model: results/own/base_model
base_model:
  steps: 4
  rows_per_step: 8
  architecture: {hidden: 32, layers: 1, heads: 2, kv_heads: 1, mlp: 32}
  gates: {questions: 2, samples: 2, max_response_tokens: 8}
data: {sft: 8, rl: 4, validation: 2}
validation: {decoding: {max_response_tokens: 8}}
training:
  sft: {expert_rows_per_step: 4, optimizer: {warmup_steps: 0}}
  hybrid:
    steps: 1
    prompts_per_step: 2
    rollouts_per_prompt: 2
    expert_rows_per_step: 4
    decoding: {max_response_tokens: 8}
""",
        encoding="utf-8",
    )
    run = "results/own/runs/chord_phi/seed-0"
    snakemake(checkout, "--cores", "2", "--resources", "gpu=1", "--config", "study=own", "--", f"{run}/manifest.json")
    manifest = read_json(checkout / run / "manifest.json")
    assert manifest["inputs"]["start"] == folder_sha256(checkout / "results/own/base_model")
    assert manifest["result"]["expert_rows"] == 4
