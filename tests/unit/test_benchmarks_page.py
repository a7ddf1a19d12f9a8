"""The planning numbers of docs/benchmarks.md, worked out again from the formulas of docs/statistics.md."""

import re
from math import sqrt
from pathlib import Path

import pytest
from scipy.stats import t

PAGE = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
CHANCE = 0.064  # mean p (1 - p)
SEED = 0.01  # of the difference
K = 32


def detectable(n_questions: int, spread: float, n_seeds: int) -> float:
    """In points. The interaction is 0, so the residual is the decoding noise of both methods."""
    noise = 2 * CHANCE / K
    total = 0.0
    for level in (0.975, 0.8):
        if n_seeds == 1:
            squared = t.ppf(level, n_questions - 1) ** 2 * (spread**2 + noise) / n_questions
        else:
            seeds = SEED**2 / n_seeds + noise / (n_seeds * n_questions)
            squared = t.ppf(level, n_seeds - 1) ** 2 * seeds
            squared += t.ppf(level, n_questions - 1) ** 2 * spread**2 / n_questions
        total += sqrt(squared)
    return 100 * total


def test_detectable_differences() -> None:
    rows = re.findall(r"^\| (\d+)[^|]*\| (0\.\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, flags=re.MULTILINE)
    assert len(rows) == 6
    for questions, spread, *shown in rows:
        expected = [f"{detectable(int(questions), float(spread), seeds):.1f}" for seeds in (1, 3, 5)]
        assert shown == expected


def test_noise_of_one_run() -> None:
    (decoding,) = re.findall(r"± ([\d.]+) / ([\d.]+) / ([\d.]+) points", PAGE)
    assert list(map(float, decoding)) == pytest.approx([100 * sqrt(CHANCE / k / 30) for k in (1, 8, 32)], abs=0.05)
    (questions,) = re.findall(r"^\| questions:[^|]*\| ± ([\d.]+) points", PAGE, flags=re.MULTILINE)
    assert float(questions) == pytest.approx(100 * 0.33 / sqrt(30), abs=0.05)
