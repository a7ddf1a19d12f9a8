"""Run as a process: SFT steps of a random Qwen2 on the CPU. Prints the bytes that they needed beyond the imports."""

import json
import resource
import sys
import tempfile
from pathlib import Path

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from chord.training.build import build_trainer
from chord.training.sequences import Sequence
from chord.training.train_spec import TrainSpec
from chord.world.tokenizer import build_tokenizer


def main(config: dict, rows: int, length: int, scale: dict | None = None, lora: dict | None = None) -> int:
    tokenizer = build_tokenizer(length)
    decoding = {"temperature": 1.0, "max_response_tokens": 1}
    spec = TrainSpec.model_validate(
        {
            "study_seed": 1,
            "seed_index": 0,
            "save_every": 100,
            "scale": scale or {},
            "validation": {"k": 1, "decoding": decoding, "batch_rows": 1},
            "stage": {
                "kind": "sft",
                "lora": lora,
                "epochs": 2,
                "optimizer": {"lr": 1e-4},
                "micro_batch_tokens": rows * length,
                "expert_rows_per_step": rows,
                "keep": "last",
                "validate_every": 100,
            },
        }
    )
    experts = [Sequence([1, 2, row], [5] * (length - 3)) for row in range(rows)]
    before = _resident()
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**config))
    with tempfile.TemporaryDirectory() as folder:
        build_trainer(spec, model, tokenizer, [], experts, Path(folder)).train()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    print(main(*json.loads(sys.argv[1])))
