"""A policy's chat: from messages to the tokens that it continues, and from its tokens to the text that is judged.

What a chat template does is read from what it renders, never from the name of a model: whether it takes a system
message, whether its prompt opens the thinking already, which token ends a turn.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from chord.errors import UserError

if TYPE_CHECKING:  # the type only: scoring must not load transformers
    from transformers import PreTrainedTokenizerBase

THINK, END_THINK = "<think>", "</think>"
# The tags of our tasks' formats. Where a vocabulary has them as special tokens they are still text of a response.
MARKS = (THINK, END_THINK, "<tool_call>", "</tool_call>")
# Around a special token's spelling in a message until it is tokenised: characters that Unicode keeps free of any use.
OPEN, CLOSE = "\ufdd0", "\ufdd1"
PROBE_SYSTEM, PROBE_USER, PROBE_REPLY = "qxsystemxq", "qxuserxq", "qxreplyxq"


def render(tokenizer: "PreTrainedTokenizerBase", messages: Sequence[dict], answering: bool = True) -> str:
    """The conversation under the chat template; answering: up to where the answer begins.

    UserError where there is no template, or where it refuses the messages.
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
    """Whether a system message reaches the prompt: templates refuse it, or leave it out."""
    messages = [{"role": "system", "content": PROBE_SYSTEM}, {"role": "user", "content": PROBE_USER}]
    try:
        return PROBE_SYSTEM in render(tokenizer, messages)
    except UserError:
        render(tokenizer, messages[1:])  # else it is not the system message that is wrong
        return False


def without_system(messages: Sequence[dict]) -> list[dict]:
    """The messages with the text of the system message at the head of the user's first one."""
    if not messages or messages[0]["role"] != "system":
        return list(messages)
    system, *rest = messages
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system["content"]}, *rest]
    return [{"role": "user", "content": f"{system['content']}\n\n{rest[0]['content']}"}, *rest[1:]]


def opening(tokenizer: "PreTrainedTokenizerBase") -> str:
    """What the prompt has opened of the thinking: "<think>" and what follows it there; "" where it is left to the
    response."""
    if not tokenizer.chat_template:
        return ""  # there are no prompts, then
    tail = render(tokenizer, [{"role": "user", "content": PROBE_USER}]).rpartition(PROBE_USER)[2]
    _, mark, rest = tail.rpartition(THINK)
    return mark + rest if mark and END_THINK not in rest else ""


def turn_end(tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """The token by which the template ends a reply; None where it ends it by none."""
    messages = [{"role": "user", "content": PROBE_USER}, {"role": "assistant", "content": PROBE_REPLY}]
    try:
        tail = render(tokenizer, messages, answering=False).rpartition(PROBE_REPLY)[2].lstrip()
    except UserError:
        return None  # there is no template, or it takes no reply, of which no prompt needs one
    ends = [token for token in added_tokens(tokenizer).items() if tail.startswith(token[1])]
    return max(ends, key=lambda token: len(token[1]))[0] if ends else None


def added_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[int, str]:
    """Tokens that are no pieces of words: id -> spelling."""
    special = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
    return {number: token.content for number, token in tokenizer.added_tokens_decoder.items()} | dict(special)


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[int, str]:
    """Those of `added_tokens` that no text should hold: id -> spelling. Marks of our formats are not among them."""
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    special |= set(tokenizer.all_special_ids)
    return {number: text for number, text in added_tokens(tokenizer).items() if number in special and text not in MARKS}


def spelled(tokenizer: "PreTrainedTokenizerBase") -> re.Pattern:
    """Matches what text would turn into a special token, which would end or begin turns in it."""
    texts = sorted(filter(None, special_tokens(tokenizer).values()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, texts)) or r"(?!)")


def encode_prompts(tokenizer: "PreTrainedTokenizerBase", rows: Iterable[dict]) -> list[list[int]]:
    """Token ids of each row's `messages` under the chat template, up to where the answer begins.

    Special tokens come from the template alone: where a message spells one, it is text. Where the template takes no
    system message, its text opens the user's first one.
    """
    merges, special = not takes_system(tokenizer), spelled(tokenizer)
    prompts = []
    for row in rows:
        messages = without_system(row["messages"]) if merges else row["messages"]
        marked = [
            message | {"content": special.sub(rf"{OPEN}\g<0>{CLOSE}", message["content"])} for message in messages
        ]
        prompts.append(_ids(tokenizer, re.split(f"{OPEN}({special.pattern}){CLOSE}", render(tokenizer, marked))))
    return prompts


def response_ids(tokenizer: "PreTrainedTokenizerBase", texts: Iterable[str]) -> list[list[int]]:
    """Token ids of each response as the policy would have produced it after its prompt, with the end token.

    Without what the prompt opens already. A special token that the text spells is text, but for an end token at its
    very end, which is not repeated.
    """
    opened, special, end = opening(tokenizer), spelled(tokenizer), end_token(tokenizer)
    ends = {added_tokens(tokenizer)[number] for number in {end, turn_end(tokenizer)} - {None}}
    responses = []
    for text in texts:
        if opened and text.lstrip().startswith(THINK):
            text = text.lstrip().removeprefix(THINK).removeprefix(opened.removeprefix(THINK))
        last = next((one for one in ends if text.endswith(one)), "")
        pieces = re.split(f"({special.pattern})", text.removesuffix(last))
        responses.append([*_ids(tokenizer, pieces), end])
    return responses


def end_token(tokenizer: "PreTrainedTokenizerBase") -> int:
    """What ends an expert's response: the tokenizer's end token, without one the template's."""
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else turn_end(tokenizer)
    if end is None:
        raise UserError(
            f"{tokenizer.name_or_path}: no end token: its tokenizer names no eos_token, and its chat template ends a "
            "reply by none"
        )
    return end


def response_texts(tokenizer: "PreTrainedTokenizerBase", token_ids: Sequence[Sequence[int]]) -> list[str]:
    """What is judged: the responses as text, with what the prompt has opened of them, without end tokens and other
    special ones, with the marks of our formats whatever tokens they are."""
    hidden = special_tokens(tokenizer).keys()
    special_marks = set(MARKS) & {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    if special_marks:
        visible = [[number for number in ids if number not in hidden] for ids in token_ids]
        texts = tokenizer.batch_decode(visible, skip_special_tokens=False)
    else:
        texts = tokenizer.batch_decode([list(ids) for ids in token_ids], skip_special_tokens=True)
    opened = opening(tokenizer)
    return [opened + text for text in texts]


def _ids(tokenizer: "PreTrainedTokenizerBase", pieces: Sequence[str]) -> list[int]:
    """Token ids of a text in pieces, every second of which spells a special token and is meant as text."""
    ids: list[int] = []
    for place, piece in enumerate(pieces):
        if piece:
            more = {"split_special_tokens": True} if place % 2 else {}
            ids += tokenizer(piece, add_special_tokens=False, **more)["input_ids"]
    return ids


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
