"""Finds jobs that do not fit into memory or positions, and suggests settings with which they would."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from chord.plan.memory import (
    Need,
    answers,
    capacity,
    largest_pass,
    longest,
    needs,
    rank,
    reads_experts,
    rollouts,
    update,
    validation,
)
from chord.plan.rank import FRAGMENTS, GIB, Memory, vllm_row
from chord.plan.work import planned_methods
from chord.rollouts.backends import VllmBackend
from chord.study import Study
from chord.study.hardware import larger_gpus
from chord.training.scale.scale_spec import Scale
from chord.training.train_spec import Lora, Stage

SHORTEST = 256  # tokens of the shortest response that is worth suggesting
ADAPTERS = Lora(rank=32, alpha=64)  # an example


def refusals(study: Study) -> list[str]:
    """A line for each kind of job that does not fit, and for each other reason why a job would fail."""
    if study.shape is None:
        return []
    lines = [line for need in needs(study, planned_methods(study)) if (line := _refusal(study, need))]
    return [*lines, *_too_long(study), *_too_many_gpus(study), *_no_row_fits(study)]


def _refusal(study: Study, need: Need) -> str | None:
    room = capacity(study, need)
    if need.memory.total <= room:
        return None
    where = study.gpu.name if study.gpu and not need.in_machine else f"the {need.rule} job's mem_mb"
    problem = f"{need.rule}, {need.phase} ({need.job_names}): {_gib(need.memory.total)}, but {where} has {_gib(room)}"
    changes = " or ".join(_changes(study, need, room))
    return f"{problem}; {f'would fit: {changes}' if changes else 'no setting would make it fit'}"


def _gib(size: float) -> str:
    return f"{size / GIB:,.1f} GiB"


def _changes(study: Study, need: Need, room: float) -> list[str]:
    """Settings that would make it fit."""
    if study.gpu is None or need.in_machine:
        mem_mb = study.resources(need.rule).mem_mb * need.memory.total / room
        changes = [f"resources.{need.rule}.mem_mb {math.ceil(mem_mb):,}"]
    else:
        changes = [f"cost.gpu {name}" for name in larger_gpus(study.root, need.memory.total / GIB)[:1]]
    if need.in_machine:
        return changes
    changes += [_smaller(study, need, room)]
    if study.gpu and need.phase in ("validation", "rollouts", "update"):
        changes += [_other_scale(study, need, room), _adapters(study, need, room)]
    return [change for change in changes if change]


def _smaller(study: Study, need: Need, room: float) -> str | None:
    """The largest batch of this phase that fits; if an update does not fit with its longest row alone, shorter rows."""
    if need.phase == "answers":
        row = study.benchmarks[need.jobs[0]]
        return _fewer(f"benchmarks.{row.name}.batch_rows", row.batch_rows, room, partial(answers, study, row))
    if need.memory.cache and isinstance(engine := study.settings.training.scale.rollouts, VllmBackend):
        return _smaller_cache(study, engine, need.memory.total - room)
    stage = study.methods[need.jobs[0]].stage
    if need.phase == "validation":
        batch_rows = study.settings.validation.batch_rows
        return _fewer("validation.batch_rows", batch_rows, room, partial(validation, study, stage))
    if need.phase == "rollouts":
        key = "training.hybrid.generate_batch_rows"
        return _fewer(key, stage.generate_batch_rows, room, partial(rollouts, study, stage))

    def of_tokens(tokens: int) -> Memory:
        return update(study, stage.model_copy(update={"micro_batch_tokens": tokens}))

    key, row = f"training.{stage.kind}.micro_batch_tokens", longest(study, stage)
    fewer = _fewer(key, stage.micro_batch_tokens, room, of_tokens, least=row)
    return fewer or _shorter(study, stage, of_tokens(row), room)


def _smaller_cache(study: Study, engine: VllmBackend, excess: float) -> str | None:
    """A smaller cache of the vLLM that samples in training, if there is room for at least one row."""
    if engine.kv_cache_gib is None:
        return None
    cache = math.floor(engine.kv_cache_gib - excess / (1 + FRAGMENTS) / GIB)
    return f"training.scale.rollouts.kv_cache_gib {cache}" if cache * GIB > vllm_row(study.shape, engine, 0) else None


def _fewer(key: str, size: int, room: float, memory: Callable[[int], Memory], least: int = 1) -> str | None:
    while size > least:
        size = max(size // 2, least)
        if memory(size).total <= room:
            return f"{key} {size:,}"
    return None


def _shorter(study: Study, stage: Stage, memory: Memory, room: float) -> str | None:
    """The longest responses that fit with one row at a time; activations grow with the length."""
    prompt, length = study.settings.cost.prompt_tokens, longest(study, stage)
    fixed = replace(memory, activations=0.0).total
    tokens = int((room - fixed) / (memory.total - fixed) * length) - prompt
    if tokens < SHORTEST:
        return None
    limits = {"experts.max_response_tokens": study.experts.max_response_tokens} if reads_experts(stage) else {}
    if stage.uses_rollouts:
        limits["training.hybrid.decoding.max_response_tokens"] = stage.decoding.max_response_tokens
    changes = [f"{key} {tokens:,}" for key, limit in limits.items() if limit > tokens]
    if stage.micro_batch_tokens > prompt + tokens:
        changes.append(f"training.{stage.kind}.micro_batch_tokens {prompt + tokens:,}")
    return " with ".join(changes)


def _other_scale(study: Study, need: Need, room: float) -> str | None:
    """The first that fits: recomputed layers, more ranks that share the model, both, and the machine's memory."""
    stage, phase = study.methods[need.jobs[0]].stage, {"update": update, "validation": validation, "rollouts": rollouts}
    for changed in _scales(study):
        values = study.settings.training.scale.model_dump() | changed
        if phase[need.phase](study, stage, scale=Scale.model_validate(values)).total <= room:
            shown = ", ".join(f"{key}: {str(value).lower()}" for key, value in changed.items())
            return f"training.scale {{{shown}}}"
    return None


