"""The old policy of losses that take several updates with it (PSFT): its log-probabilities of the expert's tokens.

Rollouts are sampled anew for each update, so they have no old policy. Expert rows do: which rows the next steps read is
known beforehand, so what the policy says of them before the first of these steps is computed then and stored. That is
all that is needed of the old policy, and far smaller than a copy of it. A checkpoint holds what later steps need.
"""

import math
from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import Module
from transformers import TrainerCallback

if TYPE_CHECKING:
    from chord.training.response_passes import ResponsePasses

FILE = "old_logps.safetensors"  # in a checkpoint


class OldPolicy(TrainerCallback):
    """Keeps the log-probabilities of the rows of `updates` successive steps. Add it before MarkComplete."""

    def __init__(self, trainer: "ResponsePasses", updates: int):
        self.trainer = trainer
        self.updates = updates
        self.logps: dict[int, Tensor] = {}  # place in the order of expert rows -> (response tokens,)

    def own_logps(self, model: Module, step: int) -> list[Tensor]:
        """Those of this rank's expert rows of the step, in their order, (response tokens,) each."""
        trainer, accelerator, n = self.trainer, self.trainer.accelerator, self.trainer.stage.expert_rows_per_step
        first = (step - 1) * n
        if first not in self.logps:
            order = trainer.expert_order[first : math.ceil(step / self.updates) * self.updates * n]
            logps = trainer.logps_of_ranks(model, [trainer.experts[i] for i in order])
            self.logps = dict(enumerate(logps, start=first))
        places = range(first, first + n)[accelerator.process_index :: accelerator.num_processes]
        return [self.logps[place].to(accelerator.device) for place in places if place in self.logps]

    def on_train_begin(self, args, state, control, **_):
        if state.global_step:
            stored = load_file(f"{args.output_dir}/checkpoint-{state.global_step}/{FILE}")
            self.logps = {int(place): logp for place, logp in stored.items()}

    def on_save(self, args, state, control, **_):
        if state.is_world_process_zero:
            values = {str(place): logp for place, logp in self.logps.items()}
            save_file(values, f"{args.output_dir}/checkpoint-{state.global_step}/{FILE}")
