"""Weights given to vLLM again, with a tied output layer and with one of its own.

Without `under_all_names` vLLM keeps the old tied layer without a word, and the parity check speaks.
Argument: a folder to work in. Prints the lines that the test expects.
"""

import sys
from pathlib import Path

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from chord.rollouts import Decoding
from chord.rollouts.backends import VllmBackend
from chord.rollouts.huggingface import HuggingFaceEngine
from chord.rollouts.parity import ParityError, check_parity
from chord.rollouts.vllm import VllmEngine
from chord.training.scale.sync import under_all_names
from tests.vllm.server import SETTINGS

TEXTS = [[1 + (7 * row + 3 * column) % 90 for column in range(40)] for row in range(4)]


def small_model(seed: int, tied: bool) -> Qwen2ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=96,
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=tied,
        initializer_range=0.1,
        dtype="float32",
    )
    return Qwen2ForCausalLM(config).eval()


def reference(model: Qwen2ForCausalLM) -> HuggingFaceEngine:
    return HuggingFaceEngine(model, 0, [0], 4)


def try_weights(name: str, folder: Path, tied: bool) -> None:
    old, new = small_model(0, tied), small_model(1, tied)
    old.save_pretrained(folder)
    engine = VllmEngine(folder, [0], "float32", VllmBackend(**SETTINGS), in_training=True)
    check_parity(reference(old).score(TEXTS), engine.score(TEXTS), "float32", "the folder")
    print(f"{name}, loaded: equal")

    aliases = new.all_tied_weights_keys
    once = {one: weight for one, weight in new.state_dict().items() if one not in aliases}  # as in the model's files
    for how, weights in (("once", once.items()), ("mended", under_all_names(once.items(), aliases))):
        engine.load_weights(weights)
        try:
            check_parity(reference(new).score(TEXTS), engine.score(TEXTS), "float32", how)
            print(f"{name}, {how}: equal")
        except ParityError as error:
            print(f"{name}, {how}: {error}")
            # Nothing else is wrong: new weights under the old output layer are exactly what the engine computes.
            mixed = small_model(1, tied=False)
            mixed.load_state_dict(once | {"lm_head.weight": old.lm_head.weight})
            check_parity(reference(mixed).score(TEXTS), engine.score(TEXTS), "float32", "the old output layer")
    greedy = Decoding(temperature=0, max_response_tokens=24)
    answers = [source.generate(TEXTS, [0] * 4, greedy) for source in (engine, reference(new))]
    assert [one.token_ids for one in answers[0]] == [one.token_ids for one in answers[1]]
    engine.close()


if __name__ == "__main__":
    for name, tied in (("tied", True), ("untied", False)):
        try_weights(name, Path(sys.argv[1]) / name, tied)
