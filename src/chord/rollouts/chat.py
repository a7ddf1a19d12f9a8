"""Turns messages into the tokens that a policy continues, and its tokens into the text that is judged.

What a chat template does is inferred from what it renders, never from the name of a model: whether it accepts a system
message, whether its prompt already opens the thinking, which token ends a turn.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from chord.errors import UserError

if TYPE_CHECKING:  # only for the type: scoring must not load transformers
    from transformers import PreTrainedTokenizerBase

THINK, END_THINK = "<think>", "</think>"
# The tags of our tasks' formats. They are text of a response even if the vocabulary has them as special tokens.
MARKS = (THINK, END_THINK, "<tool_call>", "</tool_call>")
# These surround the spelling of a special token in a message until it is tokenised: Unicode assigns them no use.
OPEN, CLOSE = "\ufdd0", "\ufdd1"
PROBE_SYSTEM, PROBE_USER, PROBE_REPLY = "qxsystemxq", "qxuserxq", "qxreplyxq"


def render(tokenizer: "PreTrainedTokenizerBase", messages: Sequence[dict], answering: bool = True) -> str:
    """Render the conversation with the chat template. answering: up to where the answer begins.

    Raises UserError if there is no template, or if it refuses the messages.
    """
    name = tokenizer.name_or_path
    if not tokenizer.chat_template:
        raise UserError(
            f"{name}: its tokenizer has no chat template; expected chat_template.jinja in the model folder, or "
            "chat_template in its tokenizer_config.json"
        )
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answering)
    except (TemplateError, TypeError, ValueError) as error:
        roles = ", ".join(message["role"] for message in messages)
        raise UserError(f"{name}: its chat template refuses messages of {roles} ({_first_line(error)})") from None


def takes_system(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether a system message reaches the prompt: some templates refuse it, others drop it."""
    messages = [{"role": "system", "content": PROBE_SYSTEM}, {"role": "user", "content": PROBE_USER}]
    try:
        return PROBE_SYSTEM in render(tokenizer, messages)
    except UserError:
        render(tokenizer, messages[1:])  # raises if the system message is not the problem
        return False


def without_system(messages: Sequence[dict]) -> list[dict]:
    """The messages with the text of the system message at the beginning of the user's first one."""
    if not messages or messages[0]["role"] != "system":
        return list(messages)
    system, *rest = messages
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system["content"]}, *rest]
    return [{"role": "user", "content": f"{system['content']}\n\n{rest[0]['content']}"}, *rest[1:]]


def opening(tokenizer: "PreTrainedTokenizerBase") -> str:
    """The part of the thinking that the prompt opens: "<think>" and what follows it; "" if the response opens it."""
    if not tokenizer.chat_template:
        return ""  # then there are no prompts
    tail = render(tokenizer, [{"role": "user", "content": PROBE_USER}]).rpartition(PROBE_USER)[2]
    _, mark, rest = tail.rpartition(THINK)
    return mark + rest if mark and END_THINK not in rest else ""


def turn_end(tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """The token with which the template ends a reply; None if it ends a reply without one."""
    messages = [{"role": "user", "content": PROBE_USER}, {"role": "assistant", "content": PROBE_REPLY}]
    try:
        tail = render(tokenizer, messages, answering=False).rpartition(PROBE_REPLY)[2].lstrip()
    except UserError:
        return None  # there is no template, or it accepts no reply, which no prompt needs
    endings = [token for token in added_tokens(tokenizer).items() if tail.startswith(token[1])]
    return max(endings, key=lambda token: len(token[1]))[0] if endings else None


def added_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[int, str]:
    """The tokens that are not pieces of words: id -> spelling."""
    special = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
    return {number: token.content for number, token in tokenizer.added_tokens_decoder.items()} | dict(special)


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[int, str]:
    """The added tokens that no text should contain: id -> spelling. MARKS of our formats are not among them."""
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    special |= set(tokenizer.all_special_ids)
    return {number: text for number, text in added_tokens(tokenizer).items() if number in special and text not in MARKS}


def special_token_pattern(tokenizer: "PreTrainedTokenizerBase") -> re.Pattern:
    """A pattern for texts that the tokenizer would turn into special tokens, which could end or begin a turn."""
    texts = sorted(filter(None, special_tokens(tokenizer).values()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, texts)) or r"(?!)")