def _scales(study: Study) -> Iterator[dict]:
    """Changes of the study's `training.scale`, the cheapest first."""
    scale, recompute = study.settings.training.scale, {"gradient_checkpointing": True}
    stages = [study.methods[name].stage for name in planned_methods(study) if study.trains(name)]
    ranks = [
        count
        for count in range(2, study.settings.cost.gpus + 1)
        if count >= scale.ranks
        and count % scale.nodes == 0
        and not any(stage.divisibility_error(count) for stage in stages)
    ]
    yield recompute
    if any(stage.lora for stage in stages):  # adapters cannot be sharded
        return
    for more in ({}, recompute, recompute | {"cpu_offload": True}):
        for count in ranks:
            yield {"ranks": count, "sharding": "fsdp2"} | more


def _adapters(study: Study, need: Need, room: float) -> str | None:
    stage, scale = study.methods[need.jobs[0]].stage, study.settings.training.scale
    if stage.lora or need.phase != "update":
        return None
    if study.shape.num_local_experts > 1 or scale.sharding != "none":  # adapters need linear, unsharded layers
        return None
    recomputed = scale.model_copy(update={"gradient_checkpointing": True})
    with_adapters = replace(rank(study, stage, recomputed), lora=ADAPTERS)
    if with_adapters.update(largest_pass(study, stage)).total > room:
        return None
    shown = f"training.{stage.kind}.lora {{rank: {ADAPTERS.rank}, alpha: {ADAPTERS.alpha:g}}}"
    more = "" if scale.gradient_checkpointing else " with training.scale {gradient_checkpointing: true}"
    return f"{shown}{more} (another method: adapters learn less than all weights)"


def _too_long(study: Study) -> list[str]:
    """A line for each response that is too long for the model's positions or for vLLM's `max_model_len`."""
    positions, prompt = study.shape.max_position_embeddings, study.settings.cost.prompt_tokens
    generation, sampler = study.settings.generation, study.settings.training.scale.rollouts
    benchmarks = study.benchmarks.values()
    limits = {f"benchmark {row.name}": (row.decoding.max_response_tokens, generation) for row in benchmarks}
    limits["validation"] = (study.settings.validation.decoding.max_response_tokens, sampler)
    limits["experts"] = (study.experts.max_response_tokens, None)
    limits |= {
        f"rollouts of {name}": (stage.decoding.max_response_tokens, sampler)
        for name in planned_methods(study)
        if (stage := study.methods[name].stage) and stage.uses_rollouts
    }
    lines = []
    for what, (tokens, engine) in limits.items():
        room = getattr(engine, "max_model_len", None) or positions
        if prompt + tokens > min(room, positions):
            has = f"{study.model} has {positions:,} positions" if room >= positions else f"max_model_len is {room:,}"
            lines.append(f"{what}: a prompt of {prompt:,} tokens and a response of {tokens:,}, but {has}")
    return lines


def _too_many_gpus(study: Study) -> list[str]:
    used, available = study.settings.training.scale.gpus, study.settings.cost.gpus
    if study.gpu is None or used <= available:
        return []
    return [f"training.scale: a job uses {used} GPUs, but cost.gpus is {available}"]


def _no_row_fits(study: Study) -> list[str]:
    """vLLM does not start if its cache is too small for one row of `max_model_len` tokens."""
    settings = study.settings
    engines = {"generation": settings.generation, "training.scale.rollouts": settings.training.scale.rollouts}
    return [
        f"{name}.kv_cache_gib: {engine.kv_cache_gib:g}, but one row of max_model_len tokens needs {row / GIB:.3g}"
        for name, engine in engines.items()
        if isinstance(engine, VllmBackend)
        and engine.kv_cache_gib
        and (row := vllm_row(study.shape, engine, 0)) > engine.kv_cache_gib * GIB
    ]
