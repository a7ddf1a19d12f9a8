"""A study with the token weight and the task of an installed package (tests/plugin), from its rows to its tables."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from chord.io.files import read_json, write_jsonl
from tests.helpers.workflow import ROOT, copy_checkout, snakemake

pytestmark = pytest.mark.slow
PLUGIN = ROOT / "tests/plugin"
STUDY = ["--config", "study=smoke", "seeds=1"]
METHOD = {
    "title": "Doubt",
    "paper": "not in the paper",
    "stage": {
        "kind": "hybrid",
        "schedule": {"name": "constant", "mu": 0.1},
        "token_weight": {"name": "doubt", "gamma": 2},
    },
}
BENCHMARK = {
    "title": "Last word",
    "role": "unrelated",
    "columns": {"all": "Last word"},
    "decodings": {"short": {"k": 2, "temperature": 1.0, "max_response_tokens": 32}},
    "decoding": "short",
    "batch_rows": 32,
    "questions": 4,
    "data": {
        "source": {
            "kind": "columns",
            "folder": "words",
            "files": ["test.jsonl"],
            "task": "last_word",
            "columns": {"question": "question", "answer": "answer"},
        }
    },
}
# In the words of the world's model.
ROWS = [{"question": f"largest of 1 is {n} , 2 is 3 , 3 is 9 , 4 is 0 ?", "answer": str(n)} for n in (1, 2, 4, 5)]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Where pip put the package: built from a copy, without a network."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PLUGIN, folder / "source")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(folder / "site")]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(folder / "source")], check=True)
    return folder / "site"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """The study smoke with a method and a benchmark more, and without most of the others, which take their time."""
    folder = copy_checkout(tmp_path_factory.mktemp("checkout"))
    (folder / "config/methods/doubt.yaml").write_text(yaml.safe_dump(METHOD), encoding="utf-8")
    (folder / "config/benchmarks/last_word.yaml").write_text(yaml.safe_dump(BENCHMARK), encoding="utf-8")
    (folder / "words").mkdir()
    write_jsonl(folder / "words/test.jsonl", ROWS)
    path = folder / "config/studies/smoke.yaml"
    study = yaml.safe_load(path.read_text(encoding="utf-8"))
    study["methods"] = {"original": {}, "doubt": {}}
    study["benchmarks"]["last_word"] = {}
    main = {"methods": ["original", "doubt"], "references": [], "tables": ["table1"], "figures": []}
    study["comparisons"] = {"main": study["comparisons"]["main"] | main}
    del study["claims"], study["tuning"]
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    return folder


def test_a_study_uses_an_installed_token_weight_and_task_and_names_their_package(checkout, site):
    snakemake(checkout, "--cores", "2", *STUDY, "--", "tables", environment={"PYTHONPATH": str(site)})
    run = checkout / "results/smoke/runs/doubt/seed-0"
    manifest = read_json(run / "manifest.json")
    weight = manifest["plugins"]["chord.token_weights:doubt"]
    assert (weight["distribution"], weight["version"], len(weight["sha256"])) == ("chord-doubt", "1.2", 64)
    assert manifest["spec"]["stage"]["token_weight"] == {"name": "doubt", "gamma": 2.0}
    scores = pq.read_table(run / "last_word.scores.parquet")
    record = json.loads(scores.schema.metadata[b"chord"])["score"]
    assert record["plugins"] == {"chord.tasks:last_word": weight}
    assert record["tasks_sha256"] == {"last_word": weight["sha256"]}
    assert set(scores["reason"].to_pylist()) <= {"correct", "wrong", "unparsed", "truncated"}
    assert "last_word" in (checkout / "results/smoke/main/tables/table1.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "key", "name", "known"),
    [
        ("config/methods/doubt.yaml", "stage.token_weight", "doubt", ("entropy_norm", "power")),
        ("config/benchmarks/last_word.yaml", "data.source.task", "last_word", ("math", "tool_call")),
    ],
)
def test_without_the_package_its_names_are_refused_with_the_known_ones(checkout, file, key, name, known):
    command = [sys.executable, "-m", "chord", "check", "smoke", "--root", str(checkout)]
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    checked = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert checked.returncode == 2
    (line,) = [line for line in checked.stderr.splitlines() if file in line]
    assert key in line
    assert f"'{name}'" in line
    assert all(other in line for other in known)
