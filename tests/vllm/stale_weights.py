"""Tied embeddings after a reload of weights: vLLM keeps the old output layer without a word; the parity check speaks.

Argument: a folder to work in. Prints the lines that the test expects.
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from chord.rollouts.backends import VllmBackend
from chord.rollouts.huggingface import HuggingFaceEngine
from chord.rollouts.parity import ParityError, check_parity
from chord.rollouts.vllm import VllmEngine
from tests.vllm.conftest import SETTINGS

TEXTS = [[1 + (7 * row + 3 * column) % 90 for column in range(40)] for row in range(4)]


def small_model(seed: int, tied: bool = True) -> Qwen2ForCausalLM:
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


def scores(model: Qwen2ForCausalLM) -> list[list[float]]:
    return HuggingFaceEngine(model, 0, [0], 4).score(TEXTS)


def main(folder: Path) -> None:
    small_model(0).save_pretrained(folder)
    old = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    engine = VllmEngine(folder, [0], "float32", VllmBackend(**SETTINGS))
    check_parity(scores(old), engine.score(TEXTS), "float32", "the folder")
    print("loaded: equal")

    new = small_model(1)
    runner = engine.llm.llm_engine.model_executor.driver_worker.worker.model_runner
    # What a trainer sends: tied weights once, as safetensors holds them.
    weights = {name: value for name, value in new.state_dict().items() if name != "lm_head.weight"}
    runner.reload_weights(weights_iterator=iter(weights.items()))
    try:
        check_parity(scores(new), engine.score(TEXTS), "float32", "reload_weights with tied embeddings")
        print("reloaded: equal")
    except ParityError as error:
        print(f"reloaded: {error}")
    # Nothing else is wrong: new weights under the old output layer are exactly what the engine computes.
    mixed = small_model(1, tied=False)
    mixed.load_state_dict(weights | {"lm_head.weight": old.lm_head.weight})
    check_parity(scores(mixed), engine.score(TEXTS), "float32", "the old output layer")
    print("old output layer: equal")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
