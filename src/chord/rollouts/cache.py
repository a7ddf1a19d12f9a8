"""Keys and values that grow in place: the stock cache copies all it holds into new memory at every step of `generate`.

For a small model on a CPU those copies take 10 to 80 % of a rollout: the more, the less often the allocator finds
memory to use again. The tokens are the same.
"""

from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer


class BufferedLayer(DynamicLayer):
    """A `DynamicLayer` whose keys and values, (rows, heads, length, head size), are views of buffers with room left."""

    def __init__(self, max_length: int):
        super().__init__()
        self.max_length = max_length
        self.buffers: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if self.buffers is None or end > self.buffers[0].shape[-2]:
            # Doubling: an entry is copied about once, and a batch that ends early never takes the memory of the limit.
            capacity = max(end, min(2 * end, self.max_length))
            self.buffers = (
                self._grown(self.keys, key_states, capacity),
                self._grown(self.values, value_states, capacity),
            )
        self.buffers[0][:, :, start:end] = key_states
        self.buffers[1][:, :, start:end] = value_states
        self.keys, self.values = (buffer[:, :, :end] for buffer in self.buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        super().batch_select_indices(indices)  # copies
        self.buffers = None

    def _grown(self, filled: Tensor, states: Tensor, capacity: int) -> Tensor:
        buffer = states.new_empty(*states.shape[:2], capacity, states.shape[3])
        if filled.numel():  # an empty layer holds a tensor without dimensions
            buffer[:, :, : filled.shape[-2]] = filled
        return buffer


def buffered_cache(config: PreTrainedConfig, max_length: int) -> DynamicCache:
    """The model's own cache, its full-attention layers buffered; sliding windows and recurrent states stay as is."""
    cache = DynamicCache(config=config)
    cache.layers = [BufferedLayer(max_length) if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
