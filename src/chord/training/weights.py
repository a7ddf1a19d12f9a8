"""The weights of a model in training, whole and by the names that its files have, whatever holds them."""

from collections.abc import Iterator
from pathlib import Path

from accelerate.utils import is_peft_model
from torch import Tensor
from torch.nn import Module
from transformers import PreTrainedModel

from chord.training.adapters import merged


def whole_weights(model: Module) -> Iterator[tuple[str, Tensor]]:
    """(name in the model's safetensors, whole tensor) of every weight, one after another. Every rank calls it.

    Adapters are merged into copies, a layer at a time: the model goes on training as it is.
    """
    model = _unwrapped(model)
    yield from merged(model, model.state_dict().items())


def save_whole(model: Module, folder: Path) -> None:
    """Write the model as it is now, adapters merged, into the folder, for `from_pretrained`."""
    model = _unwrapped(model)
    # Off the device, which may not hold a second copy; tied weights are written under one of their names.
    weights = {name: weight.cpu() for name, weight in whole_weights(model) if name not in model.all_tied_weights_keys}
    model.save_pretrained(folder, state_dict=weights)


def _unwrapped(model: Module) -> PreTrainedModel:
    """Without peft's wrapper: the model whose linear layers have become layers with adapters."""
    return model.get_base_model() if is_peft_model(model) else model
