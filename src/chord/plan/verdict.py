"""What cannot fit, and what to change. Only what the code can do is offered; what it cannot do yet is called so."""

import math
from collections.abc import Callable
from dataclasses import replace

from chord.plan.memory import (
    GIB,
    Memory,
    Need,
    answers,
    capacity,
    longest,
    needs,
    reads_experts,
    rollouts,
    sharded,
    update,
)
from chord.plan.work import planned_methods
from chord.study import Study
from chord.study.hardware import larger_gpus
from chord.training.spec import HybridStage, Stage

SHORTEST = 256  # a response of fewer tokens is no advice


def refusals(study: Study) -> list[str]:
    """A line for each kind of job that does not fit, and one for answers longer than the model's positions."""
    if study.shape is None:
        return []
    lines = [line for need in needs(study, planned_methods(study)) if (line := _refusal(study, need))]
    return lines + _too_long(study)


def _refusal(study: Study, need: Need) -> str | None:
    room = capacity(study, need.rule)
    if need.memory.total <= room:
        return None
    where = study.gpu.name if study.gpu else f"the {need.rule} job's mem_mb"
    found = f"{need.rule}, {need.phase} ({need.named}): {_gib(need.memory.total)}, but {where} has {_gib(room)}"
    changes = " or ".join(_changes(study, need, room))
    return "; ".join(
        [found, f"would fit: {changes}" if changes else "no setting would make it fit", *_hopes(study, need)]
    )


def _gib(size: float) -> str:
    return f"{size / GIB:,.1f} GiB"


def _changes(study: Study, need: Need, room: float) -> list[str]:
    """Settings that would make it fit."""
    if study.gpu is None:
        larger = [f"resources.{need.rule}.mem_mb {math.ceil(need.memory.total / 1e6):,}"]
    else:
        larger = [f"cost.gpu {name}" for name in larger_gpus(study.root, need.memory.total / GIB)[:1]]
    return larger + [change for change in [_smaller(study, need, room)] if change]


def _smaller(study: Study, need: Need, room: float) -> str | None:
    """The largest batch that fits, of the kind that the phase hangs on; for an update without one, shorter rows."""
    if need.phase == "answers":
        row = study.benchmarks[need.jobs[0]]
        return _fewer(f"benchmarks.{row.name}.batch_rows", row.batch_rows, room,
                      lambda n: answers(study, replace(row, batch_rows=n)))  # fmt: skip
    if need.phase == "validation":
        validation = study.settings.validation
        limit = validation.decoding.max_response_tokens
        return _fewer("validation.batch_rows", validation.batch_rows, room, lambda n: rollouts(study, n, limit))
    stage = study.methods[need.jobs[0]].stage
    if need.phase == "rollouts":
        limit = stage.decoding.max_response_tokens
        return _fewer("training.hybrid.generate_batch_rows", stage.generate_batch_rows, room,
                      lambda n: rollouts(study, n, limit))  # fmt: skip

    def of_rows(rows: int) -> Memory:
        return update(study, stage.model_copy(update={"micro_batch_rows": rows}))

    fewer = _fewer(f"training.{stage.kind}.micro_batch_rows", stage.micro_batch_rows, room, of_rows)
    return fewer or _shorter(study, stage, of_rows(1), room)


def _fewer(key: str, rows: int, room: float, memory: Callable[[int], Memory]) -> str | None:
    while rows > 1:
        rows //= 2
        if memory(rows).total <= room:
            return f"{key} {rows}"
    return None


def _shorter(study: Study, stage: Stage, memory: Memory, room: float) -> str | None:
    """The longest responses that one row at a time leaves room for; activations grow with the length."""
    prompt, length = study.settings.cost.prompt_tokens, longest(study, stage)
    fixed = replace(memory, activations=0.0).total
    tokens = int((room - fixed) / (memory.total - fixed) * length) - prompt
    if tokens < SHORTEST:
        return None
    asked = {"experts.max_response_tokens": study.experts.max_response_tokens} if reads_experts(stage) else {}
    if isinstance(stage, HybridStage):
        asked["training.hybrid.decoding.max_response_tokens"] = stage.decoding.max_response_tokens
    return " with ".join(f"{key} {tokens:,}" for key, limit in asked.items() if limit > tokens)


def _hopes(study: Study, need: Need) -> list[str]:
    """What the code cannot do, where that would be the way: for a lab that asks whether its machine is large enough."""
    gpus = study.settings.cost.gpus
    if need.phase != "update" or study.gpu is None or gpus == 1:
        return []
    size = sharded(study, study.methods[need.jobs[0]].stage, gpus).total
    return [
        f"sharded over {gpus} of them, layers computed again, it would be {_gib(size)} each, which chord cannot do yet"
    ]


def _too_long(study: Study) -> list[str]:
    """Rows longer than the model's positions end a job."""
    limit, prompt = study.shape.max_position_embeddings, study.settings.cost.prompt_tokens
    asked = {f"benchmark {row.name}": row.decoding.max_response_tokens for row in study.benchmarks.values()}
    asked["validation"] = study.settings.validation.decoding.max_response_tokens
    asked["experts"] = study.experts.max_response_tokens
    asked |= {
        f"rollouts of {name}": stage.decoding.max_response_tokens
        for name in planned_methods(study)
        if isinstance(stage := study.methods[name].stage, HybridStage)
    }
    return [
        f"{what}: a prompt of {prompt:,} tokens and a response of {tokens:,}; {study.model} has {limit:,} positions"
        for what, tokens in asked.items()
        if prompt + tokens > limit
    ]
