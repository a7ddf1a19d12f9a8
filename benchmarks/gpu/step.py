"""Hybrid steps in bf16, ours and stock TRL's: the comparison of `benchmarks.step` on the device that is there."""

import torch
from benchmarks.gpu.card import GIB, mfu
from benchmarks.gpu.flops import PassCounter, Work, training_flops
from benchmarks.gpu.sizes import Size
from benchmarks.step.cases import Case, K
from benchmarks.step.gauge import gauge_of_this_machine
from benchmarks.step.one_side import PARTS, run
from benchmarks.step.trainers import ours, stock

from chord.plan.rank import FRAGMENTS, Memory, Rank
from chord.study.hardware import ModelShape
from chord.training.hybrid_trainer import HybridTrainer
from chord.training.scale.scale_spec import Scale

TRAINING = ("forward", "backward", "optimizer")


def measure(size: Size, model: str, side: str) -> dict:
    """model: a name in `size.steps`. side: `ours` or `TRL`."""
    case = size.steps[model]
    steps = case.warm_up + case.steps
    trainer = (ours if side == "ours" else stock)(case, steps, half_flat=False, bf16=True)
    counter = PassCounter(trainer.model)
    cost = run(trainer, case.warm_up, gauge_of_this_machine())
    work = Work(*(count / steps for count in vars(counter.total()).values()))
    row_tokens = work.tokens
    if side == "ours":  # which computes a prompt once for all of its rows
        row_tokens = sum(line.get("train_tokens", 0) for line in trainer.state.log_history) / steps
    training_seconds = sum(cost.parts[part] for part in TRAINING)
    sampling_seconds = cost.parts["prefill"] + cost.parts["decode"]
    row = {
        "model": model,
        "trainer": side,
        "step s": cost.seconds,
        **{f"{part} s": cost.parts[part] for part in PARTS},
        "row tokens": row_tokens,
        "row tokens/s of a step": row_tokens / cost.seconds,
        "row tokens/s of training": row_tokens / training_seconds,
        "computed tokens": work.tokens,
        "sampled tokens/s": case.prompts * K * cost.response_tokens / sampling_seconds,
        "MFU of training": mfu(training_flops(trainer.model, work), training_seconds),
        "peak GiB": cost.peak / GIB,
        "planned GiB": tensors(planned(case, trainer)) / GIB if side == "ours" else None,
    }
    return {"rows": [row], "checks": []}


def planned(case: Case, trainer: HybridTrainer) -> Memory:
    """What `chord plan` expects at the fullest moment of a step."""
    config, stage = trainer.model.config.to_dict(), trainer.stage
    shape = ModelShape.model_validate({key: config[key] for key in ModelShape.model_fields if key in config})
    rank = Rank(shape, Scale(precision="bf16"), on_gpu=torch.cuda.is_available())
    longest = 41 * case.problems + case.response_tokens
    moments = rank.update(stage.micro_batch_tokens), rank.sampling(stage.generate_batch_rows, longest)
    return max(moments, key=lambda memory: memory.total)


def tensors(memory: Memory) -> float:
    """Bytes of tensors alone: without the process, freed blocks, and what is lost between blocks of memory."""
    return memory.total / (1 + FRAGMENTS) - memory.process - memory.freed
