"""From a row's chat messages to the token ids a model continues. Training, validation and evaluation share it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the type only: scoring must not load transformers
    from transformers import PreTrainedTokenizerBase


def encode_prompts(tokenizer: "PreTrainedTokenizerBase", rows: Iterable[dict]) -> list[list[int]]:
    """Token ids of `row["messages"]` under the chat template, up to where the answer begins."""
    return [
        list(tokenizer.apply_chat_template(row["messages"], add_generation_prompt=True, return_dict=False))
        for row in rows
    ]
