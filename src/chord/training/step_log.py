"""What becomes of the log of steps: curves.csv and its sums. The checkpoints hold the log, so it survives a kill."""

import csv
import resource
import time
from pathlib import Path

from transformers import Trainer, TrainerCallback

from chord.io.files import atomic_path
from chord.training.curve_columns import COLUMNS

# Columns of TRL and transformers that have another name here.
RENAMED = {"learning_rate": "lr"}


class Clock(TrainerCallback):
    """Puts step_seconds into the step's log line: from rollouts to update, without validation.

    Add it before callbacks whose time is not the step's.
    """

    def __init__(self, trainer: Trainer):
        self.trainer = trainer

    def on_step_begin(self, *_, **__):
        self.began = time.perf_counter()

    def on_step_end(self, *_, **__):
        self.trainer._metrics["train"]["step_seconds"].append(time.perf_counter() - self.began)


def curve_rows(
    log_history: list[dict], rows_per_step: int, rows_per_epoch: int, more: tuple[str, ...] = ()
) -> list[dict]:
    """One dict per step with the known columns; step 0 is the start model, and the closing summary is left out.

    rows_per_step: the training rows that a step uses. rows_per_epoch: those of one pass over the data.
    """
    rows = []
    for line in log_history:
        if "train_runtime" in line:
            continue
        named = {RENAMED.get(key, key): value for key, value in line.items()}
        named["epoch"] = named["step"] * rows_per_step / rows_per_epoch
        rows.append({column: named.get(column) for column in (*COLUMNS, *more)})
    return rows


def write_curves(path: Path, rows: list[dict]) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)  # None becomes an empty field; floats are written with all their digits


def run_result(curves: list[dict], delivered: int, expert_set: int) -> dict:
    """What the run cost, which step's weights it delivers, and how many expert rows it could read."""

    def total(column: str) -> float:
        return sum(row[column] or 0 for row in curves)

    return {
        "steps": curves[-1]["step"],
        "delivered_step": delivered,
        "validation_accuracy": next(row["validation_accuracy"] for row in curves if row["step"] == delivered),
        **{column: round(total(column)) for column in ("rollouts", "expert_rows", "expert_tokens", "train_tokens")},
        **({"frozen_tokens": round(total("frozen_tokens"))} if "frozen_tokens" in curves[0] else {}),
        "expert_set": expert_set,
        # An expert row counts by the weight its loss had: sum over steps of a_ex * mean w.
        "weighted_expert_rows": sum(
            row["expert_rows"] * row["a_ex"] * row["token_weight_mean"] for row in curves if row["expert_rows"]
        ),
        "train_minutes": total("step_seconds") / 60.0,
        "validation_minutes": total("validation_seconds") / 60.0,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
    }
