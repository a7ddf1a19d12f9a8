"""Where the uncertainty of an estimate comes from: decoding, the choice of questions, training seeds.

    y[s, q, j] = mean + seed[s] + question[q] + interaction[s, q] + decoding[s, q, j],   j = 1 .. k

is the crossed random-effects model with k samples in each pair of seed and question. Its analysis of variance (Searle,
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
    """Standard deviations of an estimate, in its unit, by source. None: these data cannot tell it from the others."""

    decoding: float | None  # None with one sample a question: it is then part of the other two
    questions: float | None  # None with one question a group; with one seed it holds the interaction
    seeds: float | None  # None with one seed


def components(values: Array, noise: Array, stratum: NDArray[np.int64] | None = None) -> Components:
    """values[S, Q]: means over samples. noise[S, Q]: the estimated variance of each of them from decoding alone.

    noise is s^2 / k with the unbiased variance s^2 of the k samples; NaN where one sample leaves it unknown. Each part
    is unbiased before it is cut off at 0, as a part that is near 0 may come out below it.
    """
    n_seeds = len(values)
    parts = variance_parts(values, stratum)
    known = not np.isnan(noise).any()
    decoding = float(noise.mean()) / values.size if known else 0.0
    # With several seeds the question part is free of decoding noise already, and the seed part holds it; with one seed
    # there is nothing but the spread of the questions, which holds all of it.
    questions = float(parts.question) - (decoding if n_seeds == 1 else 0.0)
    seeds = float(parts.seed) - decoding
    return Components(
        decoding=_root(decoding) if known else None,
        questions=_root(questions) if parts.question_df else None,
        seeds=_root(seeds) if parts.seed_df else None,
    )


def _root(variance: float) -> float:
    return float(np.sqrt(max(variance, 0.0)))
