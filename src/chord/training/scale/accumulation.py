"""Checks before training with offloaded gradients that the gradients of several passes add up.

Some implementations of offloading silently keep only the last pass's gradient. Then training is wrong, but merely looks
worse.
"""

import torch
from accelerate.utils import reduce
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import Trainer, TrainerCallback

from chord.errors import UserError
from chord.training.scale.sharding import accumulating
from chord.training.sequences import Sequence, collate

PROBES = 4  # rows, and passes
# Norm of the difference over norm of the gradient. Rounding stays below; a missing pass gives some tenths.
TOLERANCE = {"fp32": 1e-3, "bf16": 0.1}


class CheckAccumulation(TrainerCallback):
    """Raises UserError at the start of training if one pass per row gives another gradient than one pass of all rows.

    It uses the model, the devices and the calls of accelerate that training uses, on padded rows. No weight changes.
    """

    def __init__(self, trainer: Trainer, rows: list[Sequence]):
        """rows: at least two, with loss on some tokens."""
        self.trainer = trainer
        self.rows = rows

    def on_train_begin(self, args, state, control, **_):
        together = self._gradient([self.rows])
        parts = self._gradient([[row] for row in self.rows])
        sums = torch.tensor(
            [[((a - b) ** 2).sum(), (b**2).sum()] for a, b in zip(parts, together, strict=True)], dtype=torch.float64
        ).sum(0)
        difference, size = reduce(sums.to(args.device), "sum").sqrt().tolist()
        tolerance = TOLERANCE["bf16" if args.bf16 else "fp32"]
        if not difference <= tolerance * size:
            raise UserError(
                f"scale.cpu_offload: gradients of {len(self.rows)} passes do not add up to that of one pass (they "
                f"differ by {difference / size:.2g} of its norm; expected at most {tolerance:g}); expected false"
            )

    def _gradient(self, passes: list[list[Sequence]]) -> list[Tensor]:
        """This rank's part of the gradient of the mean loss over all rows' tokens, in the machine's memory."""
        accelerator, model = self.trainer.accelerator, self.trainer.model_wrapped
        model.train()
        tokens = sum(len(row.response_ids) for rows in passes for row in rows)
        for number, rows in enumerate(passes, start=1):
            last = number == len(passes)
            padded = collate(rows, 0, accelerator.device)  # any token will do, as it comes after all tokens with loss
            with accumulating(accelerator, model, last), accelerator.autocast():
                loss = -model(**padded, fused_lm_head=True).log_probs.sum() / tokens
                accelerator.backward(loss)
        gradients = [_local(parameter.grad) for parameter in model.parameters() if parameter.grad is not None]
        model.zero_grad()
        return gradients


def _local(gradient: Tensor) -> Tensor:
    part = gradient.to_local() if isinstance(gradient, DTensor) else gradient
    return part.detach().to("cpu", torch.float32, copy=True)
