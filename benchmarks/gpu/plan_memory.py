"""The peak memory of SFT steps beside what `chord plan` says: plain, with gradient checkpointing, with adapters.

On a GPU the measured peak is what torch has reserved plus what the process uses besides (context, kernels). On a CPU it
is that of the tensors that are alive (`benchmarks.training_memory`), and the plan's without its process and gaps.
"""

import gc

import torch
from benchmarks.gpu.card import GIB
from benchmarks.gpu.checks import check
from benchmarks.gpu.sizes import Size
from benchmarks.gpu.step import tensors
from benchmarks.step.cases import shape
from benchmarks.training_memory import peak_of_tensors, train

from chord.plan.rank import Rank
from chord.study.hardware import ModelShape
from chord.training.scale.scale_spec import Scale
from chord.training.train_spec import Lora

WAYS = {
    "plain": ({}, None),
    "gradient checkpointing": ({"gradient_checkpointing": True}, None),
    "LoRA, rank 8": ({}, {"rank": 8, "alpha": 16}),
}
# The measured peak over the plan's, at most. TRL's output layer has a buffer for 32,768 words; for a smaller vocabulary
# most of it is never touched, and the plan leaves it out. With adapters the tensors of the rehearsal show it: 1.2.
OPTIMISM = 1.25


def measure(size: Size) -> dict:
    rows, checks = [], []
    settings = size.memory
    config = shape(settings.model) if isinstance(settings.model, str) else settings.model
    for name, (scale, lora) in WAYS.items():
        rank = Rank(
            ModelShape.model_validate(config),
            Scale.model_validate(scale),
            lora and Lora(**lora),
            on_gpu=torch.cuda.is_available(),
        )
        plan = rank.update(settings.rows * settings.tokens)
        step = {key: value for key, value in config.items() if key != "model_type"}, settings.rows, settings.tokens
        if torch.cuda.is_available():
            planned, measured, alive = plan.total, *peak_on_gpu(*step, scale, lora)
        else:
            planned, measured, alive = tensors(plan), peak_of_tensors(*step, scale, lora), None
        row = {"SFT step": name, "tokens of a pass": settings.rows * settings.tokens}
        row |= {"planned GiB": planned / GIB, "measured GiB": measured / GIB, "measured / planned": measured / planned}
        rows.append(row | {"tensors GiB": alive and alive / GIB, "planned tensors GiB": tensors(plan) / GIB})
        checks.append(check(f"{name}: measured / planned", measured / planned, OPTIMISM))
    return {"rows": rows, "checks": checks}


def peak_on_gpu(*step) -> tuple[int, int]:
    """Bytes of the step's peak: of the process on the card, and of its tensors."""
    gc.collect()  # the trainer before, which refers to itself
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    train(*step)
    free, total = torch.cuda.mem_get_info()
    besides = total - free - torch.cuda.memory_reserved()
    return torch.cuda.max_memory_reserved() + besides, torch.cuda.max_memory_allocated()
