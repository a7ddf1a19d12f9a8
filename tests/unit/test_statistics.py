"""Intervals and tests against numbers worked by hand, textbook implementations and a Monte-Carlo resampling."""

import math

import numpy as np
import pytest
from scipy import stats

from chord.analysis.statistics.intervals import (
    detectable,
    half_width,
    holm,
    mean_interval,
    p_value,
    paired_difference,
    strata,
    variance_parts,
    wilson,
)


@pytest.fixture
def table() -> np.ndarray:
    """5 seeds x 12 questions."""
    rng = np.random.default_rng(7)
    return 0.5 + rng.normal(size=(5, 1)) * 0.1 + rng.normal(size=(1, 12)) * 0.2 + rng.normal(size=(5, 12)) * 0.1


def test_parts_by_hand() -> None:
    # Seed means 2, 5; question means 2, 3.5, 5; grand mean 3.5; residuals all +-0.5 or 0.
    values = np.array([[1.0, 2.0, 3.0], [3.0, 5.0, 7.0]])
    parts = variance_parts(values)
    assert parts.mean == pytest.approx(3.5)
    assert parts.seed == pytest.approx(4.5 / 2)  # variance of (2, 5) is 4.5
    # MS_question = 2 * (1.5^2 + 0 + 1.5^2) / 2 = 4.5; residual SS = 4 * 0.25 = 1, df 2, MS = 0.5
    assert parts.question == pytest.approx((4.5 - 0.5) / 6)
    assert (parts.seed_df, parts.question_df) == (1, 2)
    expected = math.sqrt(12.7062**2 * 2.25 + 4.302653**2 * 4 / 6)  # t(1), t(2)
    assert half_width(parts) == pytest.approx(expected, rel=1e-5)


def test_parts_agree_with_an_explicit_two_way_analysis_of_variance(table: np.ndarray) -> None:
    n_seeds, n_questions = table.shape
    grand = sum(table.flat) / table.size
    row = [sum(line) / n_questions for line in table]
    column = [sum(line) / n_seeds for line in table.T]
    ms_seed = n_questions * sum((r - grand) ** 2 for r in row) / (n_seeds - 1)
    ms_question = n_seeds * sum((c - grand) ** 2 for c in column) / (n_questions - 1)
    ms_residual = sum(
        (table[s, q] - row[s] - column[q] + grand) ** 2 for s in range(n_seeds) for q in range(n_questions)
    ) / ((n_seeds - 1) * (n_questions - 1))
    parts = variance_parts(table)
    assert parts.seed == pytest.approx(ms_seed / table.size)
    assert parts.question == pytest.approx((ms_question - ms_residual) / table.size)


def test_resampling_seeds_and_questions_has_the_variance_that_the_formula_corrects(table: np.ndarray) -> None:
    """The closed form of the crossed bootstrap (docs/statistics.md), from our parts, against 20,000 real draws."""
    n_seeds, n_questions = table.shape
    rng = np.random.default_rng(0)
    draws = np.array(
        [
            table[np.ix_(rng.integers(n_seeds, size=n_seeds), rng.integers(n_questions, size=n_questions))].mean()
            for _ in range(20_000)
        ]
    )
    parts = variance_parts(table)
    residual = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    r = np.square(residual).sum() / ((n_seeds - 1) * (n_questions - 1)) / table.size
    a, b = (n_seeds - 1) / n_seeds, (n_questions - 1) / n_questions
    assert draws.var() == pytest.approx(a * parts.seed + b * (parts.question + r) + a * b * r, rel=0.04)


def test_without_question_and_residual_variance_it_is_the_t_interval_of_the_seed_means() -> None:
    seeds = np.array([0.2, 0.5, 0.3])
    interval = mean_interval(np.repeat(seeds[:, None], 10, axis=1), share=False)
    low, high = stats.t.interval(0.95, 2, seeds.mean(), stats.sem(seeds))
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))


def test_one_seed_gives_the_t_interval_of_the_questions() -> None:
    questions = np.array([[3.0, 8.0, 1.0, 6.0]])
    interval = mean_interval(questions, share=False)
    low, high = stats.t.interval(0.95, 3, 4.5, stats.sem(questions[0]))
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))


def test_p_of_one_seed_is_that_of_the_paired_t_test(table: np.ndarray) -> None:
    a, b = table[:1], table[1:2] + 0.05
    found = paired_difference(a, b, share=False)
    assert found.p == pytest.approx(stats.ttest_rel(a[0], b[0]).pvalue, rel=1e-6)


def test_interval_and_p_agree(table: np.ndarray) -> None:
    """Shifting by the half width puts the edge of the interval on 0, where p is 0.05."""
    parts = variance_parts(table)
    edge = table - table.mean() + float(half_width(parts))
    assert p_value(variance_parts(edge)) == pytest.approx(0.05, rel=1e-6)
    assert p_value(variance_parts(table - table.mean())) == pytest.approx(1.0)
    assert p_value(variance_parts(table + 1e9)) == 1e-12


