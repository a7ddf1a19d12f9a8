"""Training curves of many runs, lined up: per method one column of them over steps (or epochs), a row for each seed."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chord.analysis.catalogue import Panel
from chord.analysis.report.run_records import run_name
from chord.errors import UserError

Array = NDArray[np.float64]
SMOOTHING = 0.05  # window of the running mean as a share of the steps


@dataclass(frozen=True)
class RunCurves:
    """curves.csv of one run; nan if a step has no such value."""

    path: Path
    method: str
    seed_index: int
    columns: dict[str, Array]

    def column(self, name: str) -> Array:
        if name not in self.columns:
            raise UserError(f"{self.path}: no column {name!r}")
        return self.columns[name]


@dataclass(frozen=True)
class Curve:
    """One quantity of one method: values[seed, point] at x[point]."""

    x: Array
    values: Array
    seeds: tuple[int, ...]

    @property
    def mean(self) -> Array:
        return self.values.mean(axis=0)

    @property
    def deviation(self) -> Array | None:
        """The standard deviation over seeds; None for a single seed."""
        return self.values.std(axis=0, ddof=1) if len(self.seeds) > 1 else None


def read_curves(folder: Path) -> RunCurves:
    """folder: `runs/<method>/seed-<n>`."""
    path = Path(folder) / "curves.csv"
    _, method, seed = run_name(path.parent).split("/")
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    try:
        columns = {
            name: np.array([float(row[name]) if row[name] != "" else np.nan for row in rows])
            for name in reader.fieldnames or ()
        }
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: expected numbers or empty fields ({error})") from error
    return RunCurves(path, method, int(seed.removeprefix("seed-")), columns)


def curve(runs: list[RunCurves], x: str, column: str) -> Curve:
    """Line up the runs of one method at the points that all of them have."""
    runs = sorted(runs, key=lambda run: run.seed_index)
    points = []
    for run in runs:
        at, values = run.column(x), run.column(column)
        there = ~np.isnan(at) & ~np.isnan(values)
        if not there.any():
            raise UserError(f"{run.path}: the column {column!r} is empty")
        points.append(dict(zip(np.round(at[there], 6), values[there], strict=True)))
    common = sorted(set.intersection(*(set(item) for item in points)))
    if not common:
        raise UserError(f"{runs[0].path}: its {column!r} and that of the other seeds have no {x} in common")
    values = np.array([[item[at] for at in common] for item in points])
    return Curve(np.array(common), values, tuple(run.seed_index for run in runs))


def running_mean(values: Array, window: int) -> Array:
    """Centred mean over `window` (odd) points along the last axis; shorter at the ends."""
    if window <= 1:
        return values
    half = window // 2
    total = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    at = np.arange(values.shape[-1])
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, values.shape[-1])
    return (total[..., high] - total[..., low]) / (high - low)


def prepare(raw: Curve, panel: Panel, smooth: bool = True) -> tuple[Curve, int]:
    """(the curve in the panel's unit, smoothed unless it is of validation or of mu; the window of smoothing)."""
    scale = 100.0 if "%" in panel.label else 1.0
    noisy = smooth and not panel.column.startswith("validation") and panel.column != "mu"
    window = 1 + 2 * round(SMOOTHING * len(raw.x) / 2) if noisy else 1
    return Curve(raw.x, running_mean(raw.values * scale, window), raw.seeds), window
