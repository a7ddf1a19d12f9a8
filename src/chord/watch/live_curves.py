"""The curves of the runs of a study so far: from the events that training writes for TensorBoard at every step."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from chord.analysis.figures.looks import LOOKS, looks
from chord.analysis.report.curves import MOST_POINTS, PANELS, SVG_LOOKS
from chord.study import Study

STEPS = ("step_seconds", "validation_accuracy")  # values of every step, and of the start model too
TAG = "train/{}"  # the name that transformers gives to a value of a training step


@dataclass
class LiveRun:
    """The events of one run, read further at each look."""

    name: str  # <method>-seed-<n>, as in the names of logs
    method: str
    title: str
    events: EventAccumulator

    def points(self, column: str) -> list[tuple[int, float]]:
        return [(event.step, event.value) for event in self._events(column) if not math.isnan(event.value)]

    def last_step(self) -> int:
        return max((events[-1].step for tag in STEPS if (events := self._events(tag))), default=0)

    def minutes_left(self, steps: int) -> float | None:
        """Until step `steps`, at the mean pace of the last steps; None before there are two of them."""
        seen = self._events(STEPS[0])[-20:]
        if len(seen) < 2:
            return None
        pace = (seen[-1].wall_time - seen[0].wall_time) / (len(seen) - 1)
        return max(0.0, (steps - seen[-1].step) * pace / 60)

    def _events(self, column: str) -> list:
        tag = TAG.format(column)
        return self.events.Scalars(tag) if tag in self.events.Tags()["scalars"] else []


class LiveRuns:
    """The runs of a study in `folder`, results/<study>."""

    def __init__(self, study: Study, folder: Path):
        self.study, self.folder = study, folder
        self.runs: dict[str, LiveRun] = {}

    def look(self) -> None:
        """Read what has been written since the last look."""
        for seed in self.study.seed_indices:
            for method in self.study.methods.values():
                logs = self.folder / "runs" / method.name / f"seed-{seed}" / "tensorboard"
                name = f"{method.name}-seed-{seed}"
                if name not in self.runs and logs.is_dir():
                    title = f"{method.title}, seed {seed}"
                    self.runs[name] = LiveRun(name, method.name, title, EventAccumulator(str(logs), {"scalars": 0}))
        for run in self.runs.values():
            run.events.Reload()

    def chart(self) -> dict:
        """What chart.js draws: as chord.analysis.report.curves, with a curve for each run."""
        runs = list(self.runs.values())
        look = {name: LOOKS.index(found) for name, found in looks(dict.fromkeys(run.method for run in runs)).items()}
        methods = [{"name": run.name, "title": run.title, "look": look[run.method], "seeds": 1} for run in runs]
        panels = [
            {
                "label": panel.label,
                "curves": {
                    run.name: line for run in runs if (line := _line(run.points(panel.column), "%" in panel.label))
                },
            }
            for panel in PANELS
        ]
        return {"looks": SVG_LOOKS, "comparisons": [{"title": "all runs", "methods": methods}], "panels": panels}


def _line(points: Iterable[tuple[int, float]], in_percent: bool) -> dict | None:
    points = list(points)
    if not points:
        return None
    every = math.ceil(len(points) / MOST_POINTS)
    points = points[:-1:every] + points[-1:]
    means = [float(f"{100 * value if in_percent else value:.4g}") for _, value in points]
    return {"x": [step for step, _ in points], "mean": means, "deviation": []}
