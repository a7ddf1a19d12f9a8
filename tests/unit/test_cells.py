"""Scores -> cells and differences: by hand, and what must not matter does not."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from chord.analysis.cells import cell_files, estimates
from chord.errors import UserError
from tests.helpers import fake_study


def spec(*methods: str, references: tuple[str, ...] = (), seeds: tuple[int, ...] = (0, 1), **extra) -> dict:
    return {
        "comparison": "main",
        "methods": [{"name": name, "title": name.upper()} for name in methods],
        "pairs": [(method, reference) for reference in references for method in methods if method != reference],
        "seeds": list(seeds),
        "decodings": {"world": "paper", "skills": "paper"},
        **extra,
    }


def score(root: Path, method: str, seed: int, correct: dict, groups: dict | None = None, **extra) -> Path:
    frame = fake_study.score_frame(correct, groups)
    k = len(next(iter(correct.values())))
    path = root / "runs" / method / f"seed-{seed}" / "world.scores.parquet"
    return fake_study.write_scores(path, frame, method=method, seed_index=seed, benchmark="world", k=k, **extra)


def results(root: Path, settings: dict, paths: list[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    estimates.run(settings, paths, root / "main")
    return pd.read_parquet(root / "main" / "cells.parquet"), pd.read_parquet(root / "main" / "differences.parquet")


A0 = {"q1": [1, 0], "q2": [1, 1], "q3": [0, 0]}
A1 = {"q1": [1, 1], "q2": [1, 1], "q3": [0, 1]}
B0 = {"q1": [0, 0], "q2": [1, 0], "q3": [0, 0]}
B1 = {"q1": [0, 1], "q2": [1, 1], "q3": [0, 0]}


def test_estimates_by_hand(tmp_path: Path) -> None:
    groups = {"q1": "easy", "q2": "easy", "q3": "hard"}
    paths = [score(tmp_path, "a", 0, A0, groups), score(tmp_path, "a", 1, A1, groups)]
    found, differences = results(tmp_path, spec("a"), paths)
    assert len(differences) == 0
    value = found.set_index(["group", "metric"])
    # seed 0: .5, 1, 0; seed 1: 1, 1, .5
    assert value.loc[("all", "accuracy"), "estimate"] == pytest.approx((1.5 + 2.5) / 6)
    assert list(value.loc[("all", "accuracy"), "seed_estimates"]) == pytest.approx([0.5, 2.5 / 3])
    assert value.loc[("easy", "accuracy"), "estimate"] == pytest.approx(3.5 / 4)
    assert value.loc[("hard", "accuracy"), "estimate"] == pytest.approx(0.25)
    assert value.loc[("all", "pass@k"), "estimate"] == pytest.approx(5 / 6)
    assert value.loc[("all", "response_tokens"), "estimate"] == pytest.approx(10.5)
    assert value.loc[("all", "unparsed"), "estimate"] == 0.0
    row = value.loc[("all", "accuracy")]
    assert (row["n_questions"], row["n_seeds"], row["k"]) == (3, 2, 2)
    assert list(row["runs"]) == ["runs/a/seed-0", "runs/a/seed-1"]
    assert np.isnan(value.loc[("hard", "accuracy"), "low"])  # one question: nothing to estimate its variance from


def test_agreement_with_an_official_extraction_by_hand(tmp_path: Path) -> None:
    """There where every answer of every run has such a verdict; other benchmarks have no such cells."""
    paths = []
    for seed, official in ((0, [True, True, True, True, False, False]), (1, [False] * 6)):
        frame = fake_study.score_frame(A0).assign(
            official_correct=official
        )  # ours: right, wrong, right, right, wrong, wrong
        path = tmp_path / "runs" / "a" / f"seed-{seed}" / "world.scores.parquet"
        paths.append(fake_study.write_scores(path, frame, method="a", seed_index=seed, benchmark="world", k=2))
    found, _ = results(tmp_path, spec("a"), paths)
    value = found.set_index("metric")
    assert list(value.loc["official_agreement", "seed_estimates"]) == pytest.approx([5 / 6, 3 / 6])
    paths[1] = score(tmp_path, "a", 1, A1)
    found, _ = results(tmp_path, spec("a"), paths)
    assert "official_agreement" not in set(found["metric"])
    frame = fake_study.score_frame(A0).assign(official_correct=pd.array([None] * 6, dtype="boolean"))
    fake_study.write_scores(paths[0], frame, method="a", seed_index=0, benchmark="world", k=2)
    found, _ = results(tmp_path, spec("a"), paths[:1])
    assert "official_agreement" not in set(found["metric"])


def test_undecided_answers_are_counted_where_there_are_any(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "a" / "seed-0" / "world.scores.parquet"
    identity = {"method": "a", "seed_index": 0, "benchmark": "world", "k": 2}
    reasons = ["correct", "undecided", "correct", "correct", "grader_timeout", "wrong"]
    fake_study.write_scores(path, fake_study.score_frame(A0).assign(reason=reasons), **identity)
    found, _ = results(tmp_path, spec("a"), [path])
    assert found.set_index("metric").loc["undecided", "estimate"] == pytest.approx(2 / 6)
    fake_study.write_scores(path, fake_study.score_frame(A0), **identity)
    found, _ = results(tmp_path, spec("a"), [path])
    assert "undecided" not in set(found["metric"])


def test_parts_of_the_uncertainty_by_hand(tmp_path: Path) -> None:
    paths = [score(tmp_path, "a", 0, A0), score(tmp_path, "a", 1, A1)]
    found, _ = results(tmp_path, spec("a"), paths)
    value = found.set_index("metric")
    row = value.loc["accuracy"]
    # s^2 is 1/2 where one of the two samples is right, which are q1 of seed 0 and q3 of seed 1, and 0 elsewhere.
    assert row["sd_decoding"] == pytest.approx(np.sqrt((1 / 4 + 1 / 4) / 6**2))
    # Question means .75, 1, .25: MS = 2 * 7/24 / 2. Seeds differ by .5, 0, .5, mean 1/3: residual SS 1/12, MS 1/24.
    assert row["sd_questions"] == pytest.approx(np.sqrt((7 / 24 - 1 / 24) / 6))
    # Seed means .5, 5/6: variance of their mean 1/36.
    assert row["sd_seeds"] == pytest.approx(np.sqrt(1 / 36 - 1 / 72))
    # Tokens are 10 and 11 everywhere.
    assert value.loc["response_tokens", "sd_decoding"] == pytest.approx(np.sqrt(0.25 / 6))
    assert value.loc["response_tokens", "sd_questions"] == 0.0
    assert np.isnan(value.loc["pass@k", "sd_decoding"])
    one, _ = results(tmp_path / "one", spec("a", seeds=(0,)), paths[:1])
    assert one["sd_seeds"].isna().all()


def test_mean_reward_by_hand(tmp_path: Path) -> None:
    """Rewards of a rubric: no share of anything, so the interval is symmetric, and correct are those of 1 only."""
    one, two = {"q1": [1.0, 0.5], "q2": [0.25, 0.25]}, {"q1": [0.5, 0.5], "q2": [0.0, 0.0]}
    paths = [score(tmp_path, "a", 0, one), score(tmp_path, "b", 0, two)]
    found, differences = results(tmp_path, spec("a", "b", references=("b",), seeds=(0,)), paths)
    row = found[found["method"] == "a"].set_index("metric").loc["reward"]
    assert row["estimate"] == pytest.approx((0.75 + 0.25) / 2)
    assert found.set_index(["method", "metric"]).loc[("a", "accuracy"), "estimate"] == pytest.approx(1 / 4)
    # Question means .75 and .25: variance 1/8, of their mean 1/16; t(1) = 12.706.
    assert [row["low"], row["high"]] == pytest.approx([0.5 - 12.706 / 4, 0.5 + 12.706 / 4], rel=1e-4)
    # Decoding: s^2 = 1/8 and 0 over k = 2, mean 1/32, over two questions 1/64. Questions: what is left of 1/16.
    assert [row["sd_decoding"], row["sd_questions"]] == pytest.approx([1 / 8, np.sqrt(1 / 16 - 1 / 64)])
    # Differences of the questions .25 and .25: no spread, so as for other numbers the interval is the estimate itself.
    difference = differences.set_index("metric").loc["reward"]
    assert difference["estimate"] == pytest.approx(0.25)
    three = {"q1": [0.5, 0.5], "q2": [0.25, 0.25]}
    paths = [score(tmp_path / "x", "a", 0, one), score(tmp_path / "x", "b", 0, three)]
    _, differences = results(tmp_path / "x", spec("a", "b", references=("b",), seeds=(0,)), paths)
    difference = differences.set_index("metric").loc["reward"]
    # Differences .25 and 0: mean 1/8, variance 1/32, of the mean 1/64; p of t = 1 with one degree of freedom is 1/2.
    assert [difference["estimate"], difference["p"]] == pytest.approx([1 / 8, 1 / 2])


def test_a_reward_may_be_negative(tmp_path: Path) -> None:
    paths = [score(tmp_path, "a", 0, {"q1": [-1.0, -1.0], "q2": [-0.1, -0.1]})]
    row = results(tmp_path, spec("a", seeds=(0,)), paths)[0].set_index("metric").loc["reward"]
    assert row["estimate"] == pytest.approx(-0.55)
    assert row["low"] < -0.55 < row["high"]


def test_the_decoding_stands_in_the_metadata_by_name(tmp_path: Path) -> None:
    results(tmp_path, spec("a"), [score(tmp_path, "a", 0, A0)])
    for name in ("cells", "differences"):
        _, record = cell_files.read(tmp_path / "main" / f"{name}.parquet")
        assert record["decodings"] == {"world": {"name": "paper", "k": 2} | fake_study.DECODING}


def test_runs_that_were_decoded_differently_are_not_compared(tmp_path: Path) -> None:
    field = fake_study.DECODING | {"temperature": 0.6}
    paths = [score(tmp_path, "a", 0, A0), score(tmp_path, "a", 1, A1, decoding=field)]
    with pytest.raises(UserError, match=r"seed-1.*decoded with .*0\.6.*seed-0"):
        results(tmp_path, spec("a"), paths)
    with pytest.raises(UserError, match="decodings: world is missing"):
        results(tmp_path, spec("a") | {"decodings": {"skills": "paper"}}, paths[:1])


def test_pass_k_is_the_share_of_questions_with_a_correct_sample(tmp_path: Path) -> None:
    paths = [score(tmp_path, "a", 0, {"q1": [1, 0, 0, 0], "q2": [0, 0, 0, 0]})]
    found, _ = results(tmp_path, spec("a"), paths)
    row = found.set_index("metric").loc["pass@k"]
    assert (row["estimate"], row["k"]) == (0.5, 4)


def test_a_paired_difference_is_the_difference_of_the_cells(tmp_path: Path) -> None:
    paths = [score(tmp_path, m, s, c) for m, s, c in [("a", 0, A0), ("a", 1, A1), ("b", 0, B0), ("b", 1, B1)]]
    found, differences = results(tmp_path, spec("a", "b", references=("b",)), paths)
    estimate = found.set_index(["method", "metric"])["estimate"]
    assert set(differences["method"]) == {"a"}
    for row in differences.itertuples():
        assert row.estimate == pytest.approx(estimate["a", row.metric] - estimate["b", row.metric])


def test_pairing_is_by_question_and_seed(tmp_path: Path) -> None:
    """One seed, k = 1: the difference is the paired t test over questions, whatever the order of the rows."""
    rng = np.random.default_rng(0)
    a = {f"q{i:02d}": [int(rng.random() < 0.7)] for i in range(40)}
    b = {name: [int(rng.random() < 0.4)] for name in a}
    paths = [score(tmp_path, "a", 0, a), score(tmp_path, "b", 0, dict(reversed(b.items())))]
    _, differences = results(tmp_path, spec("a", "b", references=("b",), seeds=(0,)), paths)
    row = differences.set_index("metric").loc["accuracy"]
    order = sorted(a)
    expected = stats.ttest_rel([a[q][0] for q in order], [b[q][0] for q in order])
    assert row["p"] == pytest.approx(expected.pvalue, rel=1e-6)
    assert row["low"] == pytest.approx(expected.confidence_interval().low)


def test_order_of_rows_and_files_does_not_matter(tmp_path: Path) -> None:
    runs = [("a", 0, A0), ("a", 1, A1), ("b", 0, B0), ("b", 1, B1)]
    paths = [score(tmp_path / "x", *run) for run in runs]
    shuffled = []
    for path in [score(tmp_path / "y", *run) for run in runs]:
        frame = pd.read_parquet(path).sample(frac=1, random_state=3)
        method, seed = path.parts[-3], int(path.parts[-2][-1])
        shuffled.append(fake_study.write_scores(path, frame, method=method, seed_index=seed, benchmark="world", k=2))
    settings = spec("a", "b", references=("b",))
    for one, two in zip(
        results(tmp_path / "x", settings, paths), results(tmp_path / "y", settings, shuffled[::-1]), strict=True
    ):
        pd.testing.assert_frame_equal(one, two)


def test_a_missing_seed_is_left_out_of_the_pairs_and_listed(tmp_path: Path) -> None:
    paths = [score(tmp_path, "a", 0, A0), score(tmp_path, "a", 1, A1), score(tmp_path, "b", 1, B1)]
    found, differences = results(tmp_path, spec("a", "b", references=("b",)), paths)
    row = differences.set_index("metric").loc["accuracy"]
    assert (row["n_seeds"], list(row["seeds"])) == (1, [1])
    assert row["estimate"] == pytest.approx(2.5 / 3 - 0.5)
    assert found[(found["method"] == "b")]["n_seeds"].unique() == [1]
    _, record = cell_files.read(tmp_path / "main" / "cells.parquet")
    assert record["missing"] == [{"benchmark": "world", "method": "b", "seeds": [0]}]
    assert set(record["inputs"]) == {f"runs/{path.parts[-3]}/{path.parts[-2]}/world.scores.parquet" for path in paths}


def test_holm_families_are_metric_and_level() -> None:
    rows = [
        {"metric": metric, "group": group, "p": p, "p_holm": None}
        for metric, group, p in [
            ("accuracy", "all", 0.01),
            ("accuracy", "all", 0.04),
            ("accuracy", "T1", 0.03),
            ("accuracy", "T2", 0.02),
            ("accuracy", "T3", None),
            ("truncated", "all", 0.05),
        ]
    ]
    estimates.correct_for_many_tests(rows)
    assert [row["p_holm"] for row in rows] == [
        pytest.approx(0.02),
        pytest.approx(0.04),
        pytest.approx(0.04),
        pytest.approx(0.04),
        None,
        pytest.approx(0.05),
    ]


def test_config_hash_changes_with_a_run(tmp_path: Path) -> None:
    one, _ = results(tmp_path / "x", spec("a"), [score(tmp_path / "x", "a", 0, A0)])
    two, _ = results(tmp_path / "y", spec("a"), [score(tmp_path / "y", "a", 0, A0, spec_hash="1" * 16)])
    assert one["config_hash"].iloc[0] != two["config_hash"].iloc[0]


def test_problems_name_the_file(tmp_path: Path) -> None:
    good = score(tmp_path, "a", 0, A0)
    with pytest.raises(UserError, match="method 'a' is not in this comparison"):
        results(tmp_path, spec("b"), [good])
    other = score(tmp_path, "a", 1, {"q1": [1, 0], "q2": [1, 1], "q4": [0, 0]})
    with pytest.raises(UserError, match="other questions"):
        results(tmp_path, spec("a"), [good, other])
    again = fake_study.write_scores(
        tmp_path / "runs/a/seed-1/copy.scores.parquet", fake_study.score_frame(A0), method="a", seed_index=0,
        benchmark="world", k=2,
    )  # fmt: skip
    with pytest.raises(UserError, match="a second file of a, seed 0"):
        results(tmp_path, spec("a"), [good, again])
    frame = fake_study.score_frame(A0).iloc[:-1]
    short = tmp_path / "runs/a/seed-2/world.scores.parquet"
    fake_study.write_scores(short, frame, method="a", seed_index=2, benchmark="world", k=2)
    with pytest.raises(UserError, match=r"seed-2.*expected 2 different samples.*q3"):
        results(tmp_path, spec("a"), [short])
    with pytest.raises(UserError, match="no scores"):
        results(tmp_path, spec("a"), [])


def test_specs_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValueError, match="extra"):
        estimates.CellsSpec.model_validate(spec("a") | {"referenzes": []})
    with pytest.raises(ValueError, match="'z' is not among the methods"):
        estimates.CellsSpec.model_validate(spec("a", references=("z",)))
    with pytest.raises(ValueError, match="more than once: a"):
        estimates.CellsSpec.model_validate(spec("a", "a"))


def test_a_made_up_study(tmp_path: Path) -> None:
    folders = fake_study.make(tmp_path, n_questions=30)
    names = tuple(fake_study.METHODS)
    paths = [path for folder in folders if folder.parts[-2] in names for path in folder.glob("*.scores.parquet")]
    settings = spec(*names, references=("rl", "sft_best_rl"), seeds=(0, 1, 2))
    found, differences = results(tmp_path, settings, paths)
    assert set(found[found["benchmark"] == "world"]["group"]) == {"all", "T1", "T2", "T3"}
    assert set(found[found["benchmark"] == "skills"]["group"]) == {"all"}  # a single group is no column of its own
    assert not found[["estimate", "low", "high"]].isna().any(axis=None)
    assert ((found["low"] <= found["estimate"]) & (found["estimate"] <= found["high"])).all()
    assert len(differences) == 6 * (4 + 1) * 2 * (len(names) - 1)
    assert (differences["p_holm"] >= differences["p"]).all()
    assert json.loads(json.dumps(cell_files.read(tmp_path / "main" / "cells.parquet")[1]))["missing"] == []
