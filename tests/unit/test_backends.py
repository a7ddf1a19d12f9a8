"""Backends: what a configuration may say, what decides completions, and failures told in one line."""

import json
import logging
from pathlib import Path

import pytest
import torch
from openai.types.chat import ChatCompletionMessage
from pydantic import TypeAdapter, ValidationError
from transformers import AutoModelForCausalLM

from chord.errors import UserError
from chord.evaluation.generate_spec import GenerateSpec
from chord.experts.experts_spec import ServerSource
from chord.rollouts import Backend, Decoding, server
from chord.rollouts.backends import ServerBackend
from chord.rollouts.huggingface import HuggingFaceEngine
from chord.rollouts.parity import ParityError, check_parity, probe_texts
from chord.rollouts.server import ChatServer, ServerEngine
from chord.study import load_study

ROOT = Path(__file__).parents[2]
TEXTS = [[7, 9, 11, 13, 2], [5, 6, 7]]
DECODING = Decoding(temperature=1, max_response_tokens=4)
SPEC = {
    "study_seed": 7,
    "seed_index": 1,
    "method": "rl",
    "benchmark": "world_test",
    "k": 1,
    "decoding": {"temperature": 1.0, "max_response_tokens": 32},
    "batch_rows": 4,
}


def spec(**backend) -> GenerateSpec:
    return GenerateSpec.model_validate(SPEC | {"backend": backend})


def test_the_default_is_transformers_and_its_workers_decide_nothing():
    assert GenerateSpec.model_validate(SPEC) == spec(kind="huggingface")
    assert (
        spec(kind="huggingface", workers=4).decisive_specification()
        == spec(kind="huggingface").decisive_specification()
    )
    assert spec(kind="huggingface").decisive_specification()["backend"] == {"kind": "huggingface"}


def test_the_backend_decides_but_not_where_a_server_stands():
    here = spec(kind="server", url="http://localhost:8000/v1", model="m")
    there = spec(kind="server", url="https://gpu-7:9000/v1", model="m", concurrency=4, timeout_seconds=60)
    assert here.decisive_specification() == there.decisive_specification()
    contents = [here, spec(kind="server", url="http://localhost:8000/v1", model="n"), spec(kind="vllm")]
    contents += [spec(kind="vllm", max_model_len=512), spec(kind="huggingface")]
    assert len({json.dumps(one.decisive_specification()) for one in contents}) == len(contents)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:8000/v1", "expected a base URL"),
        ("ftp://localhost/v1", "expected a base URL"),
        ("http://user:secret@localhost/v1", "expected no user, password or query"),
        ("http://localhost/v1?key=secret", "expected no user, password or query"),
    ],
)
def test_a_url_holds_no_secret(url, message):
    with pytest.raises(ValidationError, match=message):
        ServerBackend(url=url, model="m")
    with pytest.raises(ValidationError, match=message):
        ServerSource(url=url, model="m", samples=1, decoding=DECODING)


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "tgi"}, {"kind": "vllm", "workers": 2}, {"kind": "server"}, {"kind": "huggingface", "url": "http://a"}],
)
def test_an_unknown_backend_or_key_is_refused(wrong):
    with pytest.raises(ValidationError):
        TypeAdapter(Backend).validate_python(wrong)


def test_a_study_names_its_backend(tmp_path):
    text = (ROOT / "config/studies/smoke.yaml").read_text(encoding="utf-8")

    def study(line: str):
        (tmp_path / "own.yaml").write_text(text.replace("\nsave_every: 2\n", f"\nsave_every: 2\n{line}\n"))
        return load_study(tmp_path / "own.yaml", ROOT)

    assert study("").generate_spec("rl", 0, "world_test")["backend"] == {"kind": "huggingface"}
    vllm = study("generation: {kind: vllm, kv_cache_gib: 2}")
    assert vllm.generate_spec("rl", 0, "world_test")["backend"] == {"kind": "vllm", "kv_cache_gib": 2.0}
    with pytest.raises(UserError, match=r"own.yaml: generation.kind: unknown kind 'vlm'.*did you mean 'vllm'"):
        study("generation: {kind: vlm}")
    with pytest.raises(UserError, match=r"own.yaml: generation.url: .*expected no user"):
        study("generation: {kind: server, model: m, url: 'http://a:b@localhost/v1'}")


