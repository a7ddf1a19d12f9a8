"""The table of the learning-rate search."""

import csv
import json

import pytest

from chord import cli
from chord.analysis.tuning import run
from chord.errors import UserError


def write(folder, method: str, trial: int, lr: float, accuracy: float):
    path = folder / method / f"trial-{trial}" / "manifest.json"
    path.parent.mkdir(parents=True)
    record = {
        "spec": {"seed_index": 1000, "stage": {"optimizer": {"lr": lr}}},
        "spec_hash": "0" * 16,
        "result": {"validation_accuracy": accuracy, "delivered_step": 8},
    }
    path.write_text(json.dumps(record))
    return path


def test_the_best_on_validation_is_chosen_for_each_method_and_the_lowest_rate_of_equals(tmp_path):
    found = {("rl", 0): (1e-4, 0.5), ("rl", 1): (3e-4, 0.7), ("rl", 2): (1e-3, 0.7), ("sft", 0): (1e-3, 0.2)}
    runs = [write(tmp_path, *name, *values) for name, values in found.items()]
    out = tmp_path / "tuning.csv"
    # The order on the command line does not matter.
    assert cli.main(["tuning", "--runs", *map(str, reversed(runs)), "--out", str(out)]) == 0
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["trial"], row["chosen"]) for row in rows] == [
        ("rl", "0", "no"),
        ("rl", "1", "yes"),
        ("rl", "2", "no"),
        ("sft", "0", "yes"),
    ]
    assert {row["seed_index"] for row in rows} == {"1000"}
    assert set(json.loads((tmp_path / "tuning.manifest.json").read_text())["inputs"]) == {
        "rl/trial-0",
        "rl/trial-1",
        "rl/trial-2",
        "sft/trial-0",
    }


def test_a_manifest_from_elsewhere_is_refused(tmp_path):
    path = write(tmp_path, "rl", 0, 1e-4, 0.5)
    other = path.parent.rename(path.parent.with_name("seed-0")) / "manifest.json"
    with pytest.raises(UserError, match=r"expected the place <method>/trial-<n>/manifest\.json"):
        run({}, [other], tmp_path / "tuning.csv")
