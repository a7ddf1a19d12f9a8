"""Validation during training: avg@k before the first step, every so many steps and after the last one."""

from collections.abc import Callable
from pathlib import Path

from transformers import Trainer, TrainerCallback

from chord.files import atomic_folder

# () -> (accuracy, mean response tokens) of the current weights
Measure = Callable[[], tuple[float, float]]


class Validate(TrainerCallback):
    """Puts validation_accuracy and validation_response_tokens into the step's log line; keeps the best weights."""

    def __init__(self, trainer: Trainer, measure: Measure, every: int, best: Path | None):
        """best: folder for the weights of highest accuracy after the start (earliest of equals); None keeps none."""
        self.trainer = trainer
        self.measure = measure
        self.every = every
        self.best = best

    def on_train_begin(self, args, state, control, **_):
        if state.global_step == 0:
            self.trainer.log(self._values())

    def on_step_end(self, args, state, control, **_):
        if state.global_step % self.every and state.global_step != state.max_steps:
            return
        values = self._values()
        # The trainer's log holds all earlier values, and the checkpoint holds the log: nothing to remember here.
        past = [
            line["validation_accuracy"] for line in state.log_history if line["step"] and "validation_accuracy" in line
        ]
        if self.best and values["validation_accuracy"] > max(past, default=-1.0):
            with atomic_folder(self.best) as folder:
                self.trainer.accelerator.unwrap_model(self.trainer.model).save_pretrained(folder)
        for name, value in values.items():
            self.trainer._metrics["train"][name].append(value)

    def _values(self) -> dict[str, float]:
        accuracy, tokens = self.measure()
        return {"validation_accuracy": accuracy, "validation_response_tokens": tokens}