@pytest.fixture
def nobody(monkeypatch) -> ServerBackend:
    """A server that is not there: port 9 (discard) of this machine."""
    monkeypatch.setattr(server, "RETRIES", 0)
    return ServerBackend(url="http://127.0.0.1:9/v1", model="m", timeout_seconds=5)


def test_a_server_that_is_not_there_is_one_line_without_the_key(nobody, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    caplog.set_level(logging.DEBUG)
    with pytest.raises(UserError, match=r"^http://127.0.0.1:9/v1: no answer from the server \(") as caught:
        ServerEngine(nobody, [2]).generate([[1, 2]], [3], DECODING)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no answer from the server"):
        ServerEngine(nobody, [2]).score(TEXTS)
    batch = server.Batch(0, [[{"role": "user", "content": "?"}]], [1])
    with pytest.raises(UserError, match="no answer from the server"):
        ChatServer(nobody, DECODING).complete(batch)
    assert "very-secret" not in caplog.text + str(caught.value)


def test_an_empty_prompt_is_refused_before_anything_is_sent(nobody):
    with pytest.raises(UserError, match="prompt 1 has no tokens"):
        ServerEngine(nobody, [2]).generate([[5], []], [1, 2], DECODING)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"content": "5"}, "5"),
        ({"content": None}, ""),
        ({"content": "\n\n5", "reasoning_content": "2 + 3\n"}, "<think>\n2 + 3\n</think>\n\n5"),
        ({"content": "5", "reasoning": "2 + 3"}, "<think>\n2 + 3\n</think>\n\n5"),
        ({"content": "", "reasoning": "2 + 3 is"}, "<think>\n2 + 3 is\n"),  # cut off while it thinks
    ],
)
def test_reasoning_that_a_server_cut_out_comes_back(fields, text):
    message = ChatCompletionMessage.model_validate({"role": "assistant"} | fields)
    assert server._full_text(message) == text


def test_scores_are_those_of_a_plain_forward_pass(tiny_model_dir):
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32)
    model.train()
    scores = HuggingFaceEngine(model, 0, [2], 4).score(TEXTS)
    assert model.training
    for text, found in zip(TEXTS, scores, strict=True):
        loss = model.eval()(torch.tensor([text]), labels=torch.tensor([text])).loss
        assert -sum(found) / (len(text) - 1) == pytest.approx(loss.item(), rel=1e-5)


def test_parity_by_hand():
    expected = [[-1.0, -2.0], [-3.0]]
    assert check_parity(expected, [[-1.0, -2.0006], [-3.0]], "float32", "") == pytest.approx((0.0002, 0.0006))
    with pytest.raises(ParityError, match=r"3 tokens .*mean \|difference\| 0.1, maximum 0.3 nats.*float32. Loaded so"):
        check_parity(expected, [[-1.0, -2.3], [-3.0]], "float32", "Loaded so.")
    with pytest.raises(ParityError, match="maximum 2 nats"):  # one token far off hides in the mean of many
        check_parity([[-1.0] * 100], [[-1.0] * 99 + [-3.0]], "bfloat16", "")
    with pytest.raises(ParityError):
        check_parity(expected, [[-1.0, float("nan")], [-3.0]], "bfloat16", "")


def test_parity_notices_one_stale_tensor(tiny_model_dir):
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32)
    engine = HuggingFaceEngine(model, 0, [2], 4)
    before = engine.score(TEXTS)
    assert check_parity(before, engine.score(TEXTS), "float32", "") == (0, 0)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight *= 1.5
    with pytest.raises(ParityError):
        check_parity(engine.score(TEXTS), before, "float32", "")


def test_probes_are_different_and_short():
    prompts = [[1] * 900, [1] * 900, [1] * 800, [2, 3], [4], [5], [6]]
    assert probe_texts(prompts) == [[1] * 512, [2, 3], [4], [5]]
