"""Computes intervals and tests for a table of seeds x questions, the two crossed.

Every number of a table is the mean of a matrix `values[seed, question]`, whose entries are means over k samples. Seeds
and questions are both drawn from larger populations (other initial noise, other questions), and each seed sees every
question. Resampling both has the variance

    seed part + question part + interaction part

in closed form (docs/statistics.md), so nothing is drawn here. The parts are computed without their small-sample bias,
and each gets the t quantile of its own degrees of freedom (Banerjee 1961: at least nominal coverage):

    half width^2 = max(t(S - 1)^2 * seed part, t(R)^2 * residual part) + t(Q - G)^2 * question part

The seed part includes the residual (interaction and decoding noise, R degrees of freedom) and is never taken to be
smaller than it, since three seed means may agree by chance.

With S = 3 seeds the first factor is 4.30^2, which is the price of having only three seeds.
`chord.analysis.statistics.simulated_coverage` simulates the coverage.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]

LEVEL = 0.95
POWER = 0.80
SMALLEST_P = 1e-12  # the normal model says nothing about smaller values


@dataclass(frozen=True)
class Parts:
    """The estimated variance of a mean over seeds and questions, by source; arrays if the input had leading axes."""

    mean: Array
    seed: Array  # variance of the seed means / S: seed effect, interaction and decoding noise
    question: Array  # what the questions add beyond that
    residual: Array  # interaction and decoding noise alone: a lower bound for the expectation of the seed part
    seed_df: int  # S - 1; 0 means that the seed part is unknown (one seed)
    question_df: int  # Q - G; 0 means that the question part is unknown


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; low and high are None if there is only one question per group, from which it cannot be known."""

    estimate: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PairedDifference(Interval):
    """A paired difference; `detectable` is the smallest true difference with 80 % power at the 5 % level."""

    p: float | None
    detectable: float | None


def strata(groups: NDArray) -> NDArray[np.int64]:
    """Group labels as integers 0..G-1. Groups of a single question are merged, since alone they have no variance."""
    _, index, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    is_single = counts[index] == 1
    labels = np.where(is_single, -1, index)
    return np.unique(labels, return_inverse=True)[1]


def variance_parts(values: Array, stratum: NDArray[np.int64] | None = None) -> Parts:
    """Split the variance of the grand mean of values[..., S, Q] into seeds and questions.

    stratum: (Q,) integers 0..G-1. The groups of a benchmark (its tiers) are fixed, not sampled, so the spread between
    groups does not add to the uncertainty of their common mean; question variance is taken within groups.
    """
    values = np.asarray(values, dtype=np.float64)
    n_seeds, n_questions = values.shape[-2:]
    stratum = np.zeros(n_questions, dtype=np.int64) if stratum is None else stratum
    n_groups = int(stratum.max()) + 1
    member = np.eye(n_groups)[stratum]  # (Q, G)
    question_df = n_questions - n_groups

    seed_means = values.mean(axis=-1)  # (..., S)
    question_means = values.mean(axis=-2)  # (..., Q)
    group_means = (question_means @ member / member.sum(axis=0))[..., stratum]  # (..., Q), each question's group
    zero = np.zeros(values.shape[:-2])

    between = n_seeds * np.square(question_means - group_means).sum(axis=-1)
    question_square = between / question_df if question_df else zero  # E = S var(question) + var(residual)
    if n_seeds == 1:
        return Parts(values.mean(axis=(-2, -1)), zero, question_square / n_questions, zero, 0, question_df)

    seed_part = seed_means.var(axis=-1, ddof=1) / n_seeds  # E = var(seed) / S + var(residual) / (S Q)
    seed_group_means = (values @ member / member.sum(axis=0))[..., stratum]  # (..., S, Q)
    residual = values - seed_group_means - (question_means - group_means)[..., None, :]
    residual_df = (n_seeds - 1) * question_df
    residual_square = np.square(residual).sum(axis=(-2, -1)) / residual_df if question_df else zero
    # The residual is already in the seed part and counts once; plain resampling of both would count it three times.
    question_part = np.maximum(question_square - residual_square, 0.0) / (n_seeds * n_questions)
    residual_part = residual_square / (n_seeds * n_questions)
    return Parts(values.mean(axis=(-2, -1)), seed_part, question_part, residual_part, n_seeds - 1, question_df)


def half_width(parts: Parts, quantile: float = 0.5 + LEVEL / 2) -> Array:
    """The distance from the mean to the one-sided `quantile`; each part has its own degrees of freedom."""
    squared = np.zeros_like(parts.question)
    if parts.seed_df:
        squared = stdtrit(parts.seed_df, quantile) ** 2 * parts.seed
    if parts.seed_df and parts.question_df:
        residual_df = parts.seed_df * parts.question_df
        squared = np.maximum(squared, stdtrit(residual_df, quantile) ** 2 * parts.residual)
    if parts.question_df:
        squared = squared + stdtrit(parts.question_df, quantile) ** 2 * parts.question
    return np.sqrt(squared)


