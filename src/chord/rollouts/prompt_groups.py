"""Attention of a decode step in which all rows of a prompt read its keys and values together, from one copy.

A row's attention has two parts, its prompt and its own response. The queries of a group meet the prompt in one product,
and the parts are merged by the logarithms of their normalisers, so the result is that of full rows up to rounding. The
query heads that share a key head are folded into the query length: the stock path of transformers copies keys and
values for each query head, the whole cache at every step. On a CPU that is most of a rollout with long prompts.
"""

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from chord.rollouts.cache import BufferedLayer, remaining, select_in_place
from chord.shared_prompts.attention import PACKED_ATTENTION

GROUPED_ATTENTION = "chord_prompt_groups"
# Models whose attention is softmax(q k / scale) v of every layer, behind transformers' attention interface. Others may
# have biases, sinks or caps of their own; their rows get copies of the prompt.
MODEL_TYPES = {"llama", "mistral", "qwen2", "qwen3", "smollm3"}


class PromptGroups:
    """The keys and values of the distinct prompts of a batch, and which rows continue which prompt."""

    def __init__(self, prefill: DynamicCache, mask: Tensor, prompt_of_row: Tensor):
        """prefill: cache of the prompts. mask: (prompts, width), 0 at padding. prompt_of_row: (rows,)."""
        self.states = [(layer.keys.float(), layer.values.float()) for layer in prefill.layers]
        self.bias = None
        if not mask.all():
            self.bias = torch.zeros(mask.shape).masked_fill(mask == 0, -torch.inf)[:, None, None]
        self._assign(prompt_of_row)

    def own_cache(self, capacity: int) -> DynamicCache:
        """An empty cache for the responses of all rows."""
        cache = DynamicCache()
        cache.layers = [
            BufferedLayer(keys[:, :, :0], values[:, :, :0], self.prompt_of_row, capacity)
            for keys, values in self.states
        ]
        return cache

    def keep(self, rows: Tensor) -> None:
        """Keep these rows, in this order; prompts without rows leave, in place."""
        prompt_of_row = self.prompt_of_row[rows]
        kept = remaining(torch.bincount(prompt_of_row, minlength=len(self.states[0][0])) > 0)
        if len(kept) < len(self.states[0][0]):
            self.states = [tuple(select_in_place(part, kept) for part in layer) for layer in self.states]
            self.bias = None if self.bias is None else self.bias[kept]
            prompt_of_row = (prompt_of_row[:, None] == kept).nonzero()[:, 1]
        self._assign(prompt_of_row)

    def _assign(self, prompt_of_row: Tensor) -> None:
        """Give each row a slot of its prompt; groups smaller than the largest one repeat the first row of the batch."""
        self.prompt_of_row = prompt_of_row
        order = prompt_of_row.argsort(stable=True)
        counts = torch.bincount(prompt_of_row)
        width = int(counts.max())
        firsts = (counts.cumsum(0) - counts)[prompt_of_row[order]]
        slots = prompt_of_row[order] * width + torch.arange(len(order), device=order.device) - firsts
        self.row_of_slot = order.new_zeros(len(counts), width)
        self.row_of_slot.view(-1)[slots] = order
        self.slot_of_row = torch.empty_like(slots)
        self.slot_of_row[order] = slots

    def attend(self, layer: int, query: Tensor, scaling: float) -> tuple[Tensor, Tensor]:
        """(rows, key heads, folded heads, head size) -> attention to the prompt, and its log normalisers, in fp32."""
        prompts, width = self.row_of_slot.shape
        heads, folded, size = query.shape[1:]
        grouped = query[self.row_of_slot].transpose(1, 2).reshape(prompts, heads, width * folded, size)
        output, log_sum = _attention(grouped, *self.states[layer], self.bias, scaling)
        parts = (part.view(prompts, heads, width, folded, -1).transpose(1, 2) for part in (output, log_sum))
        return tuple(part.reshape(prompts * width, heads, folded, -1)[self.slot_of_row] for part in parts)


def reads_prompts_together(model: PreTrainedModel) -> bool:
    """True if the rows of this model can read their prompts together: on a CPU, with attention in fp32.

    In bf16 the order of roundings moves a log-probability as much as bf16 itself does, and samples should come from the
    very distribution that a trainer computes: there the attention stays that of full rows. The attention of a model
    that trains with shared prompts is in fp32 also under autocast.
    """
    return (
        model.device.type == "cpu"
        and model.dtype == torch.float32
        and (not torch.is_autocast_enabled("cpu") or model.config._attn_implementation == PACKED_ATTENTION)
        and model.config.model_type in MODEL_TYPES
        and all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)
    )


def _attention(
    query: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None, scaling: float
) -> tuple[Tensor, Tensor]:
    """Attention and the logarithms of its normalisers, which the public function does not return."""
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, keys, values, attn_mask=bias, scale=scaling
    )


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    scaling: float,
    prompt_groups: PromptGroups,
    **_: object,
) -> tuple[Tensor, None]:
    """The attention function that transformers calls: one query a row; keys and values are those of the response.

    No row has padding in its response, because all responses begin in the same step.
    """
    rows, heads, _, size = query.shape
    query = query.float().reshape(rows, key.shape[1], -1, size)
    own, own_log_sum = _attention(query, key, value, None, scaling)
    prompt, prompt_log_sum = prompt_groups.attend(module.layer_idx, query, scaling)
    share = (prompt_log_sum - own_log_sum[..., None]).sigmoid()
    return torch.lerp(own, prompt, share).view(rows, 1, heads, size), None


AttentionInterface.register(GROUPED_ATTENTION, _attend)
