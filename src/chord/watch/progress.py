"""How far a study is, from the files that Snakemake and the jobs write, and an estimate of the minutes left.

A job's log exists from its start, and its line in timings/ from its end. Estimates are those of the plan, corrected by
how long finished jobs of the same rule took.
"""

import csv
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chord.io.devices import available_cores
from chord.io.locks import LEASE_SECONDS
from chord.plan import estimated_minutes, spent_and_wall_minutes
from chord.study import Study


@dataclass(frozen=True)
class Job:
    """A job of the workflow. `name` is that of its log and timing in the study's results, such as train/rl-seed-0."""

    rule: str  # a key of chord.jobs.JOBS
    name: str
    minutes: float  # the plan's estimate


@dataclass(frozen=True)
class Running:
    """A job that has begun and not ended, and the minutes that it still needs."""

    job: Job
    minutes_left: float


@dataclass(frozen=True)
class Share:
    """How far a comparison is, with the jobs that it shares with others."""

    name: str
    done: int
    jobs: int
    minutes_left: float


@dataclass(frozen=True)
class Progress:
    is_held: bool  # whether a process of Snakemake holds the study: otherwise nothing runs
    shares: list[Share]
    running: list[Running]


def expected_jobs(study: Study, comparisons: Iterable[str]) -> list[Job]:
    """The jobs of these comparisons from scratch, in the order of the workflow; downloads are left out."""
    shown = {name: study.comparisons[name] for name in comparisons}
    pairs = {
        (method, benchmark): None
        for name, item in shown.items()
        for method in item.methods
        for benchmark in study.benchmarks_of(name)
    }
    trained = {link.name: None for method, _ in pairs for link in study.needed(method) if study.trains(link.name)}
    bases = [base for base in study.bases if base in {study.start_of(method) for method in trained}]
    traces = any("traces" in study.methods[method].stage.inputs for method in trained)
    rows = {study.benchmarks[benchmark].data.name: None for _, benchmark in pairs}

    def job(rule: str, name: str, **of: str) -> Job:
        return Job(rule, name, estimated_minutes(study, rule, **of))

    jobs = [
        *(job("benchmark", f"benchmark/{name}") for name in rows),
        job("prepare", "prepare"),
        job("experts", "experts"),
        *([job("experts", "traces")] if traces else []),
        *(job("pretrain", f"bases/{base}", base=base) for base in bases),
    ]
    if study.pretrain is not None and not (study.root / study.model).exists():
        jobs.append(job("pretrain", "pretrain"))
    if study.priming:
        jobs += [job("experts", "priming_experts"), job("train", "priming"), job("start_gates", "start_gates")]
    seeds = study.seed_indices
    jobs += [job("train", f"train/{method}-seed-{seed}", method=method) for seed in seeds for method in trained]
    for rule in ("generate", "score"):
        jobs += [
            job(rule, f"{rule}/{method}-seed-{seed}-{benchmark}", method=method, benchmark=benchmark)
            for seed in seeds
            for method, benchmark in pairs
        ]
    for name, item in shown.items():
        jobs.append(job("cells", f"cells/{name}"))
        jobs += [job("table", f"table/{name}-{table}") for table in item.tables]
        jobs += [job("figure", f"figure/{name}-{figure}") for figure in item.figures]
    return jobs


def progress(study: Study, folder: Path, training: Mapping[str, float], now: float | None = None) -> Progress:
    """How far every regular comparison is, and all of them. folder: results/<study>.

    training: name of a training job -> the minutes that its own steps say it still needs. Other jobs that run count as
    if they had just begun. now: seconds since the epoch (default: now).
    """
    now = time.time() if now is None else now
    targets = {name: [name] for name in study.regular}
    if len(targets) > 1:
        targets["all"] = study.regular
    jobs = {name: expected_jobs(study, comparisons) for name, comparisons in targets.items()}
    every = list(dict.fromkeys(job for own in jobs.values() for job in own))
    took = {job: minutes for job in every if (minutes := _minutes_taken(job, folder)) is not None}
    speed = _speed(took)
    left = {job: training.get(job.name, job.minutes * speed(job.rule)) for job in every if job not in took}
    lock = _changed(folder / "lock")
    return Progress(
        is_held=lock is not None and now - lock < LEASE_SECONDS,
        shares=[
            Share(
                name,
                sum(job in took for job in own),
                len(own),
                _wall(study, {job: left[job] for job in own if job in left}),
            )
            for name, own in jobs.items()
        ],
        running=[Running(job, minutes) for job, minutes in left.items() if _changed(_log(job, folder)) is not None],
    )


def _log(job: Job, folder: Path) -> Path:
    return folder / "logs" / f"{job.name}.log"


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _minutes_taken(job: Job, folder: Path) -> float | None:
    """The minutes that a finished job took; None for one that has not ended since its log was written."""
    timing = folder / "timings" / f"{job.name}.tsv"
    ended, written = _changed(timing), _changed(_log(job, folder))
    if ended is None or ended < (written or 0):
        return None
    with open(timing, newline="", encoding="utf-8") as file:
        return sum(float(row["s"]) for row in csv.DictReader(file, delimiter="\t")) / 60


def _speed(took: Mapping[Job, float]) -> Callable[[str], float]:
    """Rule -> measured over estimated minutes of its finished jobs, or of all jobs if none of the rule has finished."""

    def ratio(jobs: Sequence[Job]) -> float | None:
        return sum(took[job] for job in jobs) / sum(job.minutes for job in jobs) if jobs else None

    return lambda rule: ratio([job for job in took if job.rule == rule]) or ratio(list(took)) or 1.0


def _wall(study: Study, left: Mapping[Job, float]) -> float:
    """The minutes until these jobs are done."""
    by_rule = defaultdict(list)
    for job, minutes in left.items():
        by_rule[job.rule].append(minutes)
    return spent_and_wall_minutes(study, by_rule, available_cores())[1]
