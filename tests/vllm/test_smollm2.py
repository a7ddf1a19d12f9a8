"""A real language model in vLLM on the CPU: the greedy answers that it gives in transformers and llama.cpp."""

from importlib.util import find_spec

import pytest

from chord.rollouts import Decoding, encode_prompts
from chord.rollouts.backends import VllmBackend
from chord.rollouts.huggingface import load_model, stop_tokens
from chord.rollouts.vllm import VllmEngine
from tests.helpers.smollm2 import ANSWERS, MODEL_FOLDER, fetched_root
from tests.vllm.server import SETTINGS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: make test-vllm installs it"),
]


def test_greedy_answers_to_five_questions(tmp_path):
    folder = fetched_root(tmp_path / "root").path / MODEL_FOLDER
    model, tokenizer = load_model(folder)
    engine = VllmEngine(folder, stop_tokens(model, tokenizer)[1], "float32", VllmBackend(**SETTINGS))
    prompts = encode_prompts(tokenizer, [{"messages": [{"role": "user", "content": question}]} for question in ANSWERS])
    samples = engine.generate(prompts, [1] * len(prompts), Decoding(temperature=0, max_response_tokens=40))
    texts = [tokenizer.decode(sample.token_ids, skip_special_tokens=True) for sample in samples]
    assert texts == list(ANSWERS.values())
