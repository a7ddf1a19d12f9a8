"""Rollouts while ranks share the weights: `generate` from a whole copy that each rank holds."""

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import TrainerCallback

from chord.rollouts import Decoding, Engine, Sample
from chord.rollouts.huggingface import HuggingFaceEngine
from chord.training.weights import whole_weights


class Replica(HuggingFaceEngine):
    """An engine over a copy of the model in training, which takes its weights."""

    def load_weights(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        """weights: as of `whole_weights`; cast to the copy's dtype."""
        own = self.model.state_dict()
        with torch.no_grad():
            for name, weight in weights:
                own[name].copy_(weight)


class Synced(TrainerCallback):
    """An `Engine` that takes the weights in training before it samples, where they have changed. Every rank calls it.

    A callback of the trainer, too: before any other that samples.
    """

    def __init__(self, engine: Replica):
        self.engine = engine
        self.stale = True

    def on_train_begin(self, args, state, control, model, **_):
        self.training = model

    def on_optimizer_step(self, *_, **__):
        self.stale = True

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        self._sync()
        return self.engine.generate(prompt_ids, seeds, decoding)

    def score(self, sequences: list[list[int]]) -> list[list[float]]:
        self._sync()
        return self.engine.score(sequences)

    def _sync(self) -> None:
        if self.stale:
            self.engine.load_weights(whole_weights(self.training))
            self.stale = False
