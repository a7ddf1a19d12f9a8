"""The jobs that a comparison needs from scratch, and an estimate of the time of each.

The model is deliberately simple: a job takes the time of its start, of the tokens that it samples and of those on which
it trains, each kind at its own speed. It trains on the prompt and response of every row, but rollouts share their
prompt: it counts once for as many of them as a micro-batch holds. The model ignores that rows without advantage are not
computed.
"""

import os
from collections.abc import Iterable, Mapping, Sequence

from chord.jobs import JOBS
from chord.plan.speed import Rows, answering_seconds, rollout_seconds, training_seconds
from chord.plan.work import Work, questions, response_tokens, stage_work, work
from chord.study import Study
from chord.training.train_spec import HybridStage, Stage


def estimated_minutes(
    study: Study, job: str, method: str | None = None, benchmark: str | None = None, base: str | None = None
) -> float:
    """Estimate the time of one job of chord.jobs.JOBS.

    method: for train (None: priming) and generate. benchmark: for generate. base: for pretrain, a further base model of
    the study.
    """
    cost = study.settings.cost
    if not JOBS[job].loads_model:
        return cost.light_seconds / 60
    seconds = cost.start_seconds
    if job == "train":
        seconds += _train_seconds(study, method) if method else _priming_seconds(study)
    elif job == "generate":
        row = study.benchmarks[benchmark]
        seconds += answering_seconds(study, questions(row) * row.k, response_tokens(study, method), row.batch_rows)
    elif job == "start_gates":
        completions, batch = study.data.validation * study.priming.gates.samples, study.settings.validation.batch_rows
        seconds += answering_seconds(study, completions, cost.response_tokens, batch)
    elif job == "pretrain" and study.pretrain is not None:
        pretrain = study.bases[base] if base else study.pretrain
        length = cost.prompt_tokens + cost.response_tokens
        rows = Rows(pretrain.steps * pretrain.rows_per_step * length, length)
        seconds += training_seconds(study, [rows], pretrain.steps * pretrain.micro_batches)
    return seconds / 60


def _train_seconds(study: Study, method: str) -> float:
    stage, counts, response = study.methods[method].stage, work(study, method), response_tokens(study, method)
    return _stage_seconds(study, stage, counts, response, study.settings.cost.expert_tokens)


def _priming_seconds(study: Study) -> float:
    """Priming teaches the style that the policy answers in: its rows are as long as its responses."""
    stage, response = study.priming.stage, study.settings.cost.response_tokens
    return _stage_seconds(study, stage, stage_work(study, stage, study.data.priming), response, response)


def _stage_seconds(study: Study, stage: Stage, counts: Work, response: int, expert_response: int) -> float:
    """response, expert_response: tokens of a response of the policy, and of one that it learns from."""
    cost = study.settings.cost
    validation = study.settings.validation
    together = study.data.validation * validation.k
    seconds = rollout_seconds(study, counts.validated, response, validation.batch_rows, together)
    expert = cost.prompt_tokens + expert_response
    kinds = [Rows(counts.expert_rows * expert, expert)]
    if stage.uses_rollouts:
        together = stage.prompts_per_step * stage.rollouts_per_prompt
        seconds += rollout_seconds(study, counts.rollouts, response, stage.generate_batch_rows, together)
        row_tokens = response + cost.prompt_tokens / _sharing(stage, cost.prompt_tokens, response)
        kinds.append(Rows(counts.rollouts * row_tokens, cost.prompt_tokens + response))
    full = sum(rows.tokens / max(stage.micro_batch_tokens, rows.length) for rows in kinds)
    # A model that is read without gradient makes one of the three passes that training makes.
    learning = {"reference": kinds[:1], "teacher": kinds[1:]}
    kinds += [Rows(rows.tokens / 3, rows.length) for name in stage.passes_without_gradient for rows in learning[name]]
    at_least = counts.steps * study.settings.training.scale.ranks  # a step begins new micro-batches on every rank
    return seconds + training_seconds(study, kinds, max(full, at_least), stage)


def _sharing(stage: HybridStage, prompt: int, response: int) -> int:
    """The number of rollouts that share one computation of their prompt: those of a group that a micro-batch holds."""
    fitting = (stage.micro_batch_tokens - prompt) // response
    return min(max(fitting, 1), stage.rollouts_per_prompt)


def available_cores() -> int:
    """The cores of this process; macOS has no affinity."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spent_and_wall_minutes(study: Study, by_rule: Mapping[str, Sequence[float]], cores: int) -> tuple[float, float]:
    """(minutes of single cores or GPUs, minutes until all is done) of these jobs: rule -> minutes of each.

    No schedule is shorter than its longest job or than the fair share of the cores or GPUs. For a GPU only jobs with
    GPUs count; other jobs take a few minutes of a processor.
    """
    each = [(time, study.resources(rule).gpus if study.gpu else 1) for rule, jobs in by_rule.items() for time in jobs]
    spent = float(sum(time * number for time, number in each))
    shared_by = study.settings.cost.gpus if study.gpu else cores
    return spent, max([spent / shared_by, *(time for time, number in each if number)])


def jobs(study: Study, comparisons: Iterable[str]) -> dict[str, list[float]]:
    """Job -> estimated minutes of each run of it, for these comparisons and their report, from scratch."""
    names = list(comparisons)
    shown = [study.comparisons[name] for name in names]
    light = estimated_minutes(study, "table")
    reported = any(name in study.regular for name in names)
    evaluations = {
        (method, benchmark)
        for name in names
        for method in study.comparisons[name].methods
        for benchmark in study.benchmarks_of(name)
    }
    return _run_jobs(study, sorted(evaluations)) | {
        "cells": [light] * len(shown),
        "table": [light] * sum(len(comparison.tables) for comparison in shown),
        "figure": [light] * sum(len(comparison.figures) for comparison in shown),
        "claims": [light] if study.settings.claims and reported else [],
        "report": [light] if reported else [],
    }


def _run_jobs(study: Study, evaluations: list[tuple[str, str]]) -> dict[str, list[float]]:
    """The jobs that lead to the scores of these pairs of method and benchmark."""
    trained = {step.name for method, _ in evaluations for step in study.needed(method) if step.stage is not None}
    bases = [base for base in study.bases if base in {study.start_of(method) for method in trained}]
    seeds = len(study.seed_indices)
    light = estimated_minutes(study, "table")
    pretrained = [estimated_minutes(study, "pretrain", base=base) for base in bases]
    if study.pretrain is not None and not (study.root / study.model).exists():
        pretrained.append(estimated_minutes(study, "pretrain"))  # otherwise it is in the repository or on the hub
    reads_traces = any("traces" in study.methods[method].stage.inputs for method in trained)
    priming = {
        job: [estimated_minutes(study, job)] if study.priming else [] for job in ("experts", "train", "start_gates")
    }
    return ({"pretrain": pretrained} if pretrained else {}) | {
        "prepare": [light],
        "benchmark": [light] * len({benchmark for _, benchmark in evaluations}),
        # For SFT and for RL prompts.
        "experts": [estimated_minutes(study, "experts")] * (2 if reads_traces else 1) + priming["experts"],
        "train": [estimated_minutes(study, "train", method) for method in sorted(trained)] * seeds + priming["train"],
        **({"start_gates": priming["start_gates"]} if study.priming else {}),
        "generate": [estimated_minutes(study, "generate", *names) for names in evaluations] * seeds,
        "score": [light] * len(evaluations) * seeds,
    }
