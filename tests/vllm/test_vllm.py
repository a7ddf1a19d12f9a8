"""A real vLLM on the CPU, in process and over HTTP, against `generate`, with a checkpoint that the chain trained."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from chord import experts
from chord.errors import UserError
from chord.evaluation import generate, records
from chord.io.files import read_json, read_jsonl, write_jsonl
from chord.io.seeds import derive_seed
from chord.rollouts import Decoding, encode_prompts, fixed_batches, server
from chord.rollouts.backends import ServerBackend, VllmBackend
from chord.rollouts.huggingface import HuggingFaceEngine, load_model, stop_tokens
from chord.rollouts.parity import ParityError, check_parity
from chord.rollouts.sampling import nucleus
from chord.rollouts.server import ServerEngine
from chord.rollouts.vllm import VllmEngine
from chord.tasks import verdict
from tests.helpers.workflow import ROOT
from tests.vllm.server import KEY, SETTINGS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: make test-vllm installs it"),
]
GREEDY = Decoding(temperature=0, max_response_tokens=96)
SAMPLED = Decoding(temperature=1, max_response_tokens=96)
K = 6
SPEC = {
    "study_seed": 7,
    "seed_index": 0,
    "method": "sft_light",
    "benchmark": "world_test",
    "k": K,
    "decoding": SAMPLED.model_dump(),
    "batch_rows": 16,
}


@pytest.fixture(scope="module")
def reference(checkpoint):
    """The engine of transformers, its model and tokenizer."""
    model, tokenizer = load_model(checkpoint)
    return HuggingFaceEngine(model, *stop_tokens(model, tokenizer), batch_size=64), model, tokenizer


@pytest.fixture(scope="module")
def prompts(rows, reference) -> list[list[int]]:
    return encode_prompts(reference[2], read_jsonl(rows))


@pytest.fixture(scope="module")
def vllm(checkpoint, reference) -> VllmEngine:
    return VllmEngine(checkpoint, reference[0].eos_token_ids, "float32", VllmBackend(**SETTINGS))


@pytest.fixture
def served(url, key, reference) -> ServerEngine:
    return ServerEngine(ServerBackend(url=url, model="policy"), reference[0].eos_token_ids)


@pytest.fixture(params=["vllm", "served"])
def engine(request):
    return request.getfixturevalue(request.param)


def seeds(count: int) -> list[int]:
    """The first is the largest that there is."""
    return [2**63 - 1, *(derive_seed(3, number) for number in range(1, count))]


def test_greedy_answers_are_those_of_generate(engine, reference, prompts):
    answers = engine.generate(prompts, seeds(len(prompts)), GREEDY)
    expected = reference[0].generate(prompts, seeds(len(prompts)), GREEDY)
    assert [one.token_ids for one in answers] == [one.token_ids for one in expected]
    assert [one.truncated for one in answers] == [one.truncated for one in expected]


def test_log_probs_are_those_of_the_model(engine, reference, prompts):
    answers = reference[0].generate(prompts, seeds(len(prompts)), SAMPLED)
    texts = [prompt + answer.token_ids for prompt, answer in zip(prompts, answers, strict=True)]
    mean, maximum = check_parity(reference[0].score(texts), engine.score(texts), "float32", "")
    assert mean < 1e-5
    assert maximum < 1e-3


def test_samples_come_from_their_own_seeds(engine, prompts):
    asked = [prompts[0]] * 24
    samples = engine.generate(asked, seeds(24), SAMPLED)
    texts = [tuple(one.token_ids) for one in samples]
    assert len(set(texts)) > 3
    assert [tuple(one.token_ids) for one in engine.generate(asked, seeds(24), SAMPLED)] == texts
    backwards = engine.generate(asked[:3], seeds(24)[2::-1], SAMPLED)
    assert [tuple(one.token_ids) for one in backwards] == texts[2::-1]


def test_more_prompts_than_one_step_takes(engine, prompts):
    """Chunks of a prompt are what seeded requests of a CPU engine die of."""
    asked = prompts * 12
    assert sum(map(len, asked)) > 4096
    samples = engine.generate(asked, seeds(len(asked)), SAMPLED.model_copy(update={"max_response_tokens": 4}))
    assert len({tuple(one.token_ids) for one in samples}) > len(prompts)


def test_an_end_in_the_last_place_is_no_truncation(engine, prompts):
    whole = engine.generate(prompts, seeds(len(prompts)), GREEDY)
    number, shortest = min(enumerate(whole), key=lambda pair: (pair[1].truncated, len(pair[1].token_ids)))
    assert not shortest.truncated
    length = len(shortest.token_ids)
    for limit, truncated in ((length, False), (length - 1, True)):
        decoding = GREEDY.model_copy(update={"max_response_tokens": limit})
        (cut,) = engine.generate([prompts[number]], [1], decoding)
        assert cut.token_ids == shortest.token_ids[:limit]
        assert cut.truncated is truncated


def test_logps_are_of_the_distribution_that_was_drawn_from(vllm, reference, prompts):
    decoding = Decoding(temperature=0.7, top_p=0.8, max_response_tokens=24)
    samples = vllm.generate(prompts, seeds(len(prompts)), decoding)
    for prompt, sample in zip(prompts, samples, strict=True):
        with torch.no_grad():
            logits = reference[1](torch.tensor([prompt + sample.token_ids])).logits[0, len(prompt) - 1 : -1] / 0.7
        expected = nucleus(logits, 0.8).log_softmax(-1).gather(1, torch.tensor(sample.token_ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(sample.logps), expected, atol=1e-3, rtol=1e-3)
    (greedy,) = vllm.generate(prompts[:1], [1], GREEDY)
    assert greedy.logps == [0.0] * len(greedy.token_ids)


def test_impossible_requests_are_one_line(vllm, served, prompts, url, monkeypatch):
    long = SAMPLED.model_copy(update={"max_response_tokens": 300})
    with pytest.raises(UserError, match=r"max_response_tokens = 300 need \d+ positions, the model has 256"):
        vllm.generate(prompts, seeds(len(prompts)), long)
    with pytest.raises(UserError, match=r"model 'policy': HTTP 400: .*256") as caught:
        served.generate(prompts, seeds(len(prompts)), long)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"model 'other': HTTP 404: .*other"):
        ServerEngine(ServerBackend(url=url, model="other"), [2]).generate(prompts[:1], [1], SAMPLED)
    monkeypatch.setattr(server, "RETRIES", 0)
    monkeypatch.setenv("OPENAI_API_KEY", "not-the-key")
    with pytest.raises(UserError, match="the server refuses the key") as caught:
        served.generate(prompts[:1], [1], SAMPLED)
    assert "not-the-key" not in str(caught.value)


def test_a_server_of_other_weights_is_found_out(url, key, rows, tmp_path):
    spec = SPEC | {"backend": {"kind": "server", "url": url, "model": "policy"}}
    with pytest.raises(ParityError, match="The server serves other weights"):
        generate.run(spec, ROOT / "models/world-base", rows, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def command(*arguments: object, batches: int | None = None) -> subprocess.Popen:
    """`chord` in a process of its own; with `batches` one that hangs behind them."""
    start = ["-m", "chord"] if batches is None else ["-m", "tests.vllm.killed", str(batches)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OPENAI_API_KEY": KEY}
    return subprocess.Popen([sys.executable, *start, *map(str, arguments)], env=environment, start_new_session=True)


def kill_behind(parts: Path, batches: int, *arguments: object) -> None:
    process = command(*arguments, batches=batches)
    last = parts / f"batch-{batches - 1:06d}.parquet"
    while not last.exists() and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert len(list(parts.glob("batch-*.parquet"))) == batches


@pytest.mark.parametrize("kind", ["vllm", "server"])
def test_a_killed_generate_repeats_and_loses_nothing(kind, request, checkpoint, rows, reference, prompts, tmp_path):
    out = tmp_path / "out.parquet"
    parts = tmp_path / ".out.parquet.parts"
    backend = {"kind": "vllm"} | SETTINGS
    if kind == "server":
        backend = {"kind": "server", "url": request.getfixturevalue("url"), "model": "policy"}
    spec = SPEC | {"backend": backend}
    arguments = ("generate", "--spec", json.dumps(spec), "--model", checkpoint, "--rows", rows, "--out", out)
    kill_behind(parts, 2, *arguments)
    assert not out.exists()
    finished = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in parts.glob("batch-*")}
    kept = [pq.read_table(parts / name) for name in sorted(finished)]
    assert command(*arguments).wait() == 0
    assert not parts.exists()

    table = pq.read_table(out)
    ids = [row["id"] for row in read_jsonl(rows)]
    assert table["prompt_id"].to_pylist() == [name for name in ids for _ in range(K)]
    assert table["sample"].to_pylist() == list(range(K)) * len(ids)
    asked = [ids for ids in prompts for _ in range(K)]
    places = fixed_batches(asked, SPEC["batch_rows"])
    for batch, part in enumerate(kept):  # what was finished is what stands in the result
        assert table.take(places[batch])["text"].to_pylist() == part["text"].to_pylist()
    # The rest is what a straight run gives: the same engine, batch by batch.
    engine = request.getfixturevalue("vllm" if kind == "vllm" else "served")
    found = table.to_pydict()
    for members in places:
        samples = engine.generate([asked[i] for i in members], [found["seed"][i] for i in members], SAMPLED)
        texts = [reference[2].decode(one.token_ids, skip_special_tokens=True) for one in samples]
        assert [found["text"][i] for i in members] == texts
        assert [found["truncated"][i] for i in members] == [one.truncated for one in samples]
    record = records.read_record(out)
    assert record["spec"]["backend"]["kind"] == kind
    assert KEY not in json.dumps(record)
    assert record.get("server") == (backend["url"] if kind == "server" else None)


def test_a_tied_output_layer_gets_new_weights_only_by_its_own_name(tmp_path):
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    script = [sys.executable, "-m", "tests.vllm.stale_weights", str(tmp_path)]
    done = subprocess.run(script, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines() if line.startswith(("tied, ", "untied, ")))
    stale = lines.pop("tied, once")
    assert "log-probabilities of 156 tokens differ" in stale
    assert set(lines.values()) == {"equal"}
    assert len(lines) == 5


def test_experts_from_a_server_are_verified_and_go_on_after_a_kill(url, key, chain, checkpoint, tmp_path):
    prompts = tmp_path / "sft.jsonl"
    write_jsonl(prompts, read_jsonl(chain / "results/smoke/data/sft.jsonl")[:12])
    source = {"kind": "server", "url": url, "model": "policy", "samples": 8, "batch_rows": 24}
    source["decoding"] = SAMPLED.model_dump()
    spec = {"seed": 5, "max_response_tokens": 96, "choose": "shortest", "source": source}
    straight = experts.run(spec, prompts, checkpoint, tmp_path / "straight.jsonl")
    assert sum(straight["rejected_trajectories"].values()) + straight["kept"] == 8 * 12
    rows = read_jsonl(tmp_path / "straight.jsonl")
    assert 0 < len(rows) == straight["kept"]
    for row in rows:
        assert row["source"] == "server"
        assert verdict(row, row["response"], False).correct

    out = tmp_path / "killed.jsonl"
    arguments = ("experts", "--spec", json.dumps(spec), "--prompts", prompts, "--policy", checkpoint, "--out", out)
    kill_behind(tmp_path / ".killed.jsonl.parts", 2, *arguments)
    assert command(*arguments).wait() == 0
    assert out.read_bytes() == (tmp_path / "straight.jsonl").read_bytes()
    killed = read_json(tmp_path / "killed.manifest.json")
    assert killed["rejected_trajectories"] == straight["rejected_trajectories"]
    assert KEY not in json.dumps(killed)


def test_experts_from_vllm_in_process(chain, checkpoint, tmp_path):
    prompts = tmp_path / "sft.jsonl"
    write_jsonl(prompts, read_jsonl(chain / "results/smoke/data/sft.jsonl")[:8])
    source = {"kind": "model", "folder": str(checkpoint), "samples": 8, "batch_rows": 32}
    source |= {"decoding": SAMPLED.model_dump(), "backend": {"kind": "vllm"} | SETTINGS}
    spec = {"seed": 5, "max_response_tokens": 96, "source": source}
    out = tmp_path / "experts.jsonl"
    arguments = ("experts", "--spec", json.dumps(spec), "--prompts", prompts, "--policy", checkpoint, "--out", out)
    assert command(*arguments).wait() == 0
    found = read_json(tmp_path / "experts.manifest.json")
    assert found["kept"] == len(read_jsonl(out)) > 0
    assert sum(found["rejected_trajectories"].values()) + found["kept"] == 8 * 8
    assert all(verdict(row, row["response"], False).correct for row in read_jsonl(out))