def encode_prompts(tokenizer: "PreTrainedTokenizerBase", rows: Iterable[dict]) -> list[list[int]]:
    """The token ids of each row's `messages` under the chat template, up to where the answer begins.

    Special tokens come only from the template: if a message spells one, it is text. If the template accepts no system
    message, its text goes before the user's first message.
    """
    merges, special = not takes_system(tokenizer), special_token_pattern(tokenizer)
    token_ids = []
    for row in rows:
        messages = without_system(row["messages"]) if merges else row["messages"]
        marked_messages = [
            message | {"content": special.sub(rf"{OPEN}\g<0>{CLOSE}", message["content"])} for message in messages
        ]
        token_ids.append(
            _ids(tokenizer, re.split(f"{OPEN}({special.pattern}){CLOSE}", render(tokenizer, marked_messages)))
        )
    return token_ids


def response_ids(tokenizer: "PreTrainedTokenizerBase", texts: Iterable[str]) -> list[list[int]]:
    """The token ids of each response as the policy would have produced it after its prompt, with the end token.

    They omit what the prompt already opens. A special token that the text spells is text, except an end token at its
    very end, which is not repeated.
    """
    opening_text, special, end = opening(tokenizer), special_token_pattern(tokenizer), end_token(tokenizer)
    ends = {added_tokens(tokenizer)[number] for number in {end, turn_end(tokenizer)} - {None}}
    token_ids = []
    for text in texts:
        if opening_text and text.lstrip().startswith(THINK):
            text = text.lstrip().removeprefix(THINK).removeprefix(opening_text.removeprefix(THINK))
        last = next((one for one in ends if text.endswith(one)), "")
        pieces = re.split(f"({special.pattern})", text.removesuffix(last))
        token_ids.append([*_ids(tokenizer, pieces), end])
    return token_ids


def end_token(tokenizer: "PreTrainedTokenizerBase") -> int:
    """The token that ends an expert's response: the tokenizer's end token, or the template's if there is none."""
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else turn_end(tokenizer)
    if end is None:
        raise UserError(
            f"{tokenizer.name_or_path}: no end token: its tokenizer names no eos_token, and its chat template ends "
            "replies without one"
        )
    return end


def response_texts(tokenizer: "PreTrainedTokenizerBase", token_ids: Sequence[Sequence[int]]) -> list[str]:
    """The responses as the text that is judged.

    The text begins with what the prompt opens. It has no end tokens and other special tokens, but it has the MARKS of
    our formats, even if they are special tokens.
    """
    hidden = special_tokens(tokenizer).keys()
    special_marks = set(MARKS) & {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    if special_marks:
        text_ids = [[number for number in ids if number not in hidden] for ids in token_ids]
        texts = tokenizer.batch_decode(text_ids, skip_special_tokens=False)
    else:
        texts = tokenizer.batch_decode([list(ids) for ids in token_ids], skip_special_tokens=True)
    opening_text = opening(tokenizer)
    return [opening_text + text for text in texts]


def _ids(tokenizer: "PreTrainedTokenizerBase", pieces: Sequence[str]) -> list[int]:
    """The token ids of a text in pieces, every second of which spells a special token and is tokenised as text."""
    token_ids: list[int] = []
    for place, piece in enumerate(pieces):
        if piece:
            options = {"split_special_tokens": True} if place % 2 else {}
            token_ids += tokenizer(piece, add_special_tokens=False, **options)["input_ids"]
    return token_ids


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
