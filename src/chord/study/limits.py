"""Checks the numbers of a study: the rows of a step, the steps of a warm-up, the positions of a model.

Each check yields (keys, message) for every problem. methods: those without a problem of their own.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from chord.data.rows_spec import PrepareSpec
from chord.experts.experts_spec import ExpertsSpec, ModelSource
from chord.rollouts import Decoding
from chord.study.config_problems import Keys, has
from chord.study.hardware import find_positions, model_folders
from chord.study.priming import Priming
from chord.study.study import Method, Study
from chord.study.study_file import StudyFile
from chord.training.train_spec import HybridStage, SftStage, Stage

Problem = tuple[Keys, str]


@dataclass(frozen=True)
class ExpertPrompts:
    """The prompts whose trajectories a stage reads: their key in the study and their number."""

    key: str
    count: int


def expert_prompts(stage: Stage, data: PrepareSpec) -> ExpertPrompts:
    """The prompts of the pool from which a stage takes its expert rows."""
    if isinstance(stage, SftStage) and stage.also_traces:
        return ExpertPrompts("data.sft and data.rl", data.sft + data.rl)
    return ExpertPrompts("data.sft", data.sft)


def of_rows(settings: StudyFile, methods: Mapping[str, Method], data: PrepareSpec) -> Iterator[Problem]:
    """A step with more prompts or expert rows than there are would have some of them twice."""
    yield from _once(settings, methods, lambda stage: _prompts(stage, data))
    yield from _once(settings, methods, lambda stage: _rows_of_experts(stage, expert_prompts(stage, data)))


def of_expert_sets(settings: StudyFile, methods: Mapping[str, Method], data: PrepareSpec) -> Iterator[Problem]:
    """A method that states an expert set of 40,000 rows must not train on the 5,000 that there are."""
    yield from _once(settings, methods, lambda stage: _expert_set(stage, expert_prompts(stage, data)))


def of_priming(priming: Priming | None, data: PrepareSpec) -> Iterator[Problem]:
    """Priming needs prompts, and prompts need priming; its stage has the limits of every stage."""
    if priming is None and data.priming is not None:
        yield ("data", "priming"), "expected none without a section priming"
    elif priming is not None and data.priming is None:
        yield ("data", "priming"), "missing; expected the number of prompts for the section priming"
    elif priming is not None:
        if priming.stage.also_traces:
            yield ("priming", "stage", "also_traces"), "expected false, as priming has prompts of its own"
        experts = ExpertPrompts("data.priming", data.priming)
        for check in (_rows_of_experts, _expert_set, _warmup):
            for keys, message in check(priming.stage, experts):
                yield ("priming", "stage", *keys), message


def of_warmup(settings: StudyFile, methods: Mapping[str, Method], data: PrepareSpec) -> Iterator[Problem]:
    """A warm-up that is longer than the stage never reaches its rate or its mu.

    Methods under a protocol are exempt, because a protocol may reduce the steps.
    """
    plain = {name: method for name, method in methods.items() if "@" not in name}
    yield from _once(settings, plain, lambda stage: _warmup(stage, expert_prompts(stage, data)))


def of_positions(study: Study) -> Iterator[Problem]:
    """A response and at least one token of a prompt must fit into the positions of the model.

    chord.plan.verdict checks the `max_model_len` of vLLM.
    """
    positions = find_positions(study.root, study.model, model_folders(study.root, study.name, study.model))
    if positions is None and study.pretrain is not None:
        positions = study.pretrain.architecture.max_tokens  # the model is not trained yet
    if positions is None:
        return
    yield from _once(study.settings, study.methods, lambda stage: _responses(stage, positions))
    limits = {("validation", "decoding"): study.settings.validation.decoding, **study.expert_sections}
    for name, benchmark in study.benchmarks.items():
        limits["benchmarks", name, "decodings", benchmark.decoding_name] = benchmark.decoding
    yield from _too_long(limits, positions)


def of_expert_positions(study: Study) -> Iterator[Problem]:
    """The same for a local model that is the expert."""
    for place, experts in study.expert_sections.items():
        source = experts.source
        if isinstance(source, ModelSource):
            positions = find_positions(study.root, source.folder, [study.root / source.folder])
            if positions is not None:
                yield from _too_long({(*place, "source", "decoding"): source.decoding}, positions)


def _prompts(stage: Stage, data: PrepareSpec) -> Iterator[Problem]:
    if isinstance(stage, HybridStage) and stage.prompts_per_step > data.rl:
        yield ("prompts_per_step",), f"expected at most the {data.rl} prompts of data.rl, got {stage.prompts_per_step}"


def _rows_of_experts(stage: Stage, experts: ExpertPrompts) -> Iterator[Problem]:
    if not stage.reads_expert_rows:
        return
    there = min(stage.expert_set or experts.count, experts.count)
    rows = there - stage.held_out_rows
    if (count := stage.expert_rows_per_step) > rows:
        source = experts.key if there == experts.count else "expert_set"
        source += " that are not held out" if stage.held_out_rows else ""
        yield ("expert_rows_per_step",), f"expected at most the {rows} rows of {source}, got {count}"


def _expert_set(stage: Stage, experts: ExpertPrompts) -> Iterator[Problem]:
    if stage.reads_expert_rows and stage.expert_set and stage.expert_set > experts.count:
        message = f"expected at most the {experts.count} prompts of {experts.key}, got {stage.expert_set}"
        yield ("expert_set",), message


def _warmup(stage: Stage, experts: ExpertPrompts) -> Iterator[Problem]:
    if isinstance(stage, SftStage):
        steps = math.ceil(stage.epochs * (stage.expert_set or experts.count) / stage.expert_rows_per_step)
        schedule = 0
    else:
        steps, schedule = stage.steps, getattr(stage.schedule, "warmup", 0)
    for keys, warmup in (
        (("optimizer", "warmup_steps"), stage.optimizer.warmup_steps),
        (("schedule", "warmup"), schedule),
    ):
        if warmup > steps:
            yield keys, f"expected at most the {steps} steps of the stage, got {warmup}"


def _responses(stage: Stage, positions: int) -> Iterator[Problem]:
    if stage.uses_rollouts:
        yield from _too_long({("decoding",): stage.decoding}, positions)


def _too_long(limits: Mapping[Keys, Decoding | ExpertsSpec], positions: int) -> Iterator[Problem]:
    for keys, limit in limits.items():
        if limit.max_response_tokens >= positions:
            message = f"expected fewer than the model's {positions} positions, which prompt and response share"
            yield (*keys, "max_response_tokens"), f"{message}, got {limit.max_response_tokens}"


def _once(
    settings: StudyFile, methods: Mapping[str, Method], check: Callable[[Stage], Iterator[Problem]]
) -> Iterator[Problem]:
    """Report each problem once, with the names of the methods that have it, at the key in the study's file."""
    methods_of: dict[Problem, list[str]] = {}
    for name, method in methods.items():
        for keys, message in check(method.stage) if method.stage else ():
            methods_of.setdefault((_place(settings, name, method.stage.kind, keys), message), []).append(name)
    for (keys, message), names in methods_of.items():
        yield keys, f"{message} ({', '.join(names)})"


def _place(settings: StudyFile, name: str, kind: str, keys: Keys) -> Keys:
    """The keys of a stage's setting in the study's file; if it is not there, those that override it for this method."""
    method, _, protocol = name.partition("@")
    override = settings.methods.get(method)
    if not (override and has(override.stage, keys)):
        if protocol in settings.protocols and has(getattr(settings.protocols[protocol], kind), keys):
            return ("protocols", protocol, kind, *keys)
        if has(getattr(settings.training, kind), keys):
            return ("training", kind, *keys)
    return ("methods", method, "stage", *keys)
