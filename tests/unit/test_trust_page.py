"""The table of planted bugs in docs/trust.md is that of results/reference/planted_bugs.csv."""

from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]


def test_the_table_of_planted_bugs_has_the_committed_numbers():
    table = pd.read_csv(ROOT / "results/reference/planted_bugs.csv")
    means = table.pivot_table("validation_accuracy", "bug", "method", sort=False)
    committed = [[f"{value:.1f}" for value in row] for row in means.to_numpy()]
    page = (ROOT / "docs/trust.md").read_text(encoding="utf-8")
    lines = page.partition("| bug | RL |")[2].partition("\n\n")[0].splitlines()[2:]
    assert [[cell.strip() for cell in line.split("|")[2:-1]] for line in lines] == committed
    assert list(means.columns) == ["rl", "sft_best", "chord_mu", "chord_phi"]
