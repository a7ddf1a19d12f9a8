"""The rows of a batch on their way: the prompts go through the model once, then every row takes a token at a time.

`generate` of transformers prefills every row, and in each step it prepares masks, copies the sequences and checks
criteria for all rows until the last one has ended.
"""

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from chord.rollouts.cache import expand
from chord.rollouts.prompt_groups import GROUPED_ATTENTION, PromptGroups, reads_prompts_together


class Continuation:
    """Rows that continue prompts: the logits of their next tokens, (rows, vocabulary), are in `logits`."""

    def __init__(self, model: PreTrainedModel, prompts: list[list[int]], max_tokens: int, pad_token_id: int):
        """prompts: one a row; equal ones are computed once. max_tokens: the most that a row will take."""
        self.model = model
        distinct = {tuple(ids): place for place, ids in enumerate(dict.fromkeys(map(tuple, prompts)))}
        width = max(map(len, distinct))
        # Left padding: the responses start in the same column.
        padding = [width - len(ids) for ids in distinct]
        ids = [[pad_token_id] * n + list(ids) for n, ids in zip(padding, distinct, strict=True)]
        mask = [[0] * n + [1] * (width - n) for n in padding]
        ids, mask = (torch.tensor(part, device=model.device) for part in (ids, mask))
        prompt_of_row = torch.tensor([distinct[tuple(ids)] for ids in prompts], device=model.device)
        self.groups: PromptGroups | None = None
        self.cache = DynamicCache(config=model.config)
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        self.logits = self._forward(ids, attention_mask=mask, position_ids=positions)[prompt_of_row]
        self.positions = positions[prompt_of_row, -1:]
        self.length = width
        if reads_prompts_together(model):
            self.groups = PromptGroups(self.cache, mask, prompt_of_row)
            self.cache = self.groups.own_cache(max_tokens)
        else:
            self.mask = torch.cat([mask[prompt_of_row], mask.new_ones(len(prompts), max_tokens)], dim=1)
            expand(self.cache, prompt_of_row, width + max_tokens)

    def append(self, tokens: Tensor) -> None:
        """Continue each row with its token, (rows,)."""
        self.positions = self.positions + 1
        self.length += 1
        if self.groups is None:
            self.logits = self._forward(
                tokens[:, None], attention_mask=self.mask[:, : self.length], position_ids=self.positions
            )
            return
        config = self.model.config
        usual, config._attn_implementation = config._attn_implementation, GROUPED_ATTENTION
        try:
            self.logits = self._forward(tokens[:, None], position_ids=self.positions, prompt_groups=self.groups)
        finally:
            config._attn_implementation = usual

    def keep(self, rows: Tensor) -> None:
        """Keep these rows, in this order; the memory of the others is free for those that stay."""
        self.positions = self.positions[rows]
        self.cache.reorder_cache(rows)
        if self.groups is None:
            self.mask = self.mask[rows]
        else:
            self.groups.keep(rows)

    def _forward(self, token_ids: Tensor, **inputs: object) -> Tensor:
        """The logits of the last position; the keys and values of all positions go into the cache."""
        return (
            self.model(
                token_ids,
                past_key_values=self.cache,
                use_cache=True,  # a training configuration may have switched it off
                logits_to_keep=1,
                **inputs,
            )
            .logits[:, -1]
            .float()
        )
