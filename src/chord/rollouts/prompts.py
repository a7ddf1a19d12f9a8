"""From a row's chat messages to the token ids a model continues. Training, validation and evaluation share it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from chord.errors import UserError
from chord.rollouts.chat import prompts_ids
from chord.rollouts.engine import Decoding

if TYPE_CHECKING:  # the type only: scoring must not load transformers
    from transformers import PreTrainedTokenizerBase


def encode_prompts(tokenizer: "PreTrainedTokenizerBase", rows: Iterable[dict]) -> list[list[int]]:
    """Token ids of `row["messages"]` under the chat template, up to where the answer begins."""
    return prompts_ids(tokenizer, (row["messages"] for row in rows))


def check_lengths(prompt_ids: list[list[int]], decoding: Decoding, limit: int) -> None:
    """UserError if a prompt is empty, or with its response longer than the `limit` positions of the model."""
    lengths = [len(ids) for ids in prompt_ids]
    if 0 in lengths:
        raise UserError(f"prompt {lengths.index(0)} has no tokens")
    needed = max(lengths, default=0) + decoding.max_response_tokens
    if needed > limit:
        raise UserError(
            f"the longest prompt and max_response_tokens = {decoding.max_response_tokens} need {needed} positions, "
            f"the model has {limit}"
        )
