"""The old policy of losses that take several updates with it (PSFT): its log-probabilities of the expert's tokens.

Rollouts are sampled anew for each update, so they have no old policy. Expert rows do: which rows the next steps read is
known beforehand, so what the policy says of them before the first of these steps is computed then and stored. That is
all that is needed of the old policy, and far smaller than a copy of it. A checkpoint holds what later steps need.
"""

from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import TrainerCallback

if TYPE_CHECKING:
    from chord.training.optimizer_step import OptimizerStep

FILE = "old_logps.safetensors"  # in a checkpoint


class OldPolicy(TrainerCallback):
    """Takes the log-probabilities before the first step and then every `updates` steps. Add it before MarkComplete."""

    def __init__(self, trainer: "OptimizerStep", updates: int):
        self.trainer = trainer
        self.updates = updates
        self.logps: dict[int, Tensor] = {}  # place in the order of expert rows -> (response tokens,)

    def on_train_begin(self, args, state, control, **_):
        if state.global_step % self.updates:
            stored = load_file(f"{args.output_dir}/checkpoint-{state.global_step}/{FILE}", str(args.device))
            self.logps = {int(place): logp for place, logp in stored.items()}

    def on_step_begin(self, args, state, control, **_):
        if state.global_step % self.updates == 0:
            n = self.trainer.stage.expert_rows_per_step
            order = self.trainer.expert_order[state.global_step * n : (state.global_step + self.updates) * n]
            logps = self.trainer.logps_of_ranks([self.trainer.experts[i] for i in order])
            self.logps = dict(enumerate(logps, start=state.global_step * n))

    def on_save(self, args, state, control, **_):
        if state.is_world_process_zero:
            values = {str(place): logp.contiguous() for place, logp in self.logps.items()}
            save_file(values, f"{args.output_dir}/checkpoint-{state.global_step}/{FILE}")
