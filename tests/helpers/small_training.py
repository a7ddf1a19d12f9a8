"""What tests train: stages of a few steps, a reward that any text can earn, and what a trainer has logged."""

import hashlib

import torch

from chord import tasks
from chord.training.train_spec import HybridStage, SftStage

SEED_PARTS = (11, 0)
ADAPTER_SEED = 7
COMMON = {
    "bf16": False,
    "use_cpu": True,
    "gradient_checkpointing": False,
    # Plain SGD: the weights are linear in the gradients. Adam divides by their size and so magnifies rounding where a
    # gradient is near 0, which no tolerance can tell from a wrong one.
    "optim": "sgd",
    "learning_rate": 0.3,  # large: differences between two trajectories show after few steps
    "lr_scheduler_type": "constant",
    "max_grad_norm": 1.0,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}

NEVER = {"name": "constant", "mu": 0.0}  # no expert rows
LUFFY = {
    "schedule": {"name": "free", "rl": 1.0, "expert": 1.0},
    "router": {"name": "joined", "scale": "none"},
    "token_weight": {"name": "one"},
    "expert_loss": {"name": "shaped", "gamma": 0.1},
}
SRFT = {  # the changes to LUFFY
    "router": {"name": "srft", "scale": "group", "positive": 0.1},
    "expert_loss": {"name": "srft", "sft": 0.5},
}
# Routers that decide by what the rollouts are worth, and those whose rollouts continue a trace. With these numbers
# some steps learn from rollouts and from traces.
GATE = {
    "schedule": {"name": "free", "rl": 1.0, "expert": 1.0},
    "router": {"name": "gate", "success": "right", "gamma": 0.25, "scale": "none"},
    "token_weight": {"name": "one"},
    "expert_rows_per_step": None,
}
BUFFERED = GATE | {"router": {"name": "buffered", "scale": "none"}, "rollouts_per_prompt": 2, "expert_rows_per_step": 2}
HINT = GATE | {
    "schedule": {"name": "free", "rl": 1.0, "expert": 0.5},
    "router": {"name": "hint", "chunks": 5, "start": 0.8, "end": 0.2, "steps": 3},
}
PREFIX = GATE | {
    "router": {"name": "prefix", "start": 0.9, "end": 0.2, "high": 0.9, "steps": 3},
    "token_weight": {"name": "entropy_top", "share": 0.2},
    "expert_loss": {"name": "policy_gradient"},
}
GRADIENT_NOISE = {
    **{"name": "gradient_noise", "warmup": 0, "decay": 0, "peak": 0.4, "valley": 0.4},
    **{"alpha": 0.2, "memory": 0.5, "cap": 0.2},
}
PLATEAU = {"name": "plateau", "held_out": 6, "every": 1, "patience": 1, "threshold": 0.2}
VALIDATION = {"k": 1, "decoding": {"temperature": 1.0, "max_response_tokens": 8}, "batch_rows": 16}


def coin(row: dict, text: str, truncated: bool) -> tasks.Verdict:
    """A reward without meaning that any text can earn: 1 for half of all texts, by their hash."""
    value = hashlib.sha256((row["id"] + text).encode()).digest()[0] % 2
    return tasks.Verdict(float(value), bool(value), True, "coin")


def hybrid_stage(**changes) -> HybridStage:
    settings = {
        "optimizer": {"lr": COMMON["learning_rate"]},
        "steps": 3,
        "prompts_per_step": 4,
        "rollouts_per_prompt": 4,
        "expert_rows_per_step": 8,
        "schedule": {"name": "constant", "mu": 0.4},
        "token_weight": {"name": "power", "a": 1, "b": 1},
        "decoding": {"temperature": 1.0, "max_response_tokens": 12},
        "generate_batch_rows": 16,
        "micro_batch_tokens": 100,
        "keep": "last",
        "validate_every": 100,
    }
    return HybridStage.model_validate(settings | changes)


def sft_stage(**changes) -> SftStage:
    settings = {
        "optimizer": {"lr": COMMON["learning_rate"]},
        "epochs": 1,
        "expert_rows_per_step": 8,
        "micro_batch_tokens": 100,
        "keep": "last",
        "validate_every": 100,
    }
    return SftStage.model_validate(settings | changes)


def weights(trainer) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


def logged(trainer, key: str) -> list[float]:
    return [line[key] for line in trainer.state.log_history if key in line]
