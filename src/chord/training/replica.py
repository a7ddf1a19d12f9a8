"""Rollouts while ranks share the weights: `generate` from a whole copy that each rank holds."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor
from transformers import PreTrainedModel

from chord.rollouts import Decoding, Sample
from chord.rollouts.huggingface import HuggingFaceEngine
from chord.training.weights import whole_weights


def whole_copy(model: PreTrainedModel, precision: str) -> PreTrainedModel:
    """A copy to sample from, in the precision of the passes in training. Make it before a trainer shards the model."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = copy.deepcopy(model).requires_grad_(False)
    return found.to(device, torch.bfloat16 if precision == "bf16" else torch.float32)


class Replica(HuggingFaceEngine):
    """An engine over such a copy, which takes the weights in training."""

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Compute with these from now on; weights: as of `whole_weights`."""
        own = self.model.state_dict()
        for name, weight in weights:
            own[name].copy_(weight)


class Synced:
    """An `Engine` that takes the weights in training before each generation. Every rank calls it."""

    def __init__(self, engine: Replica, model: PreTrainedModel):
        """model: the one in training, which its trainer shards in place."""
        self.engine = engine
        self.model = model

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        self._sync()
        return self.engine.generate(prompt_ids, seeds, decoding)

    def score(self, sequences: list[list[int]]) -> list[list[float]]:
        self._sync()
        return self.engine.score(sequences)

    def _sync(self) -> None:
        self.engine.load_weights(whole_weights(self.model))
