"""The statistics of claims, each worked out by hand on a few numbers."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from chord.analysis.cells.scores import collect
from chord.analysis.claims.claims_spec import Change, Difference, Position
from chord.analysis.claims.evidence import Evidence, NotMeasured, difference, level, of_curves, unit
from chord.analysis.figures.run_curves import Curve, RunCurves
from chord.analysis.statistics.intervals import paired_difference, seed_interval, strata
from tests.helpers import fake_study

NAN = float("nan")


def runs(method: str, **columns: list[list[float]]) -> dict[int, RunCurves]:
    """One run for each row of the columns; steps count from 0."""
    n_seeds = len(next(iter(columns.values())))
    found = {}
    for seed in range(n_seeds):
        values = {name: np.array(rows[seed], dtype=float) for name, rows in columns.items()}
        values["step"] = np.arange(len(next(iter(values.values()))), dtype=float)
        found[seed] = RunCurves(Path(f"runs/{method}/seed-{seed}/curves.csv"), method, seed, values)
    return found


def change(**keys) -> Change:
    return Change(**{"kind": "change", "method": "a", "column": "validation_accuracy"} | keys)


def measured(statistic, **curves):
    return of_curves(statistic, Evidence({}, curves))


# Steps 0 to 10; the end is the mean of steps 9 and 10.
THREE = [
    [0.5, 0.3, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.7, 0.5],
    [0.4, 0.4, 0.1, 0.3, 0.5, 0.6, 0.7, 0.9, 0.8, 0.6, 0.6],
    [0.3, 0.1, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.95, 0.7, 0.7],
]
CURVE = Curve(np.arange(11.0), np.array(THREE), (0, 1, 2))


def test_parts_of_a_curve_by_hand():
    assert level(CURVE, "start") == pytest.approx([0.5, 0.4, 0.3])
    assert level(CURVE, "end") == pytest.approx([0.6, 0.6, 0.7])
    # Lowest, from the other two seeds: 2 (.1 + .3), 1 (.3 + .1), 2 (.2 + .1); never the run's own noise.
    assert level(CURVE, "lowest") == pytest.approx([0.2, 0.4, 0.3])
    # Highest: 8 (.8 + .95 against .9 + .8), 8 (.85 + .95), 7 (.8 + .9 against .85 + .8).
    assert level(CURVE, "highest") == pytest.approx([0.85, 0.8, 0.8])
    assert level(CURVE, "highest", before=0.5) == pytest.approx([0.6, 0.6, 0.6])


def test_the_start_is_not_its_own_extreme():
    falling = Curve(np.arange(3.0), np.array([[0.9, 0.5, 0.4], [0.9, 0.6, 0.4]]), (0, 1))
    assert level(falling, "highest") == pytest.approx([0.5, 0.6])
    with pytest.raises(NotMeasured, match="first 30 % of training"):
        level(falling, "lowest", before=0.3)


def test_noise_is_not_taken_for_a_peak():
    """Flat curves with noise: highest - start is 0 on average, where the extreme of each run itself is far above."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2000, 3, 30))
    peaks = np.array([level(Curve(np.arange(30.0), item, (0, 1, 2)), "highest").mean() for item in values])
    assert abs(peaks.mean()) < 0.05
    assert values.max(axis=2).mean() > 1.9


