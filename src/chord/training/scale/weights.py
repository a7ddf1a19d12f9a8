"""The weights of a model in training, whole and by the names that its files have, whatever holds them."""

from collections.abc import Iterator
from pathlib import Path

from accelerate.utils import is_peft_model
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import Module
from transformers import PreTrainedModel

from chord.training.adapters import merged


def whole_weights(model: Module) -> Iterator[tuple[str, Tensor]]:
    """(name in the model's safetensors, whole tensor) of every weight, one after another. Every rank calls it.

    Adapters are merged into copies, a layer at a time: the model goes on training as it is.
    """
    model = _unwrapped(model)
    yield from merged(model, _gathered(model))


def save_whole(model: Module, folder: Path | None) -> None:
    """Write the model as it is now, adapters merged, for `from_pretrained`. Every rank calls it, one with a folder."""
    model = _unwrapped(model)
    weights = {}
    for name, weight in whole_weights(model):
        # Off the device, which may not hold a second copy; tied weights are written under one of their names.
        if folder and name not in model.all_tied_weights_keys:
            weights[name] = weight.cpu()
    if folder:
        model.save_pretrained(folder, state_dict=weights)  # which takes them out of it


def _unwrapped(model: Module) -> PreTrainedModel:
    """Without peft's wrapper: the model whose linear layers have become layers with adapters."""
    return model.get_base_model() if is_peft_model(model) else model


def _gathered(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in model.state_dict(keep_vars=True).items():
        if isinstance(tensor, DTensor):
            # Offloaded parts lie in the machine's memory, but only the mesh's devices can exchange them.
            tensor = tensor.to(tensor.device_mesh.device_type).full_tensor()
        yield name, tensor.detach()
