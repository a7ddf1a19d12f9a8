"""The weights of a model in training, whole and by the names that its files have, whatever holds them."""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel
from transformers.utils import CONFIG_NAME

from chord.files import read_json, write_json


def whole_weights(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """(name in the model's safetensors, whole tensor) of every weight, one after another. Every rank calls it.

    Of a model under DeepSpeed the fp32 weights that its optimizer updates, whatever it computes with.
    """
    for name, tensor in model.state_dict(keep_vars=True).items():
        if isinstance(tensor, DTensor):
            # Offloaded parts lie in the machine's memory, but only the mesh's devices can exchange them.
            tensor = tensor.to(tensor.device_mesh.device_type).full_tensor()
        elif hasattr(tensor, "_hp_mapping") or hasattr(tensor, "ds_id"):
            from deepspeed.utils import safe_get_full_fp32_param

            tensor = safe_get_full_fp32_param(tensor)
        yield name, tensor.detach()


def save_whole(model: PreTrainedModel, folder: Path | None) -> None:
    """Write the model, such as `from_pretrained` loads it, into the folder. Every rank calls it, one with a folder."""
    weights = {}
    for name, weight in whole_weights(model):
        if folder and name not in model.all_tied_weights_keys:
            weights[name] = weight.cpu()
    if folder:
        model.save_pretrained(folder, state_dict=weights)
        # transformers notes the dtype that the model computes with, which under DeepSpeed is not that of its weights.
        config = read_json(folder / CONFIG_NAME)
        if config["dtype"] != (dtype := str(next(iter(weights.values())).dtype).removeprefix("torch.")):
            write_json(folder / CONFIG_NAME, config | {"dtype": dtype})
