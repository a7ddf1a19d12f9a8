"""Decoding, questions and seeds as sources of uncertainty: by hand, against known components, and what must hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chord.analysis.statistics.components import Components, components
from chord.analysis.statistics.intervals import strata, variance_parts


def of_samples(samples: np.ndarray, stratum: np.ndarray | None = None) -> Components:
    """samples: (S, Q, k)."""
    k = samples.shape[-1]
    noise = samples.var(axis=-1, ddof=1) / k if k > 1 else np.full(samples.shape[:2], np.nan)
    return components(samples.mean(axis=-1), noise, stratum)


def test_one_seed_by_hand() -> None:
    # Two questions, two samples each: shares 1/2, 1. s^2 = 1/2 and 0, so the noise of the shares is 1/4 and 0.
    found = of_samples(np.array([[[1.0, 0.0], [1.0, 1.0]]]))
    assert found.decoding == pytest.approx(np.sqrt((1 / 4 + 0) / 2**2))
    # The shares' variance is 1/8, over 2 questions 1/16: all of it is decoding.
    assert found.questions == 0.0
    assert found.seeds is None
    # Shares 0 and 1 without noise: variance 1/2 over 2 questions.
    found = of_samples(np.array([[[0.0, 0.0], [1.0, 1.0]]]))
    assert (found.decoding, found.questions) == (0.0, pytest.approx(0.5))


def test_one_seed_is_the_law_of_total_variance_of_miller() -> None:
    """arXiv 2411.00640: var(mean) = (variance of conditional means + mean conditional variance / k) / n."""
    rng = np.random.default_rng(3)
    samples = (rng.random((1, 50, 8)) < rng.random((1, 50, 1))).astype(float)
    found = of_samples(samples)
    means = samples[0].mean(axis=1)
    assert found.decoding**2 == pytest.approx((means * (1 - means)).mean() * 8 / 7 / 8 / 50)  # unbiased p (1 - p)
    assert found.decoding**2 + found.questions**2 == pytest.approx(means.var(ddof=1) / 50)


def test_several_seeds_by_hand() -> None:
    # Means (1 2 3 / 3 5 7), as in test_statistics: seed part 2.25, question part 4/6, residual mean square 0.5.
    means = np.array([[1.0, 2.0, 3.0], [3.0, 5.0, 7.0]])
    samples = np.stack([means - 0.5, means + 0.5], axis=-1)  # s^2 = 0.5, noise of a mean 0.25
    found = of_samples(samples)
    assert found.decoding == pytest.approx(np.sqrt(0.25 / 6))
    assert found.questions == pytest.approx(np.sqrt(4 / 6))
    assert found.seeds == pytest.approx(np.sqrt(2.25 - 0.25 / 6))


def test_what_the_data_cannot_tell_is_none() -> None:
    rng = np.random.default_rng(0)
    one_sample = of_samples(rng.random((3, 10, 1)))
    assert one_sample.decoding is None
    assert None not in (one_sample.questions, one_sample.seeds)
    one_question = of_samples(rng.random((3, 1, 4)))
    assert one_question.questions is None
    assert None not in (one_question.decoding, one_question.seeds)
    assert of_samples(rng.random((1, 10, 4))).seeds is None


@pytest.mark.parametrize(("n_seeds", "n_questions", "k"), [(1, 30, 4), (2, 30, 2), (5, 12, 8)])
def test_known_components_are_found(n_seeds: int, n_questions: int, k: int) -> None:
    """The mean of the estimated variances over 1,500 simulated studies; large parts, so that few are cut off at 0."""
    seed, question, interaction, decoding = 1.5, 2.0, 0.5, 1.0
    rng = np.random.default_rng(11)
    found = []
    for _ in range(1500):
        samples = (
            rng.normal(size=(n_seeds, 1, 1)) * seed
            + rng.normal(size=(1, n_questions, 1)) * question
            + rng.normal(size=(n_seeds, n_questions, 1)) * interaction
            + rng.normal(size=(n_seeds, n_questions, k)) * decoding
        )
        parts = of_samples(samples)
        found.append([parts.decoding**2, parts.questions**2, 0.0 if parts.seeds is None else parts.seeds**2])
    pairs = n_seeds * n_questions
    crossed = interaction**2 / pairs
    truth = [
        decoding**2 / (pairs * k),
        question**2 / n_questions + (crossed if n_seeds == 1 else 0.0),
        0.0 if n_seeds == 1 else seed**2 / n_seeds + crossed,
    ]
    assert np.mean(found, axis=0) == pytest.approx(truth, rel=0.08)


def test_answers_right_and_wrong_with_unequal_chances() -> None:
    """Decoding noise differs from question to question, p (1 - p); the estimate is of their mean."""
    rng = np.random.default_rng(5)
    chances = rng.beta(0.4, 0.6, size=(1000, 1, 30, 1))
    samples = (rng.random((1000, 3, 30, 8)) < chances).astype(float)
    decoding = np.mean([of_samples(study).decoding ** 2 for study in samples])
    assert decoding == pytest.approx((chances * (1 - chances)).mean() / (3 * 30 * 8), rel=0.02)
    # And it is what really happens when the same questions are answered again.
    assert (samples.mean(axis=(1, 2, 3)) - chances.mean(axis=(1, 2, 3))).var() == pytest.approx(decoding, rel=0.1)


def test_the_spread_of_groups_is_no_uncertainty() -> None:
    groups = np.repeat([0, 1], 20)
    samples = np.where(groups == 0, 0.0, 1.0)[None, :, None] + np.zeros((2, 40, 3))
    assert of_samples(samples, strata(groups)).questions == 0.0
    assert of_samples(samples).questions > 0.05


@given(
    arrays(
        float,
        st.tuples(st.integers(2, 4), st.integers(2, 6), st.integers(2, 4)),
        elements=st.floats(0, 1, allow_subnormal=False),
    ),
    st.floats(0.1, 100),
    st.floats(-10, 10),
)
def test_units_shift_and_sum(samples: np.ndarray, factor: float, shift: float) -> None:
    """A change of units scales each part, a shift changes none, and together they are what the interval is made of."""
    one, two = of_samples(samples), of_samples(samples * factor + shift)
    for name in ("decoding", "questions", "seeds"):
        # Variances, as the root is steep at 0.
        assert getattr(two, name) ** 2 == pytest.approx((getattr(one, name) * factor) ** 2, rel=1e-6, abs=1e-8)
    parts = variance_parts(samples.mean(axis=-1))
    assert one.questions**2 == pytest.approx(float(parts.question), abs=1e-12)
    assert one.decoding**2 + one.seeds**2 == pytest.approx(max(float(parts.seed), one.decoding**2), abs=1e-12)
