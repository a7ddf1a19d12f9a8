"""SIGTERM, which schedulers send some time before they kill: the step under way ends, is saved, and the run stops."""

import signal

import torch
from accelerate.utils import reduce
from transformers import TrainerCallback


class StopAfterStep(TrainerCallback):
    """Saves and stops at the end of the step in which any rank was asked to; `stopped` says that it did."""

    def __init__(self):
        self.asked = False
        self.stopped = False

    def on_train_begin(self, *_, **__):
        signal.signal(signal.SIGTERM, self._ask)

    def on_step_end(self, args, state, control, **_):
        # The signal need not reach all ranks in the same step, and a rank that stops alone leaves the others waiting.
        asked = reduce(torch.tensor(float(self.asked), device=args.device), reduction="sum").item() > 0
        if asked and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = self.stopped = True

    def on_train_end(self, *_, **__):
        # What is left is to write the result and to end. A process that dies of the signal on the way out has failed,
        # and Snakemake deletes the results of a failed job.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def _ask(self, *_):
        self.asked = True
