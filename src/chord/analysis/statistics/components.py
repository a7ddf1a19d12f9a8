"""Splits the uncertainty of an estimate by its source: decoding, the choice of questions, training seeds.

    y[s, q, j] = mean + seed[s] + question[q] + interaction[s, q] + decoding[s, q, j],   j = 1 .. k

is the crossed random-effects model with k samples for each pair of seed and question. Its analysis of variance (Searle,
Casella & McCulloch, Variance Components, 1992) splits the variance of the grand mean into

    decoding    var(decoding) / (S Q k)                          shrinks with k, with questions and with seeds
    questions   var(question) / Q                                shrinks with questions only
    seeds       var(seed) / S + var(interaction) / (S Q)         shrinks with seeds

For one seed, decoding and questions are the two terms of Miller 2024 (arXiv 2411.00640): the mean conditional variance
over k, and the variance of the questions' conditional means. Derivation and limits: docs/statistics.md.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chord.analysis.statistics.intervals import Array, variance_parts


@dataclass(frozen=True)
class Components:
    """Standard deviations of an estimate, in its unit, by source. None: the data cannot separate it from the others."""

    decoding: float | None  # None with one sample per question: then it is part of the other two
    questions: float | None  # None with one question per group; with one seed it includes the interaction
    seeds: float | None  # None with one seed


def components(values: Array, noise: Array, stratum: NDArray[np.int64] | None = None) -> Components:
    """Estimate the components from values[S, Q], means over samples, and their decoding variances noise[S, Q].

    noise is s^2 / k with the unbiased variance s^2 of the k samples; it is NaN if there is only one sample. stratum:
    see `variance_parts`. Each part is unbiased before it is cut off at 0, since the estimate of a part near 0 may be
    negative.
    """
    n_seeds = len(values)
    parts = variance_parts(values, stratum)
    noise_is_known = not np.isnan(noise).any()
    decoding = float(noise.mean()) / values.size if noise_is_known else 0.0
    # With several seeds the question part is already free of decoding noise, and the seed part includes it. With one
    # seed there is only the spread of the questions, which includes all of it.
    questions = float(parts.question) - (decoding if n_seeds == 1 else 0.0)
    seeds = float(parts.seed) - decoding
    return Components(
        decoding=_root(decoding) if noise_is_known else None,
        questions=_root(questions) if parts.question_df else None,
        seeds=_root(seeds) if parts.seed_df else None,
    )


def _root(variance: float) -> float:
    return float(np.sqrt(max(variance, 0.0)))
