"""What a study will run, before anything runs: stages, rollouts, expert rows, tokens, and an estimate of the time.

Counts are exact where nothing is rejected, tokens are upper bounds. Minutes are an estimate by a deliberately simple
model, with constants that the study's `cost` section gives for one machine: a job costs its start, the tokens it
samples and the tokens it trains on (prompt and response of every row), each kind at its own rate. Responses have the
policy's own typical length until it has met expert rows, and the expert's from then on. That rows without advantage
cost no backward pass is left out, so the estimate is rather too high than too low.
"""

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chord.data.spec import Place
from chord.study import Benchmark, Study
from chord.training.spec import SftStage

MODEL_RULES = ("pretrain", "experts", "train", "generate")  # jobs that load a model, or at least a tokenizer


@dataclass(frozen=True)
class Work:
    """What one run of a method's own stage does; the stages before it belong to the methods it starts from."""

    steps: int
    rollouts: int
    expert_rows: int
    expert_passes: float  # over the expert set
    expert_weight: float  # sum of a_ex over the expert rows: how much of them counts, before token weights and rewards
    validated: int  # completions of validation rows
    max_tokens: int  # sampled, and read from experts, if every response is as long as it may be


def work(study: Study, method: str) -> Work:
    """The work of one run of a method that has a stage."""
    stage = study.methods[method].stage
    if isinstance(stage, SftStage):
        rollouts, rollout_tokens = 0, 0
        expert_rows = stage.epochs * (stage.expert_set or study.data.sft)
        expert_weight = float(expert_rows)
        steps = math.ceil(expert_rows / stage.expert_rows_per_step)
    else:
        steps = stage.steps
        weights = [stage.schedule.weights(step) for step in range(1, steps + 1)]
        # Nothing is sampled at steps where RL has no weight, and no expert row is read where experts have none.
        rollouts = sum(a_rl > 0 for a_rl, _ in weights) * stage.prompts_per_step * stage.rollouts_per_prompt
        rollout_tokens = stage.decoding.max_response_tokens
        expert_rows = sum(a_ex > 0 for _, a_ex in weights) * stage.expert_rows_of_a_step
        expert_weight = sum(a_ex for _, a_ex in weights) * stage.expert_rows_of_a_step
    expert_set = study.data.rl if "traces" in stage.inputs else stage.expert_set or study.data.sft
    validation = study.settings.validation
    # Before the first step, every so many steps, and after the last one.
    validations = 1 + math.ceil(steps / stage.validate_every)
    validated = validations * study.data.validation * validation.k
    return Work(
        steps=steps,
        rollouts=rollouts,
        expert_rows=expert_rows,
        expert_passes=expert_rows / expert_set,
        expert_weight=expert_weight,
        validated=validated,
        max_tokens=rollouts * rollout_tokens
        + expert_rows * study.experts.max_response_tokens
        + validated * validation.decoding.max_response_tokens,
    )


def questions(benchmark: Benchmark) -> int:
    """How many; of a dataset what its file says, about. 0 where it says nothing."""
    source = benchmark.data.source
    if isinstance(source, Place):
        return benchmark.questions or 0
    return benchmark.data.rows_per_group * len(source.k if source.kind == "world" else source.groups)


def estimated_minutes(
    study: Study, rule: str, method: str | None = None, benchmark: str | None = None, base: str | None = None
) -> float:
    """Estimate for one job of a rule; `method` names a job of train and generate, `benchmark` one of generate.

    base: of pretrain, one of the study's further base models.
    """
    cost = study.settings.cost
    if rule not in MODEL_RULES:
        return cost.light_seconds / 60
    sampled, trained = 0.0, 0.0
    if rule == "train":
        counts, length = work(study, method), _response_tokens(study, method)
        sampled = (counts.rollouts + counts.validated) * length
        trained = counts.rollouts * (cost.prompt_tokens + length)
        trained += counts.expert_rows * (cost.prompt_tokens + cost.expert_tokens)
    elif rule == "generate":
        row = study.benchmarks[benchmark]
        sampled = questions(row) * row.k * _response_tokens(study, method)
    elif rule == "pretrain" and study.pretrain is not None:
        pretrain = study.bases[base] if base else study.pretrain
        rows = pretrain.steps * pretrain.rows_per_step
        trained = rows * (cost.prompt_tokens + cost.response_tokens)
    seconds = sampled / cost.generate_tokens_per_second + trained / cost.train_tokens_per_second
    return (cost.start_seconds + seconds) / 60


def _response_tokens(study: Study, method: str) -> int:
    """Typical length of the responses of a method's policy."""
    met_experts = any(
        study.trains(step.name) and work(study, step.name).expert_rows > 0 for step in study.chain(method)
    )
    return study.settings.cost.expert_tokens if met_experts else study.settings.cost.response_tokens


def jobs(study: Study, comparisons: Iterable[str]) -> dict[str, list[float]]:
    """Rule -> estimated minutes of each of its jobs, for these comparisons and their report, from nothing."""
    shown = [study.comparisons[name] for name in comparisons]
    light = estimated_minutes(study, "table")
    return _run_jobs(study, {method for comparison in shown for method in comparison.methods}, study.benchmarks) | {
        "cells": [light] * len(shown),
        "table": [light] * sum(len(comparison.tables) for comparison in shown),
        "figure": [light] * sum(len(comparison.figures) for comparison in shown),
        "claims": [light] if study.settings.claims else [],
        "report": [light],
    }


