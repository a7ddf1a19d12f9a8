"""The table of a search as the report shows it: a row for each method, its trials side by side, the chosen marked."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chord.analysis.tables.entries import number


@dataclass(frozen=True)
class Trial:
    setting: str  # what was tried, such as "lr 0.001"
    accuracy: str  # on validation rows, in percent
    step: str  # delivered
    chosen: bool


@dataclass(frozen=True)
class Tuning:
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


def read_tuning(path: Path, titles: Mapping[str, str]) -> Tuning:
    """path: a table of `chord tuning`; titles: method -> title, of the methods that `rows` shows, in their order."""
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        lines = list(reader)
    header = tuple(reader.fieldnames or ())
    trials: dict[str, list[Trial]] = {}
    for line in lines:
        trials.setdefault(line["method"], []).append(_trial(line))
    rows = tuple((title, tuple(trials[name])) for name, title in titles.items() if name in trials)
    return Tuning(path.name, rows, header, tuple(tuple(line[name] for name in header) for line in lines))


def _trial(line: Mapping[str, str]) -> Trial:
    accuracy = number(float(line["validation_accuracy"]), "accuracy")
    name = line["setting"].rpartition(".")[2]
    return Trial(f"{name} {line['value']}", accuracy, line["delivered_step"], line["chosen"] == "yes")
