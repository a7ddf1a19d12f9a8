"""A cache of keys and values with one allocation a batch, in which the rows of a prompt begin from one prefill.

The stock cache of transformers copies everything at every step, to append one token. For a small model on a CPU those
copies take 10 to 80 % of a rollout, depending on how often the allocator can reuse memory.
"""

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


class BufferedLayer(DynamicLayer):
    """A `DynamicLayer` whose keys and values, (rows, heads, length, head size), are views of larger buffers."""

    def __init__(self, keys: Tensor, values: Tensor, rows: Tensor, capacity: int):
        """Begins with keys[rows] and values[rows], and has room for `capacity` tokens.

        Memory that no token has touched yet costs nothing on a CPU.
        """
        super().__init__()
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        length = keys.shape[2]
        self.buffers = [
            states.new_empty(len(rows), states.shape[1], capacity, states.shape[3]) for states in (keys, values)
        ]
        self.keys, self.values = (buffer[:, :, :length] for buffer in self.buffers)
        for part, states in ((self.keys, keys), (self.values, values)):
            torch.index_select(states, 0, rows, out=part)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        start = self.keys.shape[2]
        end = start + key_states.shape[2]
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = states
        self.keys, self.values = (buffer[:, :, :end] for buffer in self.buffers)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep these rows, in this order and in place."""
        self.keys, self.values = (select_in_place(states, beam_idx) for states in (self.keys, self.values))
        self.buffers = [buffer[: len(beam_idx)] for buffer in self.buffers]


def remaining(keep: Tensor) -> Tensor:
    """The indices of the True entries, (rows,), in an order in which most of them stay where they are.

    The last ones move into the places of those that leave, so `select_in_place` copies no more rows than leave.
    """
    count = int(keep.sum())
    order = torch.arange(count, device=keep.device)
    order[~keep[:count]] = count + keep[count:].nonzero().squeeze(1)
    return order


def select_in_place(states: Tensor, indices: Tensor) -> Tensor:
    """states[indices] along the first dimension, as a view of `states`: only what moves is copied."""
    moved = (indices != torch.arange(len(indices), device=indices.device)).nonzero().squeeze(1)
    states[moved] = states[indices[moved]]
    return states[: len(indices)]


def expand(cache: DynamicCache, rows: Tensor, capacity: int) -> None:
    """Turn the cache of a prefill of distinct prompts into that of the batch: row i continues prompt rows[i].

    Full-attention layers become buffered ones; sliding windows and recurrent states keep their stock layers.
    """
    for place, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer:
            cache.layers[place] = BufferedLayer(layer.keys, layer.values, rows, capacity)
        else:
            layer.reorder_cache(rows)