def test_a_change_is_students_interval_over_seeds():
    found = measured(change(of="start", minus="lowest"), a=runs("a", validation_accuracy=THREE))
    per_seed = [0.3, 0.0, 0.0]
    expected = stats.ttest_1samp(per_seed, 0.0)
    assert found.value.estimate == pytest.approx(0.1)
    assert (found.value.low, found.value.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.value.p == pytest.approx(expected.pvalue, rel=1e-6)
    error = np.std(per_seed, ddof=1) / math.sqrt(3)
    assert found.value.detectable == pytest.approx((stats.t.ppf(0.975, 2) + stats.t.ppf(0.8, 2)) * error)
    assert (found.n_seeds, found.n_questions) == (3, None)


def test_a_change_against_a_reference_is_paired_by_seed():
    a = runs("a", entropy=[[NAN, 1.0, 2.0], [NAN, 1.0, 4.0], [NAN, 1.0, 9.0]])
    b = runs("b", entropy=[[NAN, 2.0, 1.0], [NAN, 2.0, 1.0]])
    statistic = change(column="entropy", reference="b", of="end", minus="start", log=True)
    found = measured(statistic, a=a, b=b)
    # ratios 2 and 4 against 1/2 and 1/2, over the seeds both have
    assert found.value.estimate == pytest.approx((math.log(4) + math.log(8)) / 2)
    assert found.n_seeds == 2
    assert unit(statistic) == "log ratio"


def test_seeds_that_agree_exactly_or_are_alone_give_no_interval():
    for values in ([0.1], [0.1, 0.1, 0.1]):
        found = seed_interval(np.array(values))
        assert found.estimate == pytest.approx(0.1)
        assert found.low is found.high is found.detectable is None


def test_a_position_by_hand():
    """Start 10 tokens, expert 50: an end at 40 is three quarters of the way."""
    columns = {
        "validation_response_tokens": [[10, NAN, 40], [10, NAN, 30]],
        "expert_rows": [[NAN, 2, 2], [NAN, 2, 2]],
        "expert_tokens": [[NAN, 80, 120], [NAN, 110, 90]],
    }
    found = measured(Position(kind="position", method="a", of="end"), a=runs("a", **columns))
    assert found.value.estimate == pytest.approx((0.75 + 0.5) / 2)
    for rows, tokens, message in ((0, 0, "reads no expert rows"), (2, 20, "equally long")):
        odd = columns | {"expert_rows": [[NAN, rows, rows]] * 2, "expert_tokens": [[NAN, tokens, tokens]] * 2}
        with pytest.raises(NotMeasured, match=message):
            measured(Position(kind="position", method="a", of="end"), a=runs("a", **odd))


def test_a_difference_is_that_of_the_cells(tmp_path):
    answers = {
        ("a", 0): {"q1": [1, 1], "q2": [1, 0], "q3": [0, 1]},
        ("a", 1): {"q1": [1, 1], "q2": [1, 1], "q3": [0, 0]},
        ("b", 0): {"q1": [1, 0], "q2": [0, 0], "q3": [0, 0]},
        ("b", 1): {"q1": [1, 1], "q2": [1, 0], "q3": [0, 1]},
    }
    paths = [
        fake_study.write_scores(
            tmp_path / f"runs/{method}/seed-{seed}/world.scores.parquet",
            fake_study.score_frame(correct),
            method=method,
            seed_index=seed,
            benchmark="world",
            k=2,
        )
        for (method, seed), correct in answers.items()
    ]
    evidence = Evidence({item.benchmark: item for item in collect(paths, ["a", "b"])}, {})
    statistic = Difference(kind="difference", method="a", reference="b", role="target")
    found = difference(statistic, evidence, "world")
    a, b = np.array([[1, 0.5, 0.5], [1, 1, 0]]), np.array([[0.5, 0, 0], [1, 0.5, 0.5]])
    assert found.value == paired_difference(a, b, strata(np.array(["g"] * 3)), share=True)
    assert (found.n_seeds, found.n_questions, unit(statistic)) == (2, 3, "share")
    with pytest.raises(NotMeasured, match="no scores on skills of a"):
        difference(statistic, evidence, "skills")


@pytest.mark.parametrize(
    ("statistic", "message"),
    [
        (change(method="c", of="end", minus="start"), "no curves of c"),
        (change(reference="b", of="end", minus="start"), "no seed with curves of both a and b"),
        (change(column="entropy", of="end", minus="start"), "no column 'entropy'"),
        (change(column="reward_mean", of="end", minus="start"), "'reward_mean' is empty"),
        (change(of="end", minus="start", log=True), "reaches 0"),
    ],
)
def test_what_is_not_there_is_not_measured(statistic, message):
    a = runs("a", validation_accuracy=[[0.0, 0.5], [0.5, 0.5]], reward_mean=[[NAN, NAN]] * 2)
    b = {7: runs("b", validation_accuracy=[[0.5, 0.5]])[0]}
    with pytest.raises(NotMeasured, match=message):
        measured(statistic, a=a, b=b)
