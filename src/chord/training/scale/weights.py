"""The weights of a model in training, with or without adapters, sharded or not, as the model's files have them.

Adapters are low-rank (LoRA, arXiv 2106.09685), by peft: W x + alpha / rank * B A x, where W is not trained.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate.utils import is_peft_model
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import Module
from transformers import PreTrainedModel

from chord.errors import UserError
from chord.training.train_spec import Lora

if TYPE_CHECKING:
    from peft import PeftModel


def add_adapters(model: PreTrainedModel, settings: Lora, seed: int) -> "PeftModel":
    """Freeze the model and put an adapter on each linear layer but the output layer, in place. A is random, B is 0.

    Returns the wrapper, whose checkpoints hold only the adapters; `model` itself computes with them from now on.
    UserError if peft is missing, or if some weights of the model do not belong to linear layers, which adapters need.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UserError(f"lora: peft cannot be imported ({error}); install it: pip install -e '.[lora]'") from error
    if stacked := [name for name, weight in model.named_parameters() if weight.ndim > 2]:
        raise UserError(f"lora: {stacked[0]}: expected a model of linear layers; these experts would stay as they are")
    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def full_weights(model: Module) -> Iterator[tuple[str, Tensor]]:
    """Yield (name in the model's safetensors, full tensor) of every weight. Every rank calls it.

    Adapters are merged into copies, a layer at a time, so the model in training does not change.
    """
    model = _unwrap(model)
    yield from merge_adapters(model, _gather(model))


def save_full(model: Module, folder: Path | None) -> None:
    """Write the current model, adapters merged, for `from_pretrained`. Every rank calls it, one with a folder."""
    model = _unwrap(model)
    weights = {}
    for name, weight in full_weights(model):
        # The device may have no room for a second copy. Tied weights are written under one of their names.
        if folder and name not in model.all_tied_weights_keys:
            weights[name] = weight.cpu()
    if folder:
        model.save_pretrained(folder, state_dict=weights)  # which takes them out of the dictionary


def _unwrap(model: Module) -> PreTrainedModel:
    """The model without peft's wrapper; its linear layers have become layers with adapters."""
    return model.get_base_model() if is_peft_model(model) else model


def _gather(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in model.state_dict(keep_vars=True).items():
        if isinstance(tensor, DTensor):
            # Offloaded parts lie in the machine's memory, but only the mesh's devices can exchange them.
            tensor = tensor.to(tensor.device_mesh.device_type).full_tensor()
        yield name, tensor.detach()


def merge_adapters(model: PreTrainedModel, weights: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights with the adapters merged, W + alpha / rank * B A, under the names of a model without any.

    model: with adapters or without, not peft's wrapper. weights: (name, full tensor) in the order of its `state_dict`.
    """
    for name, tensor in weights:
        layer, _, part = name.partition(".base_layer.")
        if part == "weight":
            frozen = tensor
        elif ".lora_A." in name:
            down = tensor
        elif ".lora_B." in name:
            layer = name.partition(".lora_B.")[0]
            (scale,) = model.get_submodule(layer).scaling.values()
            yield f"{layer}.weight", torch.addmm(frozen, tensor, down, alpha=scale)
        else:
            yield f"{layer}.{part}" if part else name, tensor
