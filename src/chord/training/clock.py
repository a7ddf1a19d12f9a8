"""Seconds of an optimizer step, the same for both kinds of stages: rollouts to update, without validation."""

import time

from transformers import Trainer, TrainerCallback


class Clock(TrainerCallback):
    """Puts step_seconds into the step's log line. Must be added before callbacks whose time is not the step's."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer

    def on_step_begin(self, *_, **__):
        self.began = time.perf_counter()

    def on_step_end(self, *_, **__):
        self.trainer._metrics["train"]["step_seconds"].append(time.perf_counter() - self.began)
