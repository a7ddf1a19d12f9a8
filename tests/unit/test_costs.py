"""What training cost, of a run and of all runs behind a result, by hand; and the frontier, which is drawn over it."""

import csv
import json
from pathlib import Path

import pytest

from chord.analysis.catalogue import FIGURES
from chord.analysis.figures.frontier import draw_frontier, frontier
from chord.analysis.tables import tabulate
from chord.analysis.tables.costs import by_method, chain_costs, read_run, tokens_before
from chord.errors import UserError

COLUMNS = (
    "step a_ex token_weight_mean rollouts response_tokens_mean expert_rows train_tokens step_seconds"
    " validation_accuracy"
)
# Two expert rows a step with weight 1; validated at steps 0, 1 and 3; step 1 is delivered on seed 0, step 3 on seed 1.
SFT = """0,,,,,,,,0.2
1,1.0,1.0,,,2,10,6,0.4
2,1.0,1.0,,,2,20,6,
3,1.0,1.0,,,2,30,6,0.5
"""
# Two rollouts a step of 4 and 5 tokens; one expert row a step with a_ex = 0.5 and mean weight 0.2 at step 1.
RL = """0,,,,,,,,0.4
1,0.5,0.2,2,4,1,100,12,
2,0.0,,2,5,,50,18,0.6
"""


def write(root: Path, method: str, seed: int, text: str, delivered: int, expert_set: int | None = None) -> Path:
    folder = root / "runs" / method / f"seed-{seed}"
    folder.mkdir(parents=True)
    (folder / "curves.csv").write_text(COLUMNS.replace(" ", ",") + "\n" + text)
    spec = {"stage": {"expert_set": expert_set}}
    record = {
        "spec": spec,
        "spec_hash": f"{method}{seed}",
        "device": "cpu",
        "ranks": 2,
        "threads": 3,
        "learns_from": ["expert text"] if method == "sft" else ["reward", "expert text"],
        "result": {"delivered_step": delivered},
    }
    (folder / "manifest.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [
        write(tmp_path, "sft", 0, SFT, delivered=1),
        write(tmp_path, "sft", 1, SFT, delivered=3),
        write(tmp_path, "sft_rl", 0, RL, delivered=2),
        write(tmp_path, "sft_rl", 1, RL.replace("0.6", "0.8").replace("100", "120"), delivered=2),
    ]


def test_a_chain_costs_what_all_its_runs_cost(folders: list[Path]) -> None:
    found = chain_costs([read_run(folders[0]), read_run(folders[2])])
    assert found == pytest.approx(
        {
            "rollouts": 4,
            "expert_rows": 7,
            "weighted_expert_rows": 6.1,
            "trained_tokens": 60 + 150,
            "generated_tokens": 8 + 10,
            "frozen_tokens": 0,
            "tokens": 228,
            "processor_minutes": 6 * 0.8,
        }
    )


def test_the_table_has_means_over_seeds_and_a_way_back_to_every_run(folders: list[Path], tmp_path: Path) -> None:
    spec = {
        "name": "costs",
        "methods": [{"name": name, "title": name.upper()} for name in ("base", "sft", "sft_rl")],
        "chains": {"base": [], "sft": ["sft"], "sft_rl": ["sft", "sft_rl"]},
    }
    experts = tmp_path / "experts.manifest.json"
    experts.write_text('{"kept": 4}')
    tabulate.run(spec, tmp_path, runs=folders, experts=experts)
    with open(tmp_path / "costs.csv", newline="") as file:
        rows = {(row["method"], row["metric"]): row for row in csv.DictReader(file)}
    assert float(rows["sft", "tokens"]["estimate"]) == 60
    assert float(rows["sft_rl", "tokens"]["estimate"]) == 238  # 228 and 248
    assert float(rows["sft_rl", "expert_passes"]["estimate"]) == 7 / 4
    assert float(rows["base", "tokens"]["estimate"]) == 0
    row = rows["sft_rl", "tokens"]
    assert row["runs"].split() == [f"runs/{method}/seed-{seed}" for seed in (0, 1) for method in ("sft", "sft_rl")]
    assert row["n_seeds"] == "2"
    assert len(row["config_hash"]) == 16
    lines = (tmp_path / "costs.md").read_text().splitlines()
    assert "| SFT\\_RL | 4 | 7 | 6.1 | 1.8 | 220 | 18 | 238 | 4.8 | expert text, reward |" in lines
    assert "| BASE | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | nothing |" in lines
    inputs = json.loads((tmp_path / "costs.manifest.json").read_text())["inputs"]
    assert {"runs/sft/seed-1/curves.csv", "runs/sft_rl/seed-0/manifest.json", "experts"} <= set(inputs)


