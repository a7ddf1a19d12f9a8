"""Groups of responses in one row without padding, in which each prompt stands once.

The row holds, group by group, all tokens of the prompt but the last, and then for each response the prompt's last token
and all tokens of the response but the last. So each token behind a prompt has exactly one label, the token of the
response that follows it, and no token is computed whose prediction nobody reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask


@dataclass(frozen=True)
class Layout:
    """Which tokens of a packed row attend to which.

    The row consists of segments. A token attends to itself and the earlier tokens of its own segment, and to all
    tokens of the prompt segment that its own segment continues, if there is one.
    """

    lengths: list[int]  # tokens of each segment, in the order of the row
    continued: list[tuple[slice, slice]]  # (tokens, tokens of the prompt segment that they continue)
    response_tokens: list[int]  # the places in the row whose predictions are read
    block_masks: dict[torch.device, BlockMask] = field(default_factory=dict, compare=False)  # a cache of `attention`

    def __len__(self) -> int:
        return sum(self.lengths)

    @cached_property
    def segments(self) -> tuple[Tensor, Tensor]:
        """For each token, (tokens,): the number of its segment, and of the one that it continues, or else its own."""
        own = torch.repeat_interleave(torch.arange(len(self.lengths)), torch.tensor(self.lengths))
        continued = own.clone()
        for tokens, prompt in self.continued:
            continued[tokens] = own[prompt.start]
        return own, continued


@dataclass(frozen=True)
class PackedRow:
    """A batch of one row, on which a model is called with `inputs`."""

    input_ids: list[int]
    position_ids: list[int]  # of each token, as if its prompt and response stood alone
    labels: list[int]  # the token after each of the layout's response tokens
    lengths: list[int]  # labels of each response
    layout: Layout

    def inputs(self, device: torch.device) -> dict:
        """Arguments for a model that was given to `share_prompts`: its outputs are those before each label."""
        return {
            "input_ids": torch.tensor([self.input_ids], device=device),
            "position_ids": torch.tensor([self.position_ids], device=device),
            # Models hand a mask of four dimensions to the attention function as it is. Ours reads the layout instead.
            "attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device),
            "layout": self.layout,
            "use_cache": False,
        }


def pack(groups: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]]) -> PackedRow:
    """Pack groups of (prompt token ids, [response token ids, ...]); prompts have at least one token."""
    input_ids: list[int] = []
    position_ids: list[int] = []
    response_tokens: list[int] = []
    lengths: list[int] = []
    continued: list[tuple[slice, slice]] = []
    for prompt, responses in groups:
        responses = [response for response in responses if len(response)]
        if not responses:
            continue
        shared = prompt[:-1]
        start, first = len(input_ids), len(input_ids) + len(shared)
        input_ids += shared
        position_ids += range(len(shared))
        for response in responses:
            response_tokens += range(len(input_ids), len(input_ids) + len(response))
            input_ids += [prompt[-1], *response[:-1]]
            position_ids += range(len(shared), len(shared) + len(response))
        if len(responses) == 1 or not shared:
            lengths += [len(shared) + len(responses[0]), *map(len, responses[1:])]
        else:
            lengths += [len(shared), *map(len, responses)]
            continued.append((slice(first, len(input_ids)), slice(start, first)))
    everything = [list(response) for _, responses in groups for response in responses]
    return PackedRow(
        input_ids,
        position_ids,
        [token for response in everything for token in response],
        list(map(len, everything)),
        Layout(lengths, continued, response_tokens),
    )
