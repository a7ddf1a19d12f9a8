"""Reads scores.parquet files of many runs into seeds x questions matrices, one for each metric."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from chord.analysis.catalogue import METRICS, Measure
from chord.analysis.report.run_records import run_name
from chord.analysis.specs import ALL, Measured
from chord.analysis.statistics.intervals import Array
from chord.errors import UserError
from chord.io import parquet
from chord.tasks.task import UNDECIDED

COLUMNS = ["prompt_id", "group", "sample", "tokens", "truncated", "reward", "correct", "parsed", "reason"]
OFFICIAL = "official_correct"  # not in files of earlier versions
METADATA = ("method", "seed_index", "benchmark", "k", "spec_hash")


@dataclass(frozen=True)
class RunScores:
    """One file: the verdicts of one run on one benchmark."""

    path: Path
    method: str
    seed_index: int
    benchmark: str
    k: int
    spec_hash: str
    decoding: dict  # how its answers were sampled: temperature, top_p, max_response_tokens
    frame: pd.DataFrame

    @property
    def run(self) -> str:
        return run_name(self.path.parent)


def read_scores(path: Path) -> RunScores:
    has_official = OFFICIAL in parquet.read_schema(path).names
    table = parquet.read(path, columns=[*COLUMNS, OFFICIAL] if has_official else COLUMNS)
    try:
        chord = json.loads((table.schema.metadata or {})[b"chord"])
        record = {key: chord[key] for key in METADATA} | {"decoding": chord["generate"]["spec"]["decoding"]}
    except KeyError as error:
        raise UserError(f"{path}: metadata {error} is missing; expected a file written by `chord score`") from error
    frame = table.to_pandas()
    counts = frame.groupby("prompt_id")["sample"].agg(["size", "nunique"])
    odd = counts[(counts["size"] != record["k"]) | (counts["nunique"] != record["k"])]
    if len(odd) or not len(counts):
        name = odd.index[0] if len(odd) else "no question at all"
        raise UserError(f"{path}: expected {record['k']} different samples of each question; see {name}")
    return RunScores(path=Path(path), frame=frame, **record)


@dataclass(frozen=True)
class PerQuestion:
    """One metric of one run, (Q,) each."""

    value: Array  # over the k samples
    noise: Array  # estimated variance of `value` from decoding alone; NaN for a single sample


@dataclass(frozen=True)
class BenchmarkScores:
    """All runs on one benchmark. Questions are sorted by id and the same for every run."""

    benchmark: str
    k: int
    decoding: dict  # the same for every run, as k is
    groups: np.ndarray  # (Q,) group of each question
    runs: dict[str, dict[int, RunScores]]  # method -> seed index -> run
    metrics: dict[str, dict[str, dict[int, PerQuestion]]]  # metric -> method -> seed index

    def group_names(self) -> list[str]:
        """`all` first; a benchmark that is one single group has no other. `live/simple` lies in a group `live`."""
        groups = set(self.groups)
        names = sorted(groups | {group.partition("/")[0] for group in groups})
        return [ALL] if len(groups) == 1 else [ALL, *names]

    def members(self, group: str) -> np.ndarray:
        if group == ALL:
            return np.ones(len(self.groups), dtype=bool)
        return (self.groups == group) | np.char.startswith(self.groups, f"{group}/")

    def measures(self) -> list[tuple[Measured, Measure]]:
        """The metrics that every run has; `undecided` only if any run has undecided answers."""
        runs = [(method, seed) for method, seeds in self.runs.items() for seed in seeds]
        return [
            (metric, measure)
            for metric, measure in METRICS.items()
            if all(seed in self.metrics[metric].get(method, {}) for method, seed in runs)
            and (metric != "undecided" or any(self.metrics[metric][method][seed].value.any() for method, seed in runs))
        ]

    def matrix(self, metric: str, method: str, seeds: list[int]) -> Array:
        """(S, Q)"""
        return np.stack([self.metrics[metric][method][seed].value for seed in seeds])

    def noise(self, metric: str, method: str, seeds: list[int]) -> Array:
        """(S, Q) variance of each entry of `matrix` from decoding alone."""
        return np.stack([self.metrics[metric][method][seed].noise for seed in seeds])


def collect(paths: list[Path], methods: list[str]) -> list[BenchmarkScores]:
    """Scores by benchmark, sorted by name. Runs must have answered the same questions equally often."""
    if not paths:
        raise UserError("no scores given: nothing to compare")
    by_benchmark: dict[str, list[RunScores]] = defaultdict(list)
    for path in paths:
        scores = read_scores(path)
        if scores.method not in methods:
            raise UserError(f"{path}: method {scores.method!r} is not in this comparison ({', '.join(methods)})")
        by_benchmark[scores.benchmark].append(scores)
    return [_benchmark(name, by_benchmark[name]) for name in sorted(by_benchmark)]


def _benchmark(name: str, files: list[RunScores]) -> BenchmarkScores:
    runs: dict[str, dict[int, RunScores]] = defaultdict(dict)
    metrics: dict[str, dict[str, dict[int, PerQuestion]]] = defaultdict(lambda: defaultdict(dict))
    first = files[0]
    groups = _groups(first)
    for item in files:
        if item.seed_index in runs[item.method]:
            raise UserError(f"{item.path}: a second file of {item.method}, seed {item.seed_index}, {name}")
        if item.k != first.k or not _groups(item).equals(groups):
            raise UserError(f"{item.path}: other questions, groups or number of samples than in {first.path}")
        if item.decoding != first.decoding:
            raise UserError(f"{item.path}: decoded with {item.decoding}, {first.path} with {first.decoding}")
        runs[item.method][item.seed_index] = item
        for metric, values in _per_question(item).items():
            metrics[metric][item.method][item.seed_index] = values
    return BenchmarkScores(name, first.k, first.decoding, groups.to_numpy(dtype=str), dict(runs), metrics)


def _groups(scores: RunScores) -> pd.Series:
    """Group of each question, sorted by question."""
    groups = scores.frame.groupby("prompt_id", sort=True)["group"]
    if (groups.agg("nunique") != 1).any():
        raise UserError(f"{scores.path}: a question belongs to more than one group, or to none")
    first = groups.first()
    if (first == ALL).any() and (first != ALL).any():
        raise UserError(f"{scores.path}: the group name {ALL!r} is taken by the mean over all questions")
    return first


def _per_question(scores: RunScores) -> dict[str, PerQuestion]:
    """By metric, questions sorted by id."""
    frame = scores.frame.sort_values("prompt_id", kind="stable")
    # (Q, k): each question has k rows, as `read_scores` has seen.
    correct, tokens, truncated, parsed, reward = (
        frame[name].to_numpy(dtype=np.float64).reshape(-1, scores.k)
        for name in ("correct", "tokens", "truncated", "parsed", "reward")
    )
    undecided = frame["reason"].isin(UNDECIDED).to_numpy(dtype=np.float64).reshape(-1, scores.k)
    reached = correct.any(axis=1).astype(np.float64)
    official = {}
    if OFFICIAL in frame and frame[OFFICIAL].notna().all():
        same = frame[OFFICIAL].to_numpy(dtype=np.float64).reshape(-1, scores.k) == correct
        official = {"official_agreement": _mean(same.astype(np.float64))}
    return official | {
        "accuracy": _mean(correct),
        # k is the number of samples: one value per question, and nothing to tell its noise from.
        "pass@k": PerQuestion(reached, np.full_like(reached, np.nan)),
        "response_tokens": _mean(tokens),
        "truncated": _mean(truncated),
        "unparsed": _mean(1.0 - parsed),
        "undecided": _mean(undecided),
        "reward": _mean(reward),
    }


def _mean(samples: Array) -> PerQuestion:
    """Of samples[Q, k], with the unbiased variance of the samples over k."""
    n_questions, k = samples.shape
    noise = samples.var(axis=1, ddof=1) / k if k > 1 else np.full(n_questions, np.nan)
    return PerQuestion(samples.mean(axis=1), noise)
