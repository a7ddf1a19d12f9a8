"""Command `tuning`: the runs of every method's search as one table, with the learning rate that validation rows choose.

The table is committed and its choice is copied into the study by hand, so that a later run of the search cannot change
what a reported run was trained with.
"""

import csv
import itertools
from pathlib import Path

from chord.errors import UserError
from chord.files import atomic_path, read_json, write_json
from chord.provenance import manifest

COLUMNS = ("method", "trial", "lr", "validation_accuracy", "delivered_step", "chosen", "seed_index", "spec_hash")


def run(spec: dict, runs: list[Path], out: Path) -> None:
    """Write the table to `out` (csv) and <stem>.manifest.json beside it.

    spec: empty, there is nothing to set. runs: manifests `<method>/trial-<n>/manifest.json`.
    """
    rows = choose([_trial(Path(path)) for path in runs])
    with atomic_path(out) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    inputs = {"/".join(Path(path).parts[-3:-1]): path for path in runs}
    write_json(out.with_suffix(".manifest.json"), manifest(spec, inputs))


def choose(trials: list[dict]) -> list[dict]:
    """The trials by method and number; `chosen` marks the best of each method, of equals the lowest learning rate."""
    rows = []
    trials = sorted(trials, key=lambda trial: (trial["method"], trial["trial"]))
    for _, group in itertools.groupby(trials, key=lambda trial: trial["method"]):
        group = list(group)
        best = max(group, key=lambda trial: (trial["validation_accuracy"], -trial["lr"]))
        rows += [trial | {"chosen": "yes" if trial is best else "no"} for trial in group]
    return rows


def _trial(path: Path) -> dict:
    record = read_json(path)
    method, folder = path.parts[-3:-1]
    name, _, number = folder.partition("-")
    if name != "trial" or not number.isdecimal():
        raise UserError(f"{path}: expected the place <method>/trial-<n>/manifest.json")
    return {
        "method": method,
        "trial": int(number),
        "lr": record["spec"]["stage"]["optimizer"]["lr"],
        "validation_accuracy": record["result"]["validation_accuracy"],
        "delivered_step": record["result"]["delivered_step"],
        "seed_index": record["spec"]["seed_index"],
        "spec_hash": record["spec_hash"],
    }
