"""Keeps the gradient of one update of any trainer of transformers, TRL's and ms-swift's included."""

from torch import Tensor
from transformers import TrainerCallback

from chord.probe.gradients import gradients


class GradientKeeper(TrainerCallback):
    """Keeps the gradient of a trainer's first update, and ends training there.

    Transformers clips before it calls this; a trainer with `max_grad_norm=0` does not clip. Clipping would scale a_rl
    and a_ex by the same number.
    """

    gradient: dict[str, Tensor]

    def on_pre_optimizer_step(self, args, state, control, model, **_):
        self.gradient = gradients(model)

    def on_step_end(self, args, state, control, **_):
        control.should_training_stop = True
