"""Low-rank adapters (LoRA, arXiv 2106.09685), by peft: W x + alpha / rank * B A x, where W is not trained."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedModel

from chord.errors import UserError
from chord.training.train_spec import Lora

if TYPE_CHECKING:
    from peft import PeftModel


def add_adapters(model: PreTrainedModel, settings: Lora, seed: int) -> "PeftModel":
    """Freeze the model and put an adapter on each linear layer but the output layer, in place. A is random, B is 0.

    Returns the wrapper whose checkpoints hold the adapters only; `model` itself computes and samples with them from now
    on. UserError if peft is missing, or if weights of the model are no linear layers that an adapter could go to.
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


def merged(model: PreTrainedModel, weights: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """The weights with the adapters in them, W + alpha / rank * B A, under the names of a model that never had any.

    model: with adapters or without, not peft's wrapper. weights: (name, whole tensor) in the order of its `state_dict`.
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
