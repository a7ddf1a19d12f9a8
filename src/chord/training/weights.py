"""The weights of a model in training, whole and by the names that its files have, whatever holds them."""

from collections.abc import Iterator

from torch import Tensor
from transformers import PreTrainedModel


def whole_weights(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """(name in the model's safetensors, whole tensor) of every weight, one after another. Every rank calls it."""
    yield from model.state_dict().items()
