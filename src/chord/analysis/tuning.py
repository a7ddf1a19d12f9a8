"""Command `tuning`: the trials of every method's search as one table, with the value that validation rows choose.

A study names a committed copy of the table (`tuning.table`) and trains with the values it chose, so that a later search
changes no reported run before somebody commits its result.
"""

import csv
import itertools
import shutil
from pathlib import Path

from chord.analysis.specs import TuningSpec
from chord.errors import UserError
from chord.io.files import atomic_folder, atomic_path, read_json, write_json
from chord.io.provenance import manifest
from chord.training.train_spec import TrainSpec

COLUMNS = (
    "method",
    "trial",
    "setting",
    "value",
    "validation_accuracy",
    "delivered_step",
    "chosen",
    "seed_index",
    "spec_hash",
)


def run(spec: dict, runs: list[Path], out: Path, best: Path | None = None) -> None:
    """Write the table to `out` (csv) and <stem>.manifest.json beside it; copy the chosen model folder to `best`.

    spec: a TuningSpec. runs: manifests `<method>/trial-<n>/manifest.json`; of one method where `best` is given.
    """
    settings = TuningSpec.model_validate(spec).settings
    rows = choose([_trial(Path(path), settings) for path in runs])
    with atomic_path(out) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if best is not None:
        (chosen,) = [row["trial"] for row in rows if row["chosen"] == "yes"]
        (source,) = [Path(path).parent for path in runs if Path(path).parent.name == f"trial-{chosen}"]
        with atomic_folder(best) as folder:
            shutil.copytree(source / "model", folder, dirs_exist_ok=True)
    inputs = {"/".join(Path(path).parts[-3:-1]): path for path in runs}
    write_json(out.with_suffix(".manifest.json"), manifest(spec, inputs))


def choose(trials: list[dict]) -> list[dict]:
    """The trials by method and number; `chosen` marks the best of each method, of equals the lowest value."""
    rows = []
    trials = sorted(trials, key=lambda trial: (trial["method"], trial["trial"]))
    for _, group in itertools.groupby(trials, key=lambda trial: trial["method"]):
        group = list(group)
        best = max(group, key=lambda trial: (trial["validation_accuracy"], -trial["value"]))
        rows += [trial | {"chosen": "yes" if trial is best else "no"} for trial in group]
    return rows


def read_choices(path: Path, shown: str) -> dict[str, tuple[str, float]]:
    """Method -> setting and chosen value of a table; `shown` is the name of the file in messages."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{shown}: {error.strerror}; expected the table that `chord tuning` writes") from None
    try:
        return {row["method"]: (row["setting"], float(row["value"])) for row in rows if row["chosen"] == "yes"}
    except (KeyError, ValueError) as error:
        raise UserError(f"{shown}: {error}; expected the table that `chord tuning` writes") from None


def _trial(path: Path, settings: dict[str, str]) -> dict:
    record = read_json(path)
    method, folder = path.parts[-3:-1]
    name, _, number = folder.partition("-")
    if name != "trial" or not number.isdecimal():
        raise UserError(f"{path}: expected the place <method>/trial-<n>/manifest.json")
    if method not in settings:
        raise UserError(f"{path}: {method} is not among the methods of the search ({', '.join(sorted(settings))})")
    value = TrainSpec.model_validate(record["spec"]).stage.model_dump(mode="json")
    for key in settings[method].split("."):
        value = value[key]
    return {
        "method": method,
        "trial": int(number),
        "setting": settings[method],
        "value": value,
        "validation_accuracy": record["result"]["validation_accuracy"],
        "delivered_step": record["result"]["delivered_step"],
        "seed_index": record["spec"]["seed_index"],
        "spec_hash": record["spec_hash"],
    }
