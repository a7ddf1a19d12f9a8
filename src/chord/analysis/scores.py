"""Reads scores.parquet files of many runs into seeds x questions matrices, one for each metric."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from chord.analysis.run_records import run_name
from chord.analysis.specs import ALL
from chord.analysis.statistics import Array, pass_at_k
from chord.errors import UserError

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
    frame: pd.DataFrame

    @property
    def run(self) -> str:
        return run_name(self.path.parent)


def read_scores(path: Path) -> RunScores:
    table = pq.read_table(path, columns=["prompt_id", "group", "sample", "tokens", "truncated", "correct", "parsed"])
    try:
        chord = json.loads((table.schema.metadata or {})[b"chord"])
        found = {key: chord[key] for key in METADATA}
    except KeyError as error:
        raise UserError(f"{path}: metadata {error} is missing; expected a file written by `chord score`") from error
    frame = table.to_pandas()
    counts = frame.groupby("prompt_id")["sample"].agg(["size", "nunique"])
    odd = counts[(counts["size"] != found["k"]) | (counts["nunique"] != found["k"])]
    if len(odd) or not len(counts):
        name = odd.index[0] if len(odd) else "no question at all"
        raise UserError(f"{path}: expected {found['k']} different samples of each question; see {name}")
    return RunScores(path=Path(path), frame=frame, **found)


@dataclass(frozen=True)
class BenchmarkScores:
    """All runs on one benchmark. Questions are sorted by id and the same for every run."""

    benchmark: str
    k: int
    groups: np.ndarray  # (Q,) group of each question
    runs: dict[str, dict[int, RunScores]]  # method -> seed index -> run
    metrics: dict[str, dict[str, dict[int, Array]]]  # metric -> method -> seed index -> (Q,)

    def group_names(self) -> list[str]:
        """`all` first; a benchmark that is one single group has no other. `live/simple` lies in a group `live`."""
        groups = set(self.groups)
        names = sorted(groups | {group.partition("/")[0] for group in groups})
        return [ALL] if len(groups) == 1 else [ALL, *names]

    def members(self, group: str) -> np.ndarray:
        if group == ALL:
            return np.ones(len(self.groups), dtype=bool)
        return (self.groups == group) | np.char.startswith(self.groups, f"{group}/")

    def matrix(self, metric: str, method: str, seeds: list[int]) -> Array:
        """(S, Q)"""
        return np.stack([self.metrics[metric][method][seed] for seed in seeds])


def collect(paths: list[Path], methods: list[str], pass_k: int | None) -> list[BenchmarkScores]:
    """Scores by benchmark, sorted by name. Runs must have answered the same questions equally often."""
    if not paths:
        raise UserError("no scores given: nothing to compare")
    by_benchmark: dict[str, list[RunScores]] = defaultdict(list)
    for path in paths:
        scores = read_scores(path)
        if scores.method not in methods:
            raise UserError(f"{path}: method {scores.method!r} is not in this comparison ({', '.join(methods)})")
        by_benchmark[scores.benchmark].append(scores)
    return [_benchmark(name, by_benchmark[name], pass_k) for name in sorted(by_benchmark)]


def _benchmark(name: str, files: list[RunScores], pass_k: int | None) -> BenchmarkScores:
    runs: dict[str, dict[int, RunScores]] = defaultdict(dict)
    metrics: dict[str, dict[str, dict[int, Array]]] = defaultdict(lambda: defaultdict(dict))
    first = files[0]
    groups = _groups(first)
    pass_k = first.k if pass_k is None else pass_k
    if pass_k > first.k:
        raise UserError(f"{first.path}: pass@{pass_k} needs at least {pass_k} samples, there are {first.k}")
    for item in files:
        if item.seed_index in runs[item.method]:
            raise UserError(f"{item.path}: a second file of {item.method}, seed {item.seed_index}, {name}")
        if item.k != first.k or not _groups(item).equals(groups):
            raise UserError(f"{item.path}: other questions, groups or number of samples than in {first.path}")
        runs[item.method][item.seed_index] = item
        for metric, values in _per_question(item, pass_k).items():
            metrics[metric][item.method][item.seed_index] = values
    return BenchmarkScores(name, first.k, groups.to_numpy(dtype=str), dict(runs), metrics)


def _groups(scores: RunScores) -> pd.Series:
    """Group of each question, sorted by question."""
    groups = scores.frame.groupby("prompt_id", sort=True)["group"]
    if (groups.agg("nunique") != 1).any():
        raise UserError(f"{scores.path}: a question belongs to more than one group, or to none")
    found = groups.first()
    if (found == ALL).any() and (found != ALL).any():
        raise UserError(f"{scores.path}: the group name {ALL!r} is taken by the mean over all questions")
    return found


def _per_question(scores: RunScores, pass_k: int) -> dict[str, Array]:
    """metric -> (Q,), questions sorted by id."""
    by_question = scores.frame.groupby("prompt_id", sort=True)
    means = by_question[["correct", "tokens", "truncated", "parsed"]].mean()
    correct = by_question["correct"].sum().to_numpy(dtype=np.int64)
    return {
        "accuracy": means["correct"].to_numpy(dtype=np.float64),
        "pass@k": pass_at_k(correct, scores.k, pass_k),
        "response_tokens": means["tokens"].to_numpy(dtype=np.float64),
        "truncated": means["truncated"].to_numpy(dtype=np.float64),
        "unparsed": 1.0 - means["parsed"].to_numpy(dtype=np.float64),
    }
