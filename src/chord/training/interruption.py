"""SIGTERM, which schedulers send some time before they kill: the step under way ends, is saved, and the run stops."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate.utils import reduce
from transformers import TrainerCallback


class StopAfterStep(TrainerCallback):
    """Saves and stops at the end of the step in which any rank was asked to; `stopped` says that it did."""

    def __init__(self):
        self.asked = False
        self.stopped = False

    def on_step_end(self, args, state, control, **_):
        # The signal need not reach all ranks in the same step, and a rank that stops alone leaves the others waiting.
        asked = reduce(torch.tensor(float(self.asked), device=args.device), reduction="sum").item() > 0
        if asked and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = self.stopped = True


@contextmanager
def stopped_by_sigterm() -> Iterator[StopAfterStep]:
    """A callback for the trainer, which SIGTERM asks to stop within the block."""
    callback = StopAfterStep()

    def ask(*_):
        callback.asked = True

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield callback
    finally:
        signal.signal(signal.SIGTERM, before)
