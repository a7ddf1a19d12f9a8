"""Whether gradients of several passes add up, asked before a training whose gradients lie in the machine's memory.

Implementations of offloading have kept the last pass's gradient only, without a word. Then training is wrong, and looks
merely worse.
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
# Of the difference's norm to the gradient's: rounding alone. A gradient that lacks a pass differs by some tenths.
TOLERANCE = {"fp32": 1e-3, "bf16": 0.1}


class CheckAccumulation(TrainerCallback):
    """UserError at the start of training unless the gradient of some rows, a pass for each, is that of all in one pass.

    On the model, the devices and the way through accelerate that training takes; no weight changes.
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
            padded = collate(rows, 0, accelerator.device)  # any token: it is behind all that has loss
            with accumulating(accelerator, model, last), accelerator.autocast():
                loss = -model(**padded, fused_lm_head=True).log_probs.sum() / tokens
                accelerator.backward(loss)
        gradients = [_local(parameter.grad) for parameter in model.parameters() if parameter.grad is not None]
        model.zero_grad()
        return gradients


def _local(gradient: Tensor) -> Tensor:
    part = gradient.to_local() if isinstance(gradient, DTensor) else gradient
    return part.detach().to("cpu", torch.float32, copy=True)
