"""Rollouts while ranks share the weights: `generate` from a whole copy that each rank holds."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor
from transformers import PreTrainedModel

from chord.rollouts.huggingface import HuggingFaceEngine


def whole_copy(model: PreTrainedModel, precision: str) -> PreTrainedModel:
    """A copy to sample from, in the precision of the passes in training. Make it before a trainer shards the model."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = copy.deepcopy(model).requires_grad_(False)
    return found.to(device, torch.bfloat16 if precision == "bf16" else torch.float32)


class Replica(HuggingFaceEngine):
    """An engine over such a copy, which takes the weights in training."""

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Compute with these from now on; see `WeightedEngine`."""
        own = self.model.state_dict()
        for name, weight in weights:
            own[name].copy_(weight)

    def sleep(self) -> None:
        """The copy stays where it is."""

    def close(self) -> None:
        """It ends with its process."""
