"""The trainer's part of a checkpoint, which any number of ranks can read, sharded or not.

It holds the whole weights, as `from_pretrained` reads them, and the whole moments by the names of their parameters. The
first rank alone writes and reads them: what a rank of another machine writes may show up late on a shared file system.
"""

import tempfile
from pathlib import Path

import torch
from accelerate.utils import gather_object, is_peft_model
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from chord.io.models import load_weights

OPTIMIZER, SCHEDULER = "optimizer.pt", "scheduler.pt"  # transformers' names


class TrainerState:
    """Mixed into a trainer of transformers, in place of its own way, which depends on the ranks and the sharding."""

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        several = self.args.world_size > 1
        options = StateDictOptions(full_state_dict=several, cpu_offload=several)  # then only the first rank gets it
        moments = get_optimizer_state_dict(self.model, self.optimizer, options=options)
        if self.args.should_save:
            torch.save(moments, Path(output_dir, OPTIMIZER))
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir, SCHEDULER))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        moments = torch.load(Path(checkpoint, OPTIMIZER), "cpu", weights_only=True) if self._reads else {}
        set_optimizer_state_dict(self.model, self.optimizer, moments, options=self._from_first_rank)
        self.lr_scheduler.load_state_dict(torch.load(Path(checkpoint, SCHEDULER), weights_only=True))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model=None) -> None:
        if is_peft_model(self.model):  # its checkpoints hold the adapters, and are never sharded
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        weights = load_weights(resume_from_checkpoint, torch.float32).state_dict() if self._reads else {}
        set_model_state_dict(self.model, weights, options=self._from_first_rank)

    def _save_rng_state(self, output_dir: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            super()._save_rng_state(folder)
            states = gather_object([(path.name, path.read_bytes()) for path in Path(folder).iterdir()])
        if self.args.should_save:
            for name, state in states:
                Path(output_dir, name).write_bytes(state)

    @property
    def _reads(self) -> bool:
        return self.args.process_index == 0

    @property
    def _from_first_rank(self) -> StateDictOptions:
        several = self.args.world_size > 1
        return StateDictOptions(full_state_dict=several, broadcast_from_rank0=several)
