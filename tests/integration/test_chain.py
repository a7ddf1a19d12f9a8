"""The whole chain in miniature, with the real commands: from nothing to the report, and from cells back to runs.

The study is `smoke` without SFT-light and RL after it, which are trained as SFT-best and RL after it are. A study based
on it uses what an installed package brings (tests/plugin): a method with its token weight, a benchmark with its task.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from chord.io.files import write_jsonl
from chord.io.provenance import file_sha256, folder_sha256, json_hash
from tests.helpers.workflow import ROOT, copy_checkout, snakemake

pytestmark = pytest.mark.slow
SECRETS = {name: f"sk-very-secret-{name}" for name in ("HF_TOKEN", "OPENAI_API_KEY", "WANDB_API_KEY", "GITHUB_TOKEN")}
METHOD = """
title: Doubt
paper: not in the paper
stage: {kind: hybrid, schedule: {name: constant, mu: 0.1}, token_weight: {name: doubt, gamma: 2}}
"""
BENCHMARK = """
title: Last word
role: unrelated
columns: {all: Last word}
decodings: {short: {k: 2, temperature: 1.0, max_response_tokens: 32}}
decoding: short
batch_rows: 32
questions: 4
data:
  source:
    {kind: columns, folder: words, files: [test.jsonl], task: last_word, columns: {question: question, answer: answer}}
"""
PLUGIN = """
base: smoke
seeds: 1
methods: {doubt: {}}
benchmarks: {world_test: null, last_word: {}}
comparisons:
  main: {methods: [original, doubt], references: [], tables: [table1], figures: []}
  phase_phi: null
