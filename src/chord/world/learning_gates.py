"""Command `gates`: does a base model learn as the study needs it? Read from the curves of an SFT and an RL run.

Beside the gates of `chord pretrain`; no gate is about a mixing method.
"""

import csv
import logging
from pathlib import Path

from chord.errors import UserError
from chord.io.files import write_json
from chord.io.provenance import manifest
from chord.world.pretrain_spec import LearningGates

log = logging.getLogger(__name__)


def run(spec: dict, sft: Path, rl: Path, out: Path) -> None:
    """Print the gates and write them to `out` (json); a missed one is an error. sft, rl: curves.csv of the runs."""
    gates = LearningGates.model_validate(spec)
    figures = measure(_validation(sft), _validation(rl))
    misses = []
    for name, value in figures.items():
        low, high = getattr(gates, name)
        log.info("gate %-12s %7.3f   wanted %g to %g", name, value, low, high)
        if not low <= value <= high:
            misses.append(f"gate {name}: {value:.3f} is outside [{low}, {high}]")
    write_json(out, manifest(spec, {"sft": sft, "rl": rl}, gates=figures, missed_gates=misses))
    if misses and gates.enforce:
        raise UserError("\n".join(misses))


def measure(sft: list[float], rl: list[float]) -> dict[str, float]:
    """Figures of the gates from validation accuracies, the start model's first."""
    first_half = sft[1 : 1 + len(sft) // 2]
    return {
        "rl_gain": rl[-1] - rl[0],
        "sft_dip": sft[0] - min(first_half),
        "sft_recovery": sft[-1] - sft[0],
    }


def _validation(path: Path) -> list[float]:
    with open(path, newline="", encoding="utf-8") as file:
        values = [float(row["validation_accuracy"]) for row in csv.DictReader(file) if row["validation_accuracy"]]
    if len(values) < 2:
        raise UserError(f"{path}: {len(values)} validations; expected that of the start and one later")
    return values
