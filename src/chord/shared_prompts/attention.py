"""Attention over a packed row: a prompt attends to itself once, its responses attend to it and to themselves.

On a GPU this is FlexAttention with a block mask. On a CPU FlexAttention has no backward pass, so there it has two parts
with torch's own flash kernel: every segment attends causally to itself; then the responses of a prompt attend to it,
all at once and without a mask. Both parts give the log-sum-exp of their scores, with which their outputs are merged
exactly. Given the merged output and log-sum-exp, the kernel's backward pass returns each part's share of the gradient
of the whole softmax, because dS = P * (dP - rowsum(dO * O)) needs nothing else of the other part.
"""

import torch
import torch._dynamo
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.flex_attention import flex_attention_forward
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from chord.shared_prompts.layout import Layout

PACKED_ATTENTION = "chord_shared_prompts"
# Variants of the compiled kernel in one process, with torch's own limit of 8 in mind: a model needs up to three for
# lengths, in each precision, with and without gradient. Beyond the limit torch silently computes whole score matrices.
VARIANTS = 64

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    layout: Layout | None = None,
    scaling: float | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """An attention function of transformers. Without a layout it is SDPA; on a CPU both are in fp32, also in autocast.

    query: (1, heads, tokens, head size). key, value: (1, heads of keys, tokens, head size). Returns (1, tokens, heads,
    head size). NotImplementedError if the model's attention is not plain softmax over all earlier tokens.
    """
    if query.device.type == "cpu" and torch.is_autocast_enabled("cpu"):  # bf16 has a slow backward pass there
        with torch.autocast("cpu", enabled=False):
            states = query.float(), key.float(), value.float()
            return attention(module, *states, attention_mask, layout, scaling, **kwargs)
    if layout is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    for name in ("dropout", "sliding_window", "softcap", "s_aux", "position_bias"):
        if kwargs.get(name):
            raise NotImplementedError(f"attention with {name}")
    if value.shape[-1] != query.shape[-1]:
        raise NotImplementedError("attention with values of another size than its queries")
    if query.is_cuda:
        return flex(module, query, key, value, layout, scaling)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    return _TwoParts.apply(query, key, value, layout, scaling), None


AttentionInterface.register(PACKED_ATTENTION, attention)
AttentionMaskInterface.register(PACKED_ATTENTION, sdpa_mask)


def flex(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, layout: Layout, scaling: float | None
) -> tuple[Tensor, Tensor | None]:
    """FlexAttention over a packed row, in the precision of autocast if that is on; arguments as those of `attention`.

    In autocast, rotary embeddings give queries and keys in fp32 while values are in bf16. FlexAttention refuses the
    mixture or computes in fp32, depending on the version of torch.
    Returns the output and the log-sum-exp, which nobody reads.
    """
    if torch.is_autocast_enabled(query.device.type):
        dtype = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    with torch._dynamo.config.patch(recompile_limit=VARIANTS):
        return flex_attention_forward(module, query, key, value, block_mask(layout, query.device), scaling=scaling)


def block_mask(layout: Layout, device: torch.device) -> BlockMask:
    """The layout for FlexAttention."""
    if device not in layout.block_masks:
        own, continued = (numbers.to(device) for numbers in layout.segments)

        def attends(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return ((own[query] == own[key]) & (query >= key)) | (
                (continued[query] == own[key]) & (own[query] != own[key])
            )

        layout.block_masks[device] = create_block_mask(attends, None, None, len(layout), len(layout), device=device)
    return layout.block_masks[device]


class _TwoParts(torch.autograd.Function):
    """Tensors are (repetitions, heads of keys, tokens, head size): keys and values are views, without a copy."""

    @staticmethod
    def forward(ctx, query: Tensor, key: Tensor, value: Tensor, layout: Layout, scaling: float) -> Tensor:
        parts = _by_key_head(query, key.shape[1]), *(_repeated(states, query, key) for states in (key, value))
        own = [_flash(*part, 0.0, True, scale=scaling) for part in _split(layout, *parts)]
        # Kernels write (repetitions, tokens, heads, head size); the model reads (1, tokens, heads, head size).
        output = torch.cat([out.permute(2, 1, 0, 3) for out, _ in own])
        lse = torch.cat([lse for _, lse in own], dim=-1)
        for tokens, prompt in layout.continued:
            q, k, v = parts[0][:, :, tokens], parts[1][:, :, prompt], parts[2][:, :, prompt]
            out, prompt_lse = _flash(q, k, v, 0.0, False, scale=scaling)
            merged = torch.logaddexp(lse[..., tokens], prompt_lse)
            output[tokens] *= (lse[..., tokens] - merged).exp().permute(2, 1, 0).unsqueeze(-1)
            output[tokens] += (out * (prompt_lse - merged).exp().unsqueeze(-1)).permute(2, 1, 0, 3)
            lse[..., tokens] = merged
        ctx.save_for_backward(query, key, value, output, lse)
        ctx.layout, ctx.scaling = layout, scaling
        return output.reshape(1, *output.shape[:1], -1, output.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        query, key, value, output, lse = ctx.saved_tensors
        layout, heads = ctx.layout, key.shape[1]
        output = output.permute(2, 1, 0, 3)
        gradient = _by_key_head(gradient.transpose(1, 2), heads)
        q, k, v = _by_key_head(query, heads), _repeated(key, query, key), _repeated(value, query, key)
        own = [
            _flash_backward(*states, segment_lse, 0.0, True, scale=ctx.scaling)
            for states, segment_lse in zip(
                _split(layout, gradient, q, k, v, output), lse.split(layout.lengths, dim=-1), strict=True
            )
        ]
        d_query, d_key, d_value = (torch.cat(parts, dim=2) for parts in zip(*own, strict=True))
        for tokens, prompt in layout.continued:
            parts = _flash_backward(
                gradient[:, :, tokens],
                q[:, :, tokens],
                k[:, :, prompt],
                v[:, :, prompt],
                output[:, :, tokens],
                lse[..., tokens],
                0.0,
                False,
                scale=ctx.scaling,
            )
            for total, places, part in zip((d_query, d_key, d_value), (tokens, prompt, prompt), parts, strict=True):
                total[:, :, places] += part
        d_query = d_query.transpose(0, 1).reshape(query.shape)
        return d_query, d_key.sum(0, keepdim=True), d_value.sum(0, keepdim=True), None, None


def _by_key_head(states: Tensor, heads: int) -> Tensor:
    """(1, heads, tokens, size) -> (repetitions, heads of keys, tokens, size), a view. Neighbours share a key's head."""
    return states[0].unflatten(0, (heads, -1)).transpose(0, 1)


def _repeated(states: Tensor, query: Tensor, key: Tensor) -> Tensor:
    return states.expand(query.shape[1] // key.shape[1], -1, -1, -1)


def _split(layout: Layout, *tensors: Tensor) -> zip:
    """The tensors of each segment."""
    return zip(*(states.split(layout.lengths, dim=2) for states in tensors), strict=True)
