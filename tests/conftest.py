"""Fixtures of many tests: the world's tokenizer and a small model with random weights, both on disk."""

import os
from pathlib import Path

import pytest

TEST_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def benchmark_data() -> Path:
    """Folder of real rows, which are not in the repository: CHORD_TEST_DATA, or shared/data beside the checkout."""
    folder = Path(os.environ.get("CHORD_TEST_DATA") or TEST_DATA)
    if not folder.is_dir():
        pytest.skip(f"no real rows at {folder}; CHORD_TEST_DATA names their folder")
    return folder


@pytest.fixture(scope="session")
def tiny_tokenizer():
    from chord.world.tokenizer import build_tokenizer

    return build_tokenizer(max_tokens=256)


def save_tiny_model(folder: Path, tokenizer, **changes) -> Path:
    """A Qwen2 of two layers whose next-token distributions are far from uniform, with its tokenizer."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": False,
        "initializer_range": 0.3,
    }
    tokens = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = Qwen2Config(vocab_size=len(tokenizer), **shape | changes, **tokens)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model_dir(tiny_tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tests must not change it."""
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model", tiny_tokenizer)
