"""The whole chain in miniature, with the real commands: from nothing to the report, and from cells back to runs.

The study `chain` is `smoke` with the methods of one stage, of two, and of both losses in one; the others are trained as
these are. The study `plugin` uses what an installed package brings (tests/plugin), a method with its token weight and a
benchmark with its task, and starts from a base model that it trains itself, as world-gpu does.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import unquote

import mlcroissant
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chord.analysis.tables.table import markdown_escape
from chord.archive import article, crate, croissant
from chord.archive.finished import FinishedStudy, finished_study
from chord.errors import UserError
from chord.io.files import read_jsonl, write_jsonl
from chord.io.provenance import file_sha256, folder_sha256, json_hash
from chord.study import load_study
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
CHAIN = """
base: smoke
methods: {sft_light: null, sft_light_rl: null, rl: null, chord_phi: null}
comparisons:
  main:
    methods: [original, sft_best_rl, chord_mu]
    references: [sft_best_rl]
    figures: [fig4, frontier]
  phase_phi: null
tuning:
  search: {sft_best: {values: [5e-4]}, sft_best_rl: {values: [1e-4]}}
base_model: null
bases: null
"""
PLUGIN = """
base: smoke
model: results/plugin/base_model
seeds: 1
base_model:
  steps: 4
  rows_per_step: 8
  architecture: {hidden: 32, layers: 1, heads: 2, kv_heads: 1, mlp: 32}
  gates: {questions: 2, samples: 2, max_response_tokens: 8}
training: {stop_when_hopeless: false}
methods: {doubt: {}}
benchmarks: {world_test: null, last_word: {}}
comparisons:
  main: {methods: [original, doubt], references: [], tables: [table1], figures: []}
  phase_phi: null
