"""The floating-point operations that a training pass needs, and the share of a card's peak that they are (MFU).

A token needs 2 FLOPs for each weight of the decoder's layers, 2 for each weight of the output layer if its prediction
is read, and in each layer 4 for each value of its query and each token that it attends to, itself included. The
backward pass needs twice as many as the forward pass. What is computed again in the backward pass (gradient
checkpointing) and padding count nothing. A shared prompt counts once.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel


@dataclass(frozen=True)
class Work:
    """What training passes compute."""

    tokens: int
    attended: int  # sum over the tokens: to how many tokens each attends
    predicted: int  # tokens whose predictions are read


def training_flops(model: PreTrainedModel, work: Work) -> float:
    """Of forward and backward passes."""
    config = model.config
    table = model.get_input_embeddings().weight.numel()
    layers = sum(weight.numel() for weight in model.base_model.parameters()) - table
    head = model.get_output_embeddings().weight.numel()
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    attention = 4 * config.num_hidden_layers * config.num_attention_heads * head_size
    return 3.0 * (2 * layers * work.tokens + 2 * head * work.predicted + attention * work.attended)


class PassCounter:
    """Counts the work of a model's passes with gradient, from their arguments."""

    def __init__(self, model: PreTrainedModel):
        self._passes: list[Tensor] = []
        model.register_forward_pre_hook(self._count, with_kwargs=True)

    def total(self) -> Work:
        return Work(*torch.stack(self._passes).sum(0).tolist())

    def _count(self, module, args, kwargs) -> None:
        if not torch.is_grad_enabled():
            return
        ids, mask = kwargs["input_ids"], kwargs["attention_mask"]
        if mask.shape != ids.shape:  # a packed row
            mask = torch.ones_like(ids)
        positions = kwargs["position_ids"] if "position_ids" in kwargs else mask.cumsum(1) - 1
        labels = kwargs["shift_labels"] if "shift_labels" in kwargs else kwargs["labels"][:, 1:]
        parts = mask.sum(), ((positions + 1) * mask).sum(), (labels != -100).sum()
        self._passes.append(torch.stack(parts))