def test_seed_means_that_agree_by_luck_do_not_hide_the_noise() -> None:
    """Each seed misses another question: equal means, and question variance below the residual's."""
    values = np.ones((3, 100))
    values[[0, 1, 2], [5, 6, 7]] = 0.0
    parts = variance_parts(values)
    assert (float(parts.seed), float(parts.question)) == (pytest.approx(0.0), 0.0)
    binomial = 0.99 * 0.01 / 300
    assert parts.residual == pytest.approx(binomial, rel=0.03)
    assert half_width(parts) == pytest.approx(1.972 * math.sqrt(binomial), rel=0.03)  # t(198) = 1.972
    interval = mean_interval(values, share=True)
    assert interval.low < 0.98 < 0.995 < interval.high


def test_order_of_seeds_and_questions_does_not_matter(table: np.ndarray) -> None:
    groups = np.array([0] * 4 + [1] * 8)
    rng = np.random.default_rng(1)
    columns = rng.permutation(12)
    shuffled = table[rng.permutation(5)][:, columns]
    a = mean_interval(table, strata(groups), share=True)
    b = mean_interval(shuffled, strata(groups[columns]), share=True)
    assert (a.estimate, a.low, a.high) == (pytest.approx(b.estimate), pytest.approx(b.low), pytest.approx(b.high))


def test_groups_are_fixed_so_their_spread_is_no_uncertainty() -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat([0, 1], 50)
    values = np.where(groups == 0, 0.1, 0.9) + rng.normal(size=(4, 100)) * 0.05
    within = variance_parts(values, strata(groups))
    pooled = variance_parts(values)
    assert pooled.question > 0.001
    assert within.question < 0.00002
    assert within.question_df == 98
    # The seed part does not depend on the grouping.
    assert within.seed == pytest.approx(float(pooled.seed))


def test_groups_of_one_question_are_put_together() -> None:
    assert list(strata(np.array(["a", "b", "b", "c"]))) == [0, 1, 1, 0]
    assert list(strata(np.array(["a", "b", "c"]))) == [0, 0, 0]


def test_leading_axes_are_independent_studies(table: np.ndarray) -> None:
    both = variance_parts(np.stack([table, 2 * table]))
    assert both.seed == pytest.approx([float(variance_parts(table).seed), 4 * float(variance_parts(table).seed)])


def test_share_stays_inside_its_bounds_and_is_never_a_point() -> None:
    all_right = mean_interval(np.ones((3, 100)), share=True)
    assert all_right.high == 1.0
    # Wilson with 0 of 100: t^2 / (n + t^2), t = 1.984
    assert all_right.low == pytest.approx(1 - 1.984217**2 / (100 + 1.984217**2), rel=1e-5)
    nearly = np.zeros((3, 100))
    nearly[0, 0] = 1.0
    interval = mean_interval(nearly, share=True)
    assert 0.0 < interval.low < 1 / 300 < interval.high < 0.2


def test_wilson_is_the_textbook_interval() -> None:
    n, p = 50, 0.3
    z = stats.norm.ppf(0.975)
    low, high = wilson(np.array(p), np.array(z * math.sqrt(p * (1 - p) / n)), fallback=0.0)
    reference = stats.binomtest(15, n).proportion_ci(method="wilson")
    assert (float(low), float(high)) == (pytest.approx(reference.low), pytest.approx(reference.high))


def test_identical_methods_do_not_differ_but_are_not_proved_equal(table: np.ndarray) -> None:
    found = paired_difference(np.ones((3, 40)), np.ones((3, 40)), share=True)
    assert (found.estimate, found.p, found.detectable) == (0.0, 1.0, None)
    assert 0.05 < found.high == -found.low < 0.12  # 0 of 40 questions differ: up to about 9 % may


def test_a_difference_without_variance_is_tested_by_signs() -> None:
    found = paired_difference(np.ones((3, 6)), np.zeros((3, 6)), share=True)
    assert found.estimate == 1.0
    assert found.p == pytest.approx(2 / 2**6)


def test_one_question_has_no_interval() -> None:
    interval = mean_interval(np.array([[0.5], [0.7]]), share=True)
    assert (interval.estimate, interval.low, interval.high) == (pytest.approx(0.6), None, None)
    found = paired_difference(np.array([[0.5], [0.7]]), np.array([[0.4], [0.7]]), share=True)
    assert (found.low, found.p, found.detectable) == (None, None, None)


def test_unequal_shapes_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="equal shapes"):
        paired_difference(np.zeros((2, 3)), np.zeros((3, 3)), share=True)


def test_detectable_exceeds_the_half_width_by_the_power_quantile() -> None:
    values = np.array([[0.1], [0.4], [0.2], [0.5]]) + np.zeros((1, 8))
    parts = variance_parts(values)
    se = math.sqrt(float(parts.seed))
    assert detectable(parts) == pytest.approx(se * (stats.t.ppf(0.975, 3) + stats.t.ppf(0.8, 3)))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3*.01, 2*.03, max(.06, .04)
    assert holm([0.5, None, 0.6]) == [1.0, None, 1.0]
    assert holm([]) == []