def phase_jobs(study: Study) -> dict[str, list[float]]:
    """As `jobs`, of the phase diagram."""
    return _run_jobs(study, {method.name for method in study.phase.methods}, [study.phase.benchmark]) | {
        "pretrain": [estimated_minutes(study, "pretrain", base=base) for base in study.bases],
        "phase": [estimated_minutes(study, "table")],
    }


def _run_jobs(study: Study, methods: set[str], benchmarks: Iterable[str]) -> dict[str, list[float]]:
    """The jobs from nothing to the scores of these methods."""
    trained = {step.name for method in methods for step in study.chain(method) if step.stage is not None}
    seeds = len(study.seed_indices)
    benchmarks = list(benchmarks)
    light = estimated_minutes(study, "table")
    evaluations = [(method, benchmark) for method in sorted(methods) for benchmark in benchmarks]
    reads_traces = any("traces" in study.methods[method].stage.inputs for method in trained)
    return {
        "prepare": [light],
        "benchmark": [light] * len(benchmarks),
        "experts": [estimated_minutes(study, "experts")] * (2 if reads_traces else 1),  # for SFT and for RL prompts
        "train": [estimated_minutes(study, "train", method) for method in sorted(trained)] * seeds,
        "generate": [estimated_minutes(study, "generate", *names) for names in evaluations] * seeds,
        "score": [light] * len(evaluations) * seeds,
    }


def plan_text(study: Study, cores: int | None = None) -> str:
    """The plan as aligned text. cores: single-threaded jobs side by side (default: what this process may use)."""
    if cores is None:  # macOS has no affinity
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    settings = study.settings
    lines = [f"{study.name}: {study.title}", *([] if study.meaningful else ["Its numbers mean nothing."]), ""]
    lines += _table(
        [
            ["model", study.model],
            ["seeds", f"{len(study.seed_indices)} (study seed {settings.seed})"],
            ["prompts", f"SFT {study.data.sft:,}   RL {study.data.rl:,}   validation {study.data.validation:,}"],
        ]
    )
    lines += ["", "Methods: one run of the last stage; times the number of seeds"]
    header = ["", "stages", "steps", "rollouts", "expert rows", "passes", "weighted", "tokens at most", "minutes*"]
    in_phase = {method.name for method in study.phase.methods} if study.phase else set()
    methods = [method for method in study.methods if method not in in_phase]  # those differ from these in their start
    lines += _table([header, *(_method_row(study, method) for method in methods)], right=range(2, 9))
    lines += ["", "Benchmarks: one run"]
    header = ["", "questions", "k", "samples", "tokens at most", "temperature", "top-p", "decoding"]
    lines += _table([header, *map(_benchmark_row, study.benchmarks.values())], right=range(1, 7))
    if settings.protocols:
        lines += ["", "Protocols: what the methods of a comparison get"]
        lines += _table([[name, protocol.title] for name, protocol in settings.protocols.items()])
    lines += ["", "Comparisons: from nothing, shared jobs in each"]
    header = ["", "paper", "runs", "jobs", "core-minutes*", f"minutes on {cores} cores*"]
    rows = [_jobs_row(name, shown.paper, jobs(study, [name]), cores) for name, shown in study.comparisons.items()]
    if len(rows) > 1:
        rows.append(_jobs_row("all", "", jobs(study, study.comparisons), cores))
    if study.phase:
        rows.append(_jobs_row("phase_phi", "none; not part of all", phase_jobs(study), cores))
    lines += _table([header, *rows], right=range(2, 6))
    lines += ["", f"* An estimate. Speeds were measured on: {settings.cost.measured_on}."]
    return "\n".join(lines)


def _method_row(study: Study, method: str) -> list[str]:
    if not study.trains(method):
        return [method, "the start model", *[""] * 7]
    chain = " > ".join(["base", *(step.stage.kind for step in study.chain(method))])
    counts = work(study, method)
    return [
        method,
        chain,
        f"{counts.steps:,}",
        f"{counts.rollouts:,}",
        f"{counts.expert_rows:,}",
        f"{counts.expert_passes:.1f}",
        f"{counts.expert_weight:,.0f}",
        f"{counts.max_tokens:,}",
        f"{estimated_minutes(study, 'train', method):.1f}",
    ]


def _benchmark_row(benchmark: Benchmark) -> list[str]:
    samples = questions(benchmark) * benchmark.k
    limit = samples * benchmark.decoding.max_response_tokens
    numbers = [questions(benchmark), benchmark.k, samples, limit]
    sampling = [f"{benchmark.decoding.temperature:g}", f"{benchmark.decoding.top_p:g}", benchmark.decoding_name]
    return [benchmark.name, *(f"{number:,}" for number in numbers), *sampling]


def _jobs_row(title: str, paper: str, by_rule: dict[str, list[float]], cores: int) -> list[str]:
    minutes = [job for rule in by_rule.values() for job in rule]
    # No schedule is shorter than its longest job or than the cores' fair share.
    wall = max(sum(minutes) / cores, max(minutes))
    return [title, paper, f"{len(by_rule['train']):,}", f"{len(minutes):,}", f"{sum(minutes):,.0f}", f"{wall:,.0f}"]


def _table(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Rows as aligned lines; the columns in `right` end at the same place."""
    right = set(right)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]  # fmt: skip