def test_passes_are_over_the_rows_that_a_run_may_read(tmp_path: Path) -> None:
    folders = [write(tmp_path, "sft", 0, SFT, 1, expert_set=3), write(tmp_path, "sft_rl", 0, RL, 2)]
    spec = {
        "name": "costs",
        "methods": [{"name": "sft", "title": "a"}, {"name": "sft_rl", "title": "b"}],
        "chains": {"sft": ["sft"], "sft_rl": ["sft", "sft_rl"]},
    }
    (tmp_path / "experts.manifest.json").write_text('{"kept": 4}')
    tabulate.run(spec, tmp_path, runs=folders, experts=tmp_path / "experts.manifest.json")
    with open(tmp_path / "costs.csv", newline="") as file:
        rows = {(row["method"], row["metric"]): row for row in csv.DictReader(file)}
    assert float(rows["sft", "expert_passes"]["estimate"]) == 6 / 3
    assert float(rows["sft_rl", "expert_passes"]["estimate"]) == 6 / 3 + 1 / 4
    assert "Passes: expert rows over the 3 or 4 of the expert set." in (tmp_path / "costs.md").read_text()


def test_a_run_says_itself_how_many_expert_rows_it_could_read(tmp_path: Path) -> None:
    """Those of a method that reads traces of its RL prompts are not the study's expert set."""
    folder = write(tmp_path, "sft", 0, SFT, 1)
    assert read_run(folder).expert_set is None  # of an older run
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["result"]["expert_set"] = 12
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert read_run(folder).expert_set == 12


def test_only_seeds_with_the_whole_chain_count(folders: list[Path], tmp_path: Path) -> None:
    spec = {"name": "costs", "methods": [{"name": "sft_rl", "title": "x"}], "chains": {"sft_rl": ["sft", "sft_rl"]}}
    tabulate.run(spec, tmp_path, runs=folders[1:])
    with open(tmp_path / "costs.csv", newline="") as file:
        rows = {row["metric"]: row for row in csv.DictReader(file)}
    assert rows["tokens"]["seeds"] == "1"
    assert "expert_passes" not in rows  # without the size of the expert set there are no passes
    tabulate.run(spec, tmp_path, runs=folders[:2])
    assert "| x | – |" in (tmp_path / "costs.md").read_text()


def test_the_frontier_goes_on_where_the_start_was_delivered(folders: list[Path]) -> None:
    runs = by_method([read_run(folder) for folder in folders])
    assert tokens_before([runs["sft"][0], runs["sft_rl"][0]]) == 10
    assert tokens_before([runs["sft"][1], runs["sft_rl"][1]]) == 60
    alone = frontier(runs, ["sft"], "validation_accuracy")
    assert alone.own.x.tolist() == [0, 10, 60]
    assert alone.lead == ()
    found = frontier(runs, ["sft", "sft_rl"], "validation_accuracy")
    # Seed 0 starts at 10 tokens and spends 100 + 8 + 50 + 10; seed 1 starts at 60 and spends 20 more.
    assert found.own.x.tolist() == [35, 35 + 178]
    assert found.own.mean.tolist() == pytest.approx([0.4, 0.7])
    # As far as both seeds' starts went, step 1, and then to the mean start.
    assert found.lead == ((0, pytest.approx(0.2)), (10, pytest.approx(0.4)), (35, pytest.approx(0.4)))
    with pytest.raises(UserError, match="no seed has a run of each of sft, other"):
        frontier(runs, ["sft", "other"], "validation_accuracy")


def test_the_frontier_is_drawn_with_a_name_at_every_end(folders: list[Path]) -> None:
    runs = by_method([read_run(folder) for folder in folders])
    chains = {"sft": ["sft"], "sft_rl": ["sft", "sft_rl"]}
    figure, caption, alt = draw_frontier(FIGURES["frontier"], runs, {"sft": "SFT", "sft_rl": "SFT + RL"}, chains)
    (axis,) = figure.axes
    assert {text.get_text(): text.xy for text in axis.texts} == {
        "SFT": (pytest.approx(0.06), pytest.approx(50)),
        "SFT + RL": (pytest.approx(0.213), pytest.approx(70)),
    }
    assert axis.get_xlabel() == "Tokens trained and generated (thousand)"
    assert "SFT + RL: 70 % after 0.213 thousand tokens." in alt
    assert "Mean over 2 seeds" in caption