bases: null
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
    for name, study in (("chain", CHAIN), ("plugin", PLUGIN)):
        (folder / f"config/studies/{name}.yaml").write_text(study, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(checkout, tmp_path_factory):
    """Run Snakemake on the study `chain`, in another working directory."""
    folder = tmp_path_factory.mktemp("chain")

    def call(*arguments: str) -> subprocess.CompletedProcess:
        options = ("--cores", "2", "--directory", str(folder), "--config", "study=chain")
        return snakemake(checkout, *options, *arguments, environment=SECRETS)

    call.folder = folder
    return call


@pytest.fixture(scope="module")
def results(run) -> Path:
    """results/chain in that directory, finished."""
    run("--", "main")
    return run.folder / "results/chain"


@pytest.fixture(scope="module")
def plugin(checkout, site) -> Path:
    """results/plugin in the checkout, finished; the gates of its base model too."""
    options = ("--cores", "2", "--config", "study=plugin", "--", "tables", "base_model")
    snakemake(checkout, *options, environment={"PYTHONPATH": str(site)})
    return checkout / "results/plugin"


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


def test_snakemakes_own_report_has_tables_figures_and_verdicts(results, run, tmp_path):
    run("--report", str(tmp_path / "report.zip"), "--", "main")
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        held = {Path(name).name for name in archive.namelist()}
        page = archive.read("report/report.html").decode()
    assert {"table1.csv", "table1.html", "costs.html", "fig4.png", "claims.csv", "claims.html", "report.html"} <= held
    for caption in (
        "In brackets are 95 % intervals",
        "one standard deviation over seeds",
        "tests that these runs can fail",
    ):
        assert caption in page


def test_keys_and_tokens_of_the_environment_are_written_nowhere(results):
    files = [path for path in results.parents[1].rglob("*") if path.is_file()]
    assert {".html", ".json", ".log", ".parquet", ".tsv"} <= {path.suffix for path in files}
    assert [path for path in files if b"very-secret" in path.read_bytes()] == []


def test_claims_are_judged(results):
    record = json_of(results / "claims/main/claims.json")
    assert len(record["claims"]) == sum(record["counts"].values()) >= 12
    assert record["sha256"] == file_sha256(ROOT / "config/claims/chord.yaml")
    assert {run for item in record["run_commits"] for run in item["runs"]} >= {
        "runs/sft_best_rl/seed-0",
        "runs/chord_mu/seed-1",
    }
    claims = {claim["name"]: claim for claim in record["claims"]}
    assert claims["chord_phi_above_rl"]["verdict"] == "not measured"
    assert claims["chord_mu_above_sft_best_rl"]["verdict"] != "not measured"
    assert claims["chord_mu_above_sft_best_rl"]["tests"][0]["n_seeds"] == 2


def test_the_search_of_two_stages_starts_from_what_the_search_of_the_first_one_chose(results, run):
    output = run("--", "tune")
    said = output.stdout + output.stderr
    assert "tuning.csv differs from the table that the study trains with (no table)" in said
    with open(results / "tuning.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["value"]) for row in rows] == [
        ("sft_best", "0.0005"),
        ("sft_best_rl", "0.0001"),
    ]
    trial = json_of(results / "tuning/sft_best_rl/trial-0/manifest.json")
    assert trial["inputs"]["start"] == folder_sha256(results / "tuning/sft_best/trial-0/model")
    assert trial["spec"]["seed_index"] == 100


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

    assert rows("original") == rows("chord_mu")


def test_the_token_weight_and_the_task_of_an_installed_package_are_used_and_named(plugin):
    manifest = json_of(plugin / "runs/doubt/seed-0/manifest.json")
    weight = manifest["plugins"]["chord.token_weights:doubt"]
    assert (weight["distribution"], weight["version"], len(weight["sha256"])) == ("chord-doubt", "1.2", 64)
    assert manifest["spec"]["stage"]["token_weight"] == {"name": "doubt", "gamma": 2.0}
    scores = pq.read_table(plugin / "runs/doubt/seed-0/last_word.scores.parquet")
    record = provenance_of(scores.schema)["score"]
    assert record["plugins"] == {"chord.tasks:last_word": weight}
    assert record["tasks_sha256"] == {"last_word": weight["sha256"]}
    assert set(scores["reason"].to_pylist()) <= {"correct", "wrong", "unparsed", "truncated"}
    assert "last_word" in (plugin / "main/tables/table1.csv").read_text(encoding="utf-8")


def test_a_base_model_from_nothing_is_the_start_of_the_methods_and_of_its_gates(plugin):
    base = folder_sha256(plugin / "base_model")
    for run in ("runs/doubt/seed-0", "gates/sft_best", "gates/rl"):
        assert json_of(plugin / run / "manifest.json")["inputs"]["start"] == base
    assert set(json_of(plugin / "gates/gates.json")["gates"]) == {"rl_gain", "sft_dip", "sft_recovery"}


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


@pytest.fixture(scope="module")
def finished(results) -> FinishedStudy:
    return finished_study("chain", ROOT, results.parent, None)


def test_a_crate_holds_every_file_with_its_hash_and_what_made_it(finished, tmp_path):
    crate.run(finished, tmp_path / "crate")
    graph = {item["@id"]: item for item in json_of(tmp_path / "crate" / crate.METADATA)["@graph"]}
    files = {name: item for name, item in graph.items() if "File" in item["@type"]}
    places = [path for path in (tmp_path / "crate").rglob("*") if path.is_file() and path.name != crate.METADATA]
    assert {path.relative_to(tmp_path / "crate").as_posix() for path in places} == {*map(unquote, files)}
    for name, item in files.items():
        assert item["sha256"] == file_sha256(tmp_path / "crate" / unquote(name))
    assert {part["@id"] for part in graph["./"]["hasPart"]} == set(files)
    start_model = "models/world-base/model.safetensors"
    assert [name for name in files if name.endswith(".safetensors")] == [start_model]
    assert load_study("chain", tmp_path / "crate").title == finished.study.title  # it is a workflow of its own

    def ids(value: dict | list[dict]) -> set[str]:
        return {item["@id"] for item in (value if isinstance(value, list) else [value])}

    place, run = "results/chain", "runs/sft_best_rl/seed-0"
    made = graph[f"#made-{run}/manifest.json"]
    manifest = json_of(finished.folder / run / "manifest.json")
    start, end = (f"#sha256-{digest}" for digest in (manifest["inputs"]["start"]["model.safetensors"],
                                                     manifest["files"]["model/model.safetensors"]))  # fmt: skip
    assert {f"{place}/data/rl.jsonl", f"{place}/data/validation.jsonl", start} <= ids(made["object"])
    assert {f"{place}/{run}/curves.csv", end} <= ids(made["result"])
    first = graph["#made-runs/sft_best/seed-0/manifest.json"]
    assert (start in ids(first["result"]), start_model in ids(first["object"])) == (True, True)
    table = graph["#made-main/tables/table1.manifest.json"]
    cells = {f"{place}/main/cells.parquet", f"{place}/main/differences.parquet"}
    assert ids(table["object"]) == cells | {"config/paper/reported.yaml"}
    assert ids(table["result"]) == {f"{place}/main/tables/table1.{kind}" for kind in ("csv", "md", "tex", "html")}
    whole = graph["#workflow-run"]
    assert whole["instrument"] == {"@id": "Snakefile"}
    assert f"{place}/report.html" in ids(whole["result"])
    search = {"tuning", "tuning.csv", "tuning.manifest.json"}  # there if another test has run it
    assert {name.split("/")[2] for name in ids(whole["result"])} - search == {"main", "claims", "report.html"}
    assert str(finished.folder.parents[1]) not in (tmp_path / "crate" / crate.METADATA).read_text(encoding="utf-8")


def test_a_crate_is_not_made_of_files_that_were_changed(finished, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / "chain", symlinks=True)
    with (folder / "runs/chord_mu/seed-1/curves.csv").open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(UserError, match=r"runs/chord_mu/seed-1/curves\.csv: changed or cut off"):
        crate.run(finished_study("chain", ROOT, tmp_path, None), tmp_path / "crate")
    assert not (tmp_path / "crate").exists()


def test_a_folder_that_is_no_crate_is_not_replaced(finished, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="exists and is no crate"):
        crate.run(finished, tmp_path)
    assert (tmp_path / "thesis.tex").is_file()


def test_croissant_reads_the_rows_as_they_are(finished):
    out = finished.folder / "croissant.json"
    croissant.run(finished, out)
    dataset = mlcroissant.Dataset(out)
    assert not dataset.metadata.ctx.issues.warnings
    names = [records.id for records in dataset.metadata.record_sets]
    assert names == ["benchmarks/world_test", "experts", "rl", "sft", "validation"]
    rows = read_jsonl(finished.folder / "data/experts.jsonl")
    found = [as_row(record, "experts") for record in dataset.records("experts")]
    assert found == [{key: value for key, value in row.items() if key != "meta"} for row in rows]


def as_row(value, name: str):
    """A record without the name of its record set in each key; texts are bytes there."""
    if isinstance(value, dict):
        return {key.rpartition("/")[2]: as_row(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [as_row(item, name) for item in value]
    return value.decode() if isinstance(value, bytes) else value


def test_an_article_has_the_tables_and_verdicts_and_keeps_what_was_written_by_hand(finished, tmp_path):
    article.run(finished, tmp_path)
    text = (tmp_path / "article.md").read_text(encoding="utf-8")
    for table in sorted((finished.folder / "main/tables").glob("*.md")):
        assert table.read_text(encoding="utf-8").strip() in text
    for claim in json_of(finished.folder / "claims/main/claims.json")["claims"]:
        for test in claim["tests"]:
            assert markdown_escape(test["found"] or test["missing"] or "no interval") in text
    runs = [json_of(path) for path in finished.folder.glob("runs/*/*/manifest.json")]
    assert f"{len(runs)} runs took {sum(run['result']['train_minutes'] for run in runs):.1f} minutes" in text
    assert text.count("**To be written:**") == 5  # there was no contact with the authors
    pdf = (tmp_path / "article.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Subtype /Image") >= len(finished.study.comparisons["main"].figures)
    by_hand = (tmp_path / "by-hand.md").read_text(encoding="utf-8")
    (tmp_path / "by-hand.md").write_text(by_hand.replace("# What was easy\n", "# What was easy\n\nSums.\n"))
    article.run(finished, tmp_path)
    text = (tmp_path / "article.md").read_text(encoding="utf-8")
    assert "### What was easy\n\nSums.\n" in text
    assert text.count("**To be written:**") == 4
