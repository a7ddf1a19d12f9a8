"""The memory of SFT steps of a random Qwen2 on the CPU beside what `chord plan` estimates.

Shows the peak of the tensors that are alive, which is the same on every machine and which a test compares with the
estimate, and the peak of the resident memory beyond the imports, which is not. Use (about ten seconds):

    python -m benchmarks.training_memory --rows 4 --tokens 256 --config \
        '{"vocab_size": 4096, "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 6,
          "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 4096,
          "tie_word_embeddings": false}'
"""

import argparse
import json
import resource
import tempfile
import weakref
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.trainer_utils import SaveStrategy

from chord.plan.rank import CPU_PROCESS, Rank
from chord.study.hardware import ModelShape
from chord.training.build import build_trainer
from chord.training.scale.scale_spec import Scale
from chord.training.sequences import Sequence
from chord.training.train_spec import Lora, TrainSpec
from chord.world.tokenizer import build_tokenizer

MIB = 2**20


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of all tensors that operations make inside it and that are alive, and their peak."""

    def __init__(self):
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        self.peak = max(self.peak, self.now)
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self.sizes:
            self.sizes[storage._cdata] = storage.nbytes()
            self.now += storage.nbytes()
            weakref.finalize(storage, self._remove, storage._cdata)

    def _remove(self, key: int) -> None:
        self.now -= self.sizes.pop(key)


def train(config: dict, rows: int, length: int, scale: dict | None = None, lora: dict | None = None) -> None:
    """Two SFT steps of one micro-batch each. length: tokens of each of its rows."""
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
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**config))
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(spec, model, tokenizer, [], experts, Path(folder))
        trainer.args.save_strategy = SaveStrategy.NO
        trainer.train()


def peak_of_tensors(*step, **settings) -> int:
    """Bytes; the arguments are those of `train`."""
    with LiveTensors() as live:
        train(*step, **settings)
    return live.peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=json.loads, required=True, help="of transformers' Qwen2Config, JSON")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True, help="of each row")
    parser.add_argument("--scale", type=json.loads, default={}, help="the study's training.scale, JSON")
    parser.add_argument("--lora", type=json.loads, help="the stage's lora, JSON")
    arguments = parser.parse_args()

    shape, lora = ModelShape(model_type="qwen2", **arguments.config), arguments.lora and Lora(**arguments.lora)
    rank = Rank(shape, Scale.model_validate(arguments.scale), lora)
    estimate = rank.update(arguments.rows * arguments.tokens).total - CPU_PROCESS
    step = arguments.config, arguments.rows, arguments.tokens, arguments.scale, arguments.lora
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    train(*step)  # before the tensors are counted, which takes memory of its own
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    print(f"estimate          {estimate / MIB:7.0f} MiB")
    print(f"tensors alive     {peak_of_tensors(*step) / MIB:7.0f} MiB")
    print(f"resident          {resident / MIB:7.0f} MiB beyond the imports, on this machine")


if __name__ == "__main__":
    main()
