"""The 95 % intervals hold the truth in at least 93 % of simulated studies, with 3 and with 5 seeds."""

import pytest

from chord.analysis.statistics.simulated_coverage import (
    BEGIN,
    END,
    SCENARIOS,
    main,
    simulate,
    simulate_power,
    simulate_shares,
)

SIZES = [(3, 30), (3, 200), (5, 30), (5, 200)]


@pytest.mark.parametrize(("n_seeds", "n_questions"), SIZES)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_coverage_and_width(scenario, n_seeds: int, n_questions: int) -> None:
    found = simulate(scenario, n_seeds, n_questions, n_studies=2000, rules=("ours", "crossed bootstrap, t(S-1)"))
    assert found["ours"].share >= 0.93
    # Safe by being useless does not count: 4.30 / 1.96 = 2.2 is what three seeds cost when they are all there is.
    assert found["ours"].width <= 2.2
    assert found["ours"].width < found["crossed bootstrap, t(S-1)"].width


@pytest.mark.parametrize(("n_seeds", "n_questions"), SIZES)
@pytest.mark.parametrize("accuracy", [0.1, 0.5, 0.9])
def test_coverage_of_shares(accuracy: float, n_seeds: int, n_questions: int) -> None:
    assert simulate_shares(accuracy, 8, n_seeds, n_questions, n_studies=2000) >= 0.93


def test_coverage_of_a_rare_success_needs_more_than_30_questions() -> None:
    """Where most questions are never solved the normal model is stretched; docs/statistics.md says so."""
    assert simulate_shares(0.02, 8, 3, 200, n_studies=2000) >= 0.93
    assert simulate_shares(0.02, 8, 5, 200, n_studies=2000) >= 0.93


def test_the_plain_resampling_fails_where_ours_holds() -> None:
    """The simulation can tell a bad rule from a good one."""
    large_seed_variance = next(item for item in SCENARIOS if item.name == "large seed variance")
    found = simulate(large_seed_variance, 3, 200, n_studies=2000)
    assert found["crossed bootstrap"].share < 0.85 < 0.93 <= found["ours"].share


@pytest.mark.parametrize("n_seeds", [3, 5])
def test_the_detectable_difference_is_detected_in_four_of_five_studies(n_seeds: int) -> None:
    assert simulate_power(SCENARIOS[0], n_seeds, 200, n_studies=2000) == pytest.approx(0.80, abs=0.05)


def test_the_page_is_rewritten_between_its_markers(tmp_path, monkeypatch) -> None:
    page = tmp_path / "statistics.md"
    page.write_text(f"before\n{BEGIN}\nearlier table\n{END}\nafter\n")
    monkeypatch.setattr("sys.argv", ["coverage", "--write", str(page), "--studies", "20"])
    main()
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "earlier table" not in text
    assert "| only decoding noise | 10 | 200 |" in text
