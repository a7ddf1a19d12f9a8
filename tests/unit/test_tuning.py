"""The table of a search."""

import csv
import json

import pytest

from chord import cli
from chord.analysis.tuning import read_choices, run
from chord.errors import UserError

SPEC = {"settings": {"rl": "optimizer.lr", "sft": "optimizer.lr", "phi": "schedule.mu", "psi": "clip"}}


def write(folder, method: str, trial: int, value: float, accuracy: float):
    path = folder / method / f"trial-{trial}" / "manifest.json"
    (path.parent / "model").mkdir(parents=True)
    (path.parent / "model" / "weights").write_text(f"{method} {trial}")
    decoding = {"temperature": 1.0, "max_response_tokens": 8}
    stage = {
        "kind": "hybrid",
        "optimizer": {"lr": value},
        "micro_batch_tokens": 100,
        "keep": "best",
        "validate_every": 1,
        "steps": 8,
        "prompts_per_step": 1,
        "rollouts_per_prompt": 2,
        "expert_rows_per_step": 1,
        "schedule": {"name": "constant", "mu": value},
        "decoding": decoding,
        "generate_batch_rows": 2,
    }
    record = {
        "spec": {
            "study_seed": 1,
            "seed_index": 1000,
            "stage": stage,
            "validation": {"k": 1, "decoding": decoding, "batch_rows": 1},
            "save_every": 1,
        },
        "spec_hash": "0" * 16,
        "result": {"validation_accuracy": accuracy, "delivered_step": 8},
    }
    path.write_text(json.dumps(record))
    return path


def test_the_best_on_validation_is_chosen_for_each_method_and_the_lowest_value_of_equals(tmp_path):
    found = {
        ("rl", 0): (1e-4, 0.5),
        ("rl", 1): (3e-4, 0.7),
        ("rl", 2): (1e-3, 0.7),
        ("sft", 0): (1e-3, 0.2),
        ("phi", 0): (0.5, 0.3),
        ("psi", 0): (0.2, 0.3),  # its default, which no specification names
    }
    runs = [write(tmp_path, *name, *values) for name, values in found.items()]
    out = tmp_path / "tuning.csv"
    # The order on the command line does not matter.
    options = ["--spec", json.dumps(SPEC), "--runs", *map(str, reversed(runs)), "--out", str(out)]
    assert cli.main(["tuning", *options]) == 0
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["trial"], row["setting"], row["value"], row["chosen"]) for row in rows] == [
        ("phi", "0", "schedule.mu", "0.5", "yes"),
        ("psi", "0", "clip", "0.2", "yes"),
        ("rl", "0", "optimizer.lr", "0.0001", "no"),
        ("rl", "1", "optimizer.lr", "0.0003", "yes"),
        ("rl", "2", "optimizer.lr", "0.001", "no"),
        ("sft", "0", "optimizer.lr", "0.001", "yes"),
    ]
    assert {row["seed_index"] for row in rows} == {"1000"}
    assert len(json.loads((tmp_path / "tuning.manifest.json").read_text())["inputs"]) == 6
    assert read_choices(out, "tuning.csv") == {
        "phi": ("schedule.mu", 0.5),
        "psi": ("clip", 0.2),
        "rl": ("optimizer.lr", 3e-4),
        "sft": ("optimizer.lr", 1e-3),
    }


def test_the_chosen_model_is_the_start_of_further_searches(tmp_path):
    runs = [write(tmp_path, "sft", trial, 10.0**-trial, accuracy) for trial, accuracy in enumerate([0.3, 0.6, 0.1])]
    options = ["--spec", json.dumps(SPEC), "--runs", *map(str, runs), "--best", str(tmp_path / "best")]
    assert cli.main(["tuning", *options, "--out", str(tmp_path / "choice.csv")]) == 0
    assert (tmp_path / "best" / "weights").read_text() == "sft 1"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("rl", "seed-0"), r"expected the place <method>/trial-<n>/manifest\.json"),
        (("lr", "trial-0"), r"lr is not among the methods of the search \(phi, psi, rl, sft\)"),
    ],
)
def test_a_manifest_from_elsewhere_is_refused(tmp_path, place, message):
    path = write(tmp_path, "rl", 0, 1e-4, 0.5)
    target = tmp_path.joinpath("other", *place)
    target.parent.mkdir(parents=True)
    path.parent.rename(target)
    with pytest.raises(UserError, match=message):
        run(SPEC, [target / "manifest.json"], tmp_path / "tuning.csv")
