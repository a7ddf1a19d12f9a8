"""The jobs that a comparison needs from scratch, and an estimate of the time of each.

The model is deliberately simple: a job takes the time of its start, of the tokens that it samples and of those on which
it trains, each kind at its own speed (chord.plan.stage_time).
"""

from collections.abc import Iterable, Mapping, Sequence

from chord.jobs import JOBS
from chord.plan.speed import Rows, answering_seconds, training_seconds
from chord.plan.stage_time import method_time, priming_time
from chord.plan.work import questions, response_tokens
from chord.study import Study


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
        seconds += (method_time(study, method) if method else priming_time(study)).seconds
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


def job_gpus(study: Study, rule: str) -> int:
    """The GPUs of a job of this rule, on all of its nodes."""
    nodes = study.settings.training.scale.nodes if rule == "train" else 1
    return study.resources(rule).gpus * nodes


def spent_and_wall_minutes(study: Study, by_rule: Mapping[str, Sequence[float]], cores: int) -> tuple[float, float]:
    """(minutes of single cores or GPUs, minutes until all is done) of these jobs: rule -> minutes of each.

    No schedule is shorter than its longest job or than the fair share of the cores or GPUs. For a GPU only jobs with
    GPUs count; other jobs take a few minutes of a processor.
    """
    each = [(time, job_gpus(study, rule) if study.gpu else 1) for rule, jobs in by_rule.items() for time in jobs]
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