def wilson(mean: Array, half: Array, fallback: float) -> tuple[Array, Array]:
    """The interval of a share in [0, 1], from its symmetric half width.

    This is Wilson's formula with the effective sample size that `half` implies: t^2 / n = half^2 / (mean (1 - mean)).
    The result is close to the symmetric interval if that is narrow, stays inside [0, 1], and does not have width zero
    if every answer is right (or wrong): then t^2 / n = `fallback`, where n is the number of questions.
    """
    spread = mean * (1.0 - mean)
    is_unanimous = spread < 1e-12
    c = np.where(is_unanimous, fallback, np.square(half) / np.where(is_unanimous, 1.0, spread))
    root = np.sqrt(c * np.where(is_unanimous, 0.0, spread) + c**2 / 4)
    low = np.where(mean < 1e-12, 0.0, (mean + c / 2 - root) / (1 + c))
    high = np.where(mean > 1 - 1e-12, 1.0, (mean + c / 2 + root) / (1 + c))
    return low, high


def mean_interval(values: Array, stratum: NDArray[np.int64] | None = None, *, share: bool) -> Interval:
    """The 95 % interval of the mean of values[S, Q]. share: values are shares in [0, 1] (accuracy, truncation ...)."""
    parts = variance_parts(values, stratum)
    mean, half = float(parts.mean), float(half_width(parts))
    if not parts.question_df:
        return Interval(mean, None, None)
    if not share:
        return Interval(mean, mean - half, mean + half)
    low, high = wilson(parts.mean, half_width(parts), _unanimous_fallback(parts, values.shape[-1]))
    return Interval(mean, float(low), float(high))


def paired_difference(
    values: Array, reference: Array, stratum: NDArray[np.int64] | None = None, *, share: bool
) -> PairedDifference:
    """The mean of values - reference, both [S, Q], paired by (seed index, question)."""
    if values.shape != reference.shape:
        raise ValueError(f"a paired difference needs equal shapes, got {values.shape} and {reference.shape}")
    parts = variance_parts(values - reference, stratum)
    mean = float(parts.mean)
    if not parts.question_df:
        return PairedDifference(mean, None, None, None, None)
    half = float(half_width(parts))
    if half < 1e-12:
        # Every pair differs by the same amount, usually 0. "No difference at all" would be too strong: shares may still
        # differ on one in this many questions. The test is the sign test, one coin toss per question.
        c = _unanimous_fallback(parts, values.shape[-1])
        half = c / (1 + c) if share else 0.0
        p = 1.0 if abs(mean) < 1e-12 else max(2.0 ** (1 - values.shape[-1]), SMALLEST_P)
        return PairedDifference(mean, mean - half, mean + half, p, None)
    return PairedDifference(mean, mean - half, mean + half, p_value(parts), detectable(parts))


def seed_interval(values: Array) -> PairedDifference:
    """Student's interval of the mean of values[S], one value per seed, and the test of mean = 0.

    There is no interval without a spread to estimate it from (one seed, or seeds that agree exactly).
    """
    n_seeds = len(values)
    mean, variance = float(values.mean()), float(values.var(ddof=1)) / n_seeds if n_seeds > 1 else 0.0
    if variance < 1e-24:
        return PairedDifference(mean, None, None, None, None)
    zero = np.zeros(())
    parts = Parts(np.asarray(mean), np.asarray(variance), zero, zero, n_seeds - 1, 0)
    half = float(half_width(parts))
    return PairedDifference(mean, mean - half, mean + half, p_value(parts), detectable(parts))


def p_value(parts: Parts) -> float:
    """The two-sided p of mean = 0: one minus the level at which the interval just reaches 0, so that the two agree."""
    distance = abs(float(parts.mean))

    def reaches(p: float) -> bool:
        return float(half_width(parts, 1.0 - p / 2)) >= distance

    low, high = np.log(SMALLEST_P), 0.0
    if not reaches(SMALLEST_P):
        return SMALLEST_P
    for _ in range(60):  # half_width decreases as p grows, so {p: reaches(p)} is an interval from SMALLEST_P up
        middle = (low + high) / 2
        low, high = (middle, high) if reaches(float(np.exp(middle))) else (low, middle)
    return float(np.exp(low))


def detectable(parts: Parts) -> float:
    """The smallest true difference that a repetition of this comparison detects with 80 % power at the 5 % level."""
    return float(half_width(parts) + half_width(parts, POWER))


def holm(p_values: list[float | None]) -> list[float | None]:
    """Holm's step-down correction over one family; comparisons without a p value are not part of it."""
    family = [(p, index) for index, p in enumerate(p_values) if p is not None]
    corrections: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(sorted(family)):
        largest = max(largest, min(1.0, (len(family) - rank) * p))
        corrections[index] = largest
    return corrections


def _unanimous_fallback(parts: Parts, n_questions: int) -> float:
    """t^2 / n for `wilson` if all answers agree: n is the number of questions."""
    return float(stdtrit(parts.question_df, 0.5 + LEVEL / 2) ** 2 / n_questions)
