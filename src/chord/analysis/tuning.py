"""Command `tuning`: the trials of every method's search as one table, with the value that validation rows choose.

A study names a committed copy of the table (`tuning.table`) and trains with the values it chose, so that a later search
changes no reported run before somebody commits its result.
"""

import csv
import itertools
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chord.analysis.specs import TuningSpec
from chord.analysis.tables.wording import number as shown_number
from chord.errors import UserError
from chord.io.files import atomic_folder, atomic_path, read_json, write_json
from chord.io.provenance import manifest
from chord.training.train_spec import TrainSpec

# Column -> meaning (docs/files.md).
COLUMNS = {
    "method": "of the search",
    "trial": "number of the trial, from 0",
    "setting": "key of the stage that was varied, such as `optimizer.lr`",
    "value": "the value that was tried",
    "validation_accuracy": "of the weights that the trial delivers",
    "delivered_step": "their step",
    "chosen": "whether validation rows choose this value",
    "seed_index": "the seed of the search, which no table shows",
    "spec_hash": "hash of the trial's specification",
}


@dataclass(frozen=True)
class Trial:
    setting: str  # what was tried, such as "lr 0.001"
    accuracy: str  # on validation rows, in percent
    step: str  # delivered
    chosen: bool


@dataclass(frozen=True)
class TrialsTable:
    """The table of a search for a reader: a row for each method, its trials side by side."""

    name: str  # of the file
    rows: tuple[tuple[str, tuple[Trial, ...]], ...]  # title of the method, its trials
    header: tuple[str, ...]  # the file itself
    lines: tuple[tuple[str, ...], ...]

    @property
    def most_trials(self) -> int:
        return max((len(trials) for _, trials in self.rows), default=0)

    @property
    def equal(self) -> bool:
        return len({len(trials) for _, trials in self.rows}) < 2


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


def read_trials(path: Path, titles: Mapping[str, str]) -> TrialsTable:
    """path: a table of `chord tuning`; titles: method -> title, of the methods that `rows` shows, in their order."""
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        lines = list(reader)
    header = tuple(reader.fieldnames or ())
    trials: dict[str, list[Trial]] = {}
    for line in lines:
        trials.setdefault(line["method"], []).append(_shown(line))
    rows = tuple((title, tuple(trials[name])) for name, title in titles.items() if name in trials)
    return TrialsTable(path.name, rows, header, tuple(tuple(line[name] for name in header) for line in lines))


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


def _shown(line: Mapping[str, str]) -> Trial:
    accuracy = shown_number(float(line["validation_accuracy"]), "accuracy")
    name = line["setting"].rpartition(".")[2]
    return Trial(f"{name} {line['value']}", accuracy, line["delivered_step"], line["chosen"] == "yes")