claims: null
tuning: null
"""
# In the words of the world's model.
ROWS = [{"question": f"largest of 1 is {n} , 2 is 3 , 3 is 9 , 4 is 0 ?", "answer": str(n)} for n in (1, 2, 4, 5)]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Where pip put the package: built from a copy, without a network."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(ROOT / "tests/plugin", folder / "source")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(folder / "site")]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(folder / "source")], check=True)
    return folder / "site"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    folder = copy_checkout(tmp_path_factory.mktemp("checkout"))
    (folder / "config/methods/doubt.yaml").write_text(METHOD, encoding="utf-8")
    (folder / "config/benchmarks/last_word.yaml").write_text(BENCHMARK, encoding="utf-8")
    (folder / "words").mkdir()
    write_jsonl(folder / "words/test.jsonl", ROWS)
    (folder / "config/studies/plugin.yaml").write_text(PLUGIN, encoding="utf-8")
    path = folder / "config/studies/smoke.yaml"
    study = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name in ("sft_light", "sft_light_rl"):
        del study["methods"][name]
        study["comparisons"]["main"]["methods"].remove(name)
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(checkout, site, tmp_path_factory):
    """Run Snakemake on a study, in another working directory."""
    folder = tmp_path_factory.mktemp("chain")
    environment = SECRETS | {"PYTHONPATH": str(site)}

    def call(*arguments: str, study: str = "smoke") -> subprocess.CompletedProcess:
        options = ("--cores", "2", "--directory", str(folder), "--config", f"study={study}")
        return snakemake(checkout, *options, *arguments, environment=environment)

    call.folder = folder
    return call


@pytest.fixture(scope="module")
def results(run) -> Path:
    """results/smoke in that directory, finished."""
    run("--", "main")
    return run.folder / "results/smoke"


def json_of(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def provenance_of(schema: pa.Schema) -> dict:
    return json.loads(schema.metadata[b"chord"])


def test_nothing_is_left_to_do(results, run):
    assert "Nothing to be done" in run("-n", "--", "main").stdout


def test_tables_figures_and_report(results):
    for kind in ("csv", "md", "tex"):
        table = (results / f"main/tables/table1.{kind}").read_text(encoding="utf-8")
        assert "CHORD" in table
    assert (results / "main/figures/fig4.png").read_bytes().startswith(b"\x89PNG")
    assert (results / "main/figures/fig4.pdf").read_bytes().startswith(b"%PDF")
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "numbers mean nothing" in page
    assert 'src="http' not in page


def test_keys_and_tokens_of_the_environment_are_written_nowhere(results):
    files = [path for path in results.parents[1].rglob("*") if path.is_file()]
    assert {".html", ".json", ".log", ".parquet", ".tsv"} <= {path.suffix for path in files}
    assert [path for path in files if b"very-secret" in path.read_bytes()] == []


def test_claims_are_judged(results):
    record = json_of(results / "claims/main/claims.json")
    assert len(record["claims"]) == sum(record["counts"].values()) >= 12
    assert record["sha256"] == file_sha256(ROOT / "config/claims/chord.yaml")
    assert {run for item in record["run_commits"] for run in item["runs"]} >= {"runs/rl/seed-0", "runs/chord_mu/seed-1"}
    phi = next(claim for claim in record["claims"] if claim["name"] == "chord_phi_above_rl")
    assert phi["verdict"] != "not measured"
    assert phi["tests"][0]["n_seeds"] == 2


def test_search_and_gates_of_a_new_base_model(results, run):
    """A search of SFT + RL starts from the SFT that the search chose; a base from nothing is tried by SFT and RL."""
    output = run("--", "tune", "base_model")
    said = output.stdout + output.stderr
    assert "tuning.csv differs from the table that the study trains with (no table)" in said
    assert "The weights differ from those of" in said
    with open(results / "tuning.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["value"]) for row in rows] == [
        ("sft_best", "0.0005"),
        ("sft_best", "0.001"),
        ("sft_best_rl", "0.0001"),
        ("sft_best_rl", "0.0003"),
    ]
    (chosen,) = [row["trial"] for row in rows if row["method"] == "sft_best" and row["chosen"] == "yes"]
    trial = json_of(results / "tuning/sft_best_rl/trial-0/manifest.json")
    assert trial["inputs"]["start"] == folder_sha256(results / f"tuning/sft_best/trial-{chosen}/model")
    assert trial["spec"]["seed_index"] == 100
    gates = json_of(results / "gates/gates.json")["gates"]
    assert set(gates) == {"rl_gain", "sft_dip", "sft_recovery"}
    probe = json_of(results / "gates/rl/manifest.json")
    assert probe["inputs"]["start"] == folder_sha256(results / "base_model")


def test_a_cell_leads_back_to_its_runs(results):
    cells = pq.read_table(results / "main/cells.parquet")
    assert provenance_of(cells.schema)["spec_hash"]
    cell = next(row for row in cells.to_pylist() if (row["method"], row["metric"]) == ("sft_best_rl", "accuracy"))
    assert cell["n_seeds"] == len(cell["runs"]) == 2
    for run in cell["runs"]:
        folder = results / run
        manifest = json_of(folder / "manifest.json")
        assert manifest["spec_hash"] == json_hash(manifest["spec"])
        start = results / "runs/sft_best" / folder.name / "model"
        assert manifest["inputs"]["start"] == folder_sha256(start)
        assert manifest["inputs"]["prompts"] == file_sha256(results / "data/rl.jsonl")
        assert "experts" not in manifest["inputs"]  # pure RL reads none
        identity = provenance_of(pq.read_schema(folder / f"{cell['benchmark']}.scores.parquet"))
        assert identity["method"] == "sft_best_rl"
        assert identity["seed_index"] == manifest["spec"]["seed_index"]


def test_the_costs_of_a_method_are_those_of_all_runs_behind_it(results):
    with open(results / "main/tables/costs.csv", newline="", encoding="utf-8") as file:
        rows = {(row["method"], row["metric"]): row for row in csv.DictReader(file)}
    for metric, key in (("trained_tokens", "train_tokens"), ("weighted_expert_rows", "weighted_expert_rows")):
        row = rows["sft_best_rl", metric]
        spent = {run: json_of(results / run / "manifest.json")["result"][key] for run in row["runs"].split()}
        assert len(spent) == 4  # two stages, two seeds
        assert float(row["estimate"]) == pytest.approx(sum(spent.values()) / 2)


def test_methods_of_a_seed_share_their_questions(results):
    """Paired: the same questions and the same noise for every method."""

    def rows(method: str) -> list[tuple]:
        table = pq.read_table(results / f"runs/{method}/seed-1/world_test.completions.parquet").to_pydict()
        return list(zip(table["prompt_id"], table["sample"], table["seed"], strict=True))

    assert rows("original") == rows("chord_phi")


def test_the_token_weight_and_the_task_of_an_installed_package_are_used_and_named(run):
    run("--", "tables", study="plugin")
    results = run.folder / "results/plugin"
    manifest = json_of(results / "runs/doubt/seed-0/manifest.json")
    weight = manifest["plugins"]["chord.token_weights:doubt"]
    assert (weight["distribution"], weight["version"], len(weight["sha256"])) == ("chord-doubt", "1.2", 64)
    assert manifest["spec"]["stage"]["token_weight"] == {"name": "doubt", "gamma": 2.0}
    scores = pq.read_table(results / "runs/doubt/seed-0/last_word.scores.parquet")
    record = provenance_of(scores.schema)["score"]
    assert record["plugins"] == {"chord.tasks:last_word": weight}
    assert record["tasks_sha256"] == {"last_word": weight["sha256"]}
    assert set(scores["reason"].to_pylist()) <= {"correct", "wrong", "unparsed", "truncated"}
    assert "last_word" in (results / "main/tables/table1.csv").read_text(encoding="utf-8")


def test_without_the_package_its_names_are_refused_with_the_known_ones(checkout):
    command = [sys.executable, "-m", "chord", "check", "plugin", "--root", str(checkout)]
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    checked = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert checked.returncode == 2
    for file, key, words in (
        ("config/methods/doubt.yaml", "stage.token_weight", ("'doubt'", "entropy_norm", "power")),
        ("config/benchmarks/last_word.yaml", "data.source.task", ("'last_word'", "math", "tool_call")),
    ):
        (line,) = [line for line in checked.stderr.splitlines() if file in line]
        assert key in line
        assert all(word in line for word in words)
