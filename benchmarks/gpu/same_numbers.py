"""Ways to use less memory: FSDP2 on one rank, gradient checkpointing and adapters give the numbers of the plain step.

Each trains one hybrid step on the same rows, and its gradient is compared with the plain one, in fp32 and in bf16. The
gradient of adapters follows from that of their weights: with B = 0, dL/dB = alpha / rank * dL/dW A^T.
"""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from accelerate.state import AcceleratorState
from benchmarks.gpu.checks import check
from benchmarks.gpu.random_rows import RandomEngine, rewarded_in_turn
from benchmarks.gpu.sizes import Size
from benchmarks.step.cases import Case, expert_rows, job, load, prompt_rows, stage
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import SaveStrategy

from chord.training.build import build_trainer
from chord.training.scale.accumulation import TOLERANCE
from chord.training.scale.scale_spec import Scale
from chord.training.scale.sharding import is_sharded, start_ranks
from chord.training.sequences import encode_experts

RANK, ALPHA = 8, 16
LOSS_TOLERANCE = {"fp32": 1e-4, "bf16": 1e-2}  # of the loss


class KeepGradient(TrainerCallback):
    """Keeps the whole gradient of the step, name -> tensor on the device."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer

    def on_pre_optimizer_step(self, *_, **__):
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.gradient = {name: _whole(weight.grad) for name, weight in weights.items()}
        self.down = {name: weight.detach().clone() for name, weight in weights.items() if ".lora_A." in name}


def measure(size: Size) -> dict:
    rows, checks = [], []
    for precision in ("fp32", "bf16"):
        plain = Outcome.of(size.checked, Scale(precision=precision))
        ways = {
            "gradient checkpointing": Scale(precision=precision, gradient_checkpointing=True),
            "FSDP2, one rank": Scale(precision=precision, ranks=2, sharding="fsdp2").model_copy(update={"ranks": 1}),
        }
        outcomes = {name: Outcome.of(size.checked, scale) for name, scale in ways.items()}
        differences = {name: _distance(outcome.gradient, plain.gradient) for name, outcome in outcomes.items()}
        adapters = Outcome.of(size.checked, Scale(precision=precision), lora=True)
        outcomes[f"LoRA, rank {RANK}"] = adapters
        differences[f"LoRA, rank {RANK}"] = _distance(*adapters.and_expected(plain.gradient))
        rows.append({"precision": precision, "step": "plain", "loss": plain.loss})
        for name, outcome in outcomes.items():
            loss_difference = abs(outcome.loss - plain.loss) / abs(plain.loss)
            rows.append(
                {"precision": precision, "step": name, "loss": outcome.loss}
                | {"loss, relative difference": loss_difference, "gradient, relative difference": differences[name]}
            )
            checks.append(check(f"{name}, {precision}: loss", loss_difference, LOSS_TOLERANCE[precision]))
            checks.append(check(f"{name}, {precision}: gradient", differences[name], TOLERANCE[precision]))
    return {"rows": rows, "checks": checks}


class Outcome:
    """Loss and gradient of one step."""

    def __init__(self, trainer: Trainer):
        kept = KeepGradient(trainer)
        trainer.add_callback(kept)
        trainer.args.save_strategy = SaveStrategy.NO
        trainer.train()
        self.loss = trainer.state.log_history[0]["loss"]
        self.gradient, self.down = kept.gradient, kept.down

    @classmethod
    def of(cls, case: Case, scale: Scale, lora: bool = False) -> "Outcome":
        AcceleratorState._reset_state(reset_partial_state=True)  # of the step before
        with tempfile.TemporaryDirectory() as folder, _one_rank() if scale.shards_weights else nullcontext():
            ranks = start_ranks(scale, scale.precision)
            trainer = _build(case, scale, lora, Path(folder))
            assert is_sharded(trainer.accelerator) == scale.shards_weights
            outcome = cls(trainer)
            ranks.destroy_process_group()
        return outcome

    def and_expected(self, plain: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The gradients of all B, and what they are by the gradients of the plain step."""
        own, expected = {}, {}
        for name, gradient in self.gradient.items():
            if ".lora_B." in name:
                layer = name.removeprefix("base_model.model.").partition(".lora_B.")[0]
                own[name] = gradient
                expected[name] = ALPHA / RANK * plain[f"{layer}.weight"] @ self.down[name.replace("lora_B", "lora_A")].T
        return own, expected


def _build(case: Case, scale: Scale, lora: bool, folder: Path) -> Trainer:
    model, tokenizer = load(case)
    changes = {
        "optimizer": {"lr": 1e-12, "max_grad_norm": 1e9},  # the gradient as it is
        "lora": {"rank": RANK, "alpha": ALPHA} if lora else None,
    }
    spec = job(stage(case, 1) | changes)
    spec = spec.model_copy(update={"scale": scale})  # without the check that refuses to shard over one rank
    prompts = rewarded_in_turn(prompt_rows(case, 1, half_flat=False))
    experts = encode_experts(tokenizer, expert_rows(case))
    return build_trainer(spec, model, tokenizer, prompts, experts, folder, RandomEngine(model.config.vocab_size))


@contextmanager
def _one_rank() -> Iterator[None]:
    """What a launcher would say to the only rank of a job."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(said)
    yield
    for name in said:
        del os.environ[name]


def _whole(gradient: Tensor) -> Tensor:
    return (gradient.full_tensor() if isinstance(gradient, DTensor) else gradient).detach()


def _distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The norm of the difference over the norm of `other`; both have the same names."""
    assert set(one) == set(other), sorted(set(one) ^ set(other))[:4]
    squares = [[((one[name] - other[name]) ** 2).sum(), (other[name] ** 2).sum()] for name in other]
    difference, size = torch.tensor(squares, dtype=torch.float64).sum(0).sqrt().tolist()
    return difference / size
