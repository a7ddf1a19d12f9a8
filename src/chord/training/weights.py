"""The weights of a model in training, whole and by the names that its files have, whatever holds them."""

from collections.abc import Iterator
from pathlib import Path

from accelerate.utils import is_peft_model
from torch import Tensor
from torch.nn import Module

from chord.training.adapters import merged


def whole_weights(model: Module) -> Iterator[tuple[str, Tensor]]:
    """(name in the model's safetensors, whole tensor) of every weight, one after another. Every rank calls it.

    Adapters are merged into copies, a layer at a time: the model goes on training as it is.
    """
    model = model.get_base_model() if is_peft_model(model) else model
    yield from merged(model, model.state_dict().items())


def save_whole(model: Module, folder: Path) -> None:
    """Write the model that training leads to, such as `from_pretrained` loads, into the folder."""
    plain = model.get_base_model() if is_peft_model(model) else model
    # Off the device, which may hold the model but once; tied weights are written under one of their names.
    weights = {name: weight.cpu() for name, weight in whole_weights(model) if name not in plain.all_tied_weights_keys}
    plain.save_pretrained(folder, state_dict=weights)
