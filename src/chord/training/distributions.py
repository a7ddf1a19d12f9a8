"""Values of response tokens for which the policy's whole distribution there is needed, beyond TRL's output layer.

They come from the hidden states before the output layer, chunk by chunk of tokens, so that no tensor is as large as all
logits. They are computed inside of the model's forward pass, where the weights of a sharded output layer are together,
and are part of its output, which is what sharding watches for the backward pass.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from trl.trainer.utils import FusedCausalLMOutput

from chord.errors import UserError

CHUNK_VALUES = 2**24  # logits at a time: 64 MiB in fp32


@dataclass
class DistributionOutput(FusedCausalLMOutput):
    """TRL's output with more values of each label, which are 0 at labels that were not asked for."""

    top_logps: Tensor | None = None  # (*labels, top)


def add_distributions(model: PreTrainedModel) -> None:
    """Let `model(..., fused_lm_head=True, at=mask, top=K)` return a `DistributionOutput`.

    at: which labels are read, True or False, in the shape of the output's `log_probs`. Without it calls stay as they
    were. To be called after TRL's `add_fused_lm_head`, and before the model is sharded or wrapped. UserError if the
    model's logits are not the plain output of its output layer.
    """
    _check_logits(model)
    fused_forward = model.forward

    @functools.wraps(type(model).forward)  # `generate` validates its arguments against this signature
    def forward(self, *args, at: Tensor | None = None, top: int = 0, **kwargs):
        if at is None:
            return fused_forward(*args, **kwargs)
        with _last_states(self) as states:
            outputs = fused_forward(*args, **kwargs)
        read = states[0][:, : at.shape[1]][at]  # labels are those of the first tokens; unshifted ones lack the last's
        values = top_logps(read, self.get_output_embeddings(), top)
        return DistributionOutput(**outputs, top_logps=_placed(values, at))

    model.forward = MethodType(forward, model)


@torch.no_grad()
def top_logps(states: Tensor, head: nn.Linear, top: int) -> Tensor:
    """The `top` largest log-probabilities of each distribution, descending, natural log, (tokens, top); no gradient.

    states: (tokens, hidden size), what the output layer `head` reads.
    """
    parts = []
    for logits in _logits_by_chunk(states, head):
        parts.append(logits.topk(top).values - logits.logsumexp(-1, keepdim=True))
    return torch.cat(parts)


def _logits_by_chunk(states: Tensor, head: nn.Linear) -> Iterator[Tensor]:
    """(tokens of the chunk, vocabulary), fp32. At least one chunk, which may be empty."""
    for chunk in states.split(max(1, CHUNK_VALUES // head.weight.shape[0])):
        yield nn.functional.linear(chunk, head.weight, head.bias).float()


def _placed(values: Tensor, at: Tensor) -> Tensor:
    """(*labels, ...) with the values of the labels that were read, 0 at the others."""
    placed = values.new_zeros(*at.shape, *values.shape[1:])
    placed[at] = values
    return placed


@contextmanager
def _last_states(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """A list that gets the last hidden states of the forward pass in the context, (rows, tokens, hidden size)."""
    states: list[Tensor] = []
    hook = model.base_model.register_forward_hook(lambda _, __, output: states.append(output.last_hidden_state))
    try:
        yield states
    finally:
        hook.remove()


@torch.no_grad()
def _check_logits(model: PreTrainedModel) -> None:
    with _last_states(model) as states:
        logits = model(torch.arange(8, device=model.device)[None]).logits  # padding alone may have states of 0
    if not torch.allclose(model.get_output_embeddings()(states[0]), logits):
        raise UserError(
            f"model: {model.config.model_type} changes its logits behind its output layer; expected a model that does "
            "not, as a part of the objective reads whole distributions"
        )
