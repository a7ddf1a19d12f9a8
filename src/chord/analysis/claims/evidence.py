"""The statistics of claims: one number with a 95 % interval from scores or from training curves.

Scores give a value for each seed and question, and the paired difference of `statistics`. A training curve gives one
value for each run; its interval is Student's over seeds.
"""

from dataclasses import dataclass

import numpy as np

from chord.analysis.catalogue import METRICS
from chord.analysis.cells.scores import BenchmarkScores
from chord.analysis.claims.claims_spec import Change, Difference, Part, Position, Statistic
from chord.analysis.figures.run_curves import Curve, RunCurves, curve
from chord.analysis.statistics import intervals
from chord.analysis.statistics.intervals import Array
from chord.errors import UserError

LAST = 0.1  # share of training whose mean is its end: one validation alone is noisy
UNITS = {
    "validation_accuracy": "share",
    "validation_response_tokens": "tokens",
    "response_tokens_mean": "tokens",
    "response_tokens": "tokens",
    "reward_mean": "reward",
    "reward": "reward",
    "entropy": "nats",
}


class NotMeasured(Exception):
    """Says in words what the runs lack."""


@dataclass(frozen=True)
class Evidence:
    """The runs on which claims are judged."""

    scores: dict[str, BenchmarkScores]  # benchmark -> scores
    curves: dict[str, dict[int, RunCurves]]  # method -> seed index -> curves


@dataclass(frozen=True)
class Measurement:
    """`value.detectable` is the smallest true distance from the margin that is detected with 80 % power."""

    value: intervals.PairedDifference
    n_seeds: int
    n_questions: int | None  # None for curves, whose validation questions are the same for every run


def unit(statistic: Statistic) -> str:
    """share (of 1), tokens, reward, nats, log ratio (natural), or position (0 start, 1 expert)."""
    if isinstance(statistic, Position):
        return "position"
    if isinstance(statistic, Difference):
        return "share" if METRICS[statistic.metric].share else UNITS[statistic.metric]
    return "log ratio" if statistic.log else UNITS[statistic.column]


def difference(statistic: Difference, evidence: Evidence, benchmark: str) -> Measurement:
    scores = evidence.scores.get(benchmark)
    runs = scores.runs if scores else {}
    seeds = _common_seeds(statistic.methods, runs, f"scores on {benchmark}")
    values, reference = (scores.matrix(statistic.metric, method, seeds) for method in statistic.methods)
    interval = intervals.paired_difference(
        values, reference, intervals.strata(scores.groups), share=METRICS[statistic.metric].share
    )
    return Measurement(interval, len(seeds), values.shape[1])


def of_curves(statistic: Change | Position, evidence: Evidence) -> Measurement:
    seeds = _common_seeds(statistic.methods, evidence.curves, "curves")
    value = change if isinstance(statistic, Change) else position
    first, *second = (
        value(statistic, [evidence.curves[method][seed] for seed in seeds]) for method in statistic.methods
    )
    per_seed = first - second[0] if second else first
    return Measurement(intervals.seed_interval(per_seed), len(seeds), None)


def change(statistic: Change, runs: list[RunCurves]) -> Array:
    """(S,) one part of the curve minus another, or the log of their ratio; runs of one method."""
    values = _curve(runs, statistic.column)
    of, minus = (level(values, part, statistic.before) for part in (statistic.of, statistic.minus))
    if not statistic.log:
        return of - minus
    if min(of.min(), minus.min()) <= 0:
        raise NotMeasured(f"{runs[0].method}: {statistic.column} reaches 0, so there is no ratio")
    return np.log(of / minus)


def position(statistic: Position, runs: list[RunCurves]) -> Array:
    """(S,) (part - start) / (expert - start) of the response length on validation prompts.

    The expert's length is the mean over the expert rows that the run itself read.
    """
    values = _curve(runs, "validation_response_tokens")
    totals = [[np.nansum(run.columns[name]) for name in ("expert_tokens", "expert_rows")] for run in runs]
    tokens, rows = np.array(totals).T
    if not rows.all():
        raise NotMeasured(f"{runs[0].method}: it reads no expert rows, so their length is unknown")
    start = level(values, "start")
    distance = tokens / rows - start
    if np.abs(distance).min() < 1:
        raise NotMeasured(f"{runs[0].method}: expert and start model write equally long")
    return (level(values, statistic.of) - start) / distance


def level(line: Curve, part: Part, before: float = 1.0) -> Array:
    """(S,) the height of a part of the curve in each run.

    start: the first point, which is the start model (validated, or sampled from before the first update). end: mean
    over the last tenth of training. highest, lowest: the extreme after the start, within the first share `before` of
    training. Its place is taken from the mean of the other runs: in the run itself noise would look like a peak, as the
    extreme of several noisy points lies beyond every true one. (A single run has no others, but no interval either.)
    """
    x, values = line.x, line.values
    if part == "start":
        return values[:, 0]
    if part == "end":
        return values[:, x >= (1 - LAST) * x[-1]].mean(axis=1)
    candidates = values[:, (x > x[0]) & (x <= before * x[-1])]
    if not candidates.shape[1]:
        raise NotMeasured(f"no point of the curve after its start in the first {100 * before:g} % of training")
    n_seeds = len(candidates)
    others = (candidates.sum(axis=0) - candidates) / (n_seeds - 1) if n_seeds > 1 else candidates
    place = others.argmax(axis=1) if part == "highest" else others.argmin(axis=1)
    return candidates[np.arange(n_seeds), place]


def _curve(runs: list[RunCurves], column: str) -> Curve:
    try:
        return curve(runs, "step", column)
    except UserError as error:
        raise NotMeasured(str(error)) from error


def _common_seeds(methods: tuple[str, ...], runs: dict[str, dict], what: str) -> list[int]:
    for method in methods:
        if not runs.get(method):
            raise NotMeasured(f"no {what} of {method}")
    seeds = sorted(set.intersection(*(set(runs[method]) for method in methods)))
    if not seeds:
        raise NotMeasured(f"no seed with {what} of both {' and '.join(methods)}")
    return seeds
