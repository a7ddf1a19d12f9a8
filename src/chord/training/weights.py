"""The weights of a model in training, whole and by the names that its files have, whatever holds them."""

from collections.abc import Iterator

from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel


def whole_weights(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """(name in the model's safetensors, whole tensor) of every weight, one after another. Every rank calls it."""
    for name, tensor in model.state_dict().items():
        if isinstance(tensor, DTensor):
            # Offloaded parts lie in the machine's memory, but only the mesh's devices can exchange them.
            tensor = tensor.to(tensor.device_mesh.device_type).full_tensor()
        yield name, tensor
