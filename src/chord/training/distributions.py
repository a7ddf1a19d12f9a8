"""Values of response tokens for which the policy's whole distribution there is needed, beyond TRL's output layer.

They come from the hidden states before the output layer, chunk by chunk of tokens, so that no tensor is as large as all
logits. They are computed inside of the model's forward pass, where the weights of a sharded output layer are together,
and are part of its output, which is what sharding watches for the backward pass.
"""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from trl.trainer.utils import FusedCausalLMOutput

from chord.errors import UserError

CHUNK_VALUES = 2**24  # logits at a time: 64 MiB in fp32


@dataclass(frozen=True)
class SoftTarget:
    """q = softmax(logits of another model + beta onehot(label)) at some of the labels, by that model's last states."""

    at: Tensor  # which labels, True or False, in the shape of the output's `log_probs`
    states: Tensor  # (labels that are read, hidden size), in their order; without gradient
    head: nn.Linear  # the other model's output layer, with the same vocabulary
    beta: float


@dataclass
class DistributionOutput(FusedCausalLMOutput):
    """TRL's output with more values of each label, which are 0 at labels that were not asked for."""

    top_logps: Tensor | None = None  # (*labels, top)
    soft_nll: Tensor | None = None  # (*labels,), cross-entropy of the model to q, with gradient
    soft_entropy: Tensor | None = None  # (*labels,), entropy of q, nats


def add_distributions(model: PreTrainedModel) -> None:
    """Let `model(..., fused_lm_head=True, at=mask, top=K, targets=[...])` return a `DistributionOutput`.

    at: which labels' `top_logps` are read, True or False, in the shape of the output's `log_probs`. targets: each is a
    `SoftTarget`, at labels of its own. Without either, calls stay as they were. To be called after TRL's
    `add_fused_lm_head`, and before the model is sharded or wrapped. UserError if the model's logits are not the plain
    output of its output layer.
    """
    _check_logits(model)
    fused_forward = model.forward

    @functools.wraps(type(model).forward)  # `generate` validates its arguments against this signature
    def forward(self, *args, at: Tensor | None = None, top: int = 0, targets: Sequence[SoftTarget] = (), **kwargs):
        if at is None and not targets:
            return fused_forward(*args, **kwargs)
        with last_states(self) as states:
            outputs = fused_forward(*args, **kwargs)
        # Labels are those of the first tokens; unshifted ones lack the last's.
        read = states[0][:, : outputs.log_probs.shape[1]]
        head = self.get_output_embeddings()
        more = {}
        if at is not None:
            more["top_logps"] = _placed(top_logps(read[at], head, top), at)
        if targets:
            labels = kwargs["shift_labels"] if "shift_labels" in kwargs else kwargs["labels"][:, 1:]
            placed = [
                [_placed(values, target.at) for values in soft_values(read[target.at], head, labels[target.at], target)]
                for target in targets
            ]
            more["soft_nll"], more["soft_entropy"] = (sum(values) for values in zip(*placed, strict=True))
        return DistributionOutput(**outputs, **more)

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


def soft_values(states: Tensor, head: nn.Linear, labels: Tensor, target: SoftTarget) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the model to q, with gradient, and entropy of q, nats; each (tokens,).

    states: (tokens, hidden size), what the output layer `head` reads. labels: (tokens,). A chunk's logits are computed
    again in the backward pass.
    """
    size = max(1, CHUNK_VALUES // head.weight.shape[0])
    chunks = zip(states.split(size), target.states.split(size), labels.split(size), strict=True)
    values = [checkpoint(_soft_chunk, head, target, *chunk, use_reentrant=False) for chunk in chunks]
    return tuple(torch.cat(parts) for parts in zip(*values, strict=True))


def _soft_chunk(
    head: nn.Linear, target: SoftTarget, states: Tensor, others: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    logp = nn.functional.linear(states, head.weight, head.bias).float().log_softmax(-1)
    with torch.no_grad():
        logits = nn.functional.linear(others, target.head.weight, target.head.bias).float()
        log_q = logits.scatter_add(1, labels[:, None], torch.full_like(logits[:, :1], target.beta)).log_softmax(-1)
        q = log_q.exp()
        entropy = -(q * log_q).sum(-1)
    return -(q * logp).sum(-1), entropy


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
def last_states(model: PreTrainedModel) -> Iterator[list[Tensor]]:
    """A list that gets the last hidden states of the forward pass in the context, (rows, tokens, hidden size)."""
    states: list[Tensor] = []
    hook = model.base_model.register_forward_hook(lambda _, __, output: states.append(output.last_hidden_state))
    try:
        yield states
    finally:
        hook.remove()


@torch.no_grad()
def _check_logits(model: PreTrainedModel) -> None:
    with last_states(model) as states:
        logits = model(torch.arange(8, device=model.device)[None]).logits  # padding alone may have states of 0
    if not torch.allclose(model.get_output_embeddings()(states[0]), logits):
        raise UserError(
            f"model: {model.config.model_type} changes its logits behind its output layer; expected a model that does "
            "not, as a part of the objective reads whole distributions"
        )
