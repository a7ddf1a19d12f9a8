"""Checks before any computation whether a model folder can be the policy for the given rows.

Its tokenizer must be the one that it was made with, its chat template must accept the messages, and its responses must
be able to end.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chord.errors import UserError
from chord.io.files import read_json
from chord.io.models import load_tokenizer
from chord.rollouts import chat

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)
PROBES = 32  # rows that are tokenised twice, to compare


def policy_tokenizer(folder: str | Path, rows: Sequence[dict]) -> "PreTrainedTokenizerBase":
    """Load the folder's tokenizer, check it on the messages of `rows`, and log what it does to them.

    Raises UserError (one line) if the rows cannot be used with it.
    """
    tokenizer = load_tokenizer(folder)
    check(tokenizer, Path(folder), rows)
    for note in notes(tokenizer, rows):
        log.info("%s: %s", folder, note)
    return tokenizer


def check(tokenizer: "PreTrainedTokenizerBase", folder: Path, rows: Sequence[dict]) -> None:
    """Raises UserError if the tokenizer or the template does not work for these rows.

    That is: transformers tokenizes text differently from tokenizer.json, text is lost, there is no chat template or it
    refuses the rows, or a response would end at an ordinary token or never.
    """
    check_tokens(tokenizer, folder, rows)
    chat.end_token(tokenizer)
    for file, number in declared_ends(folder):
        if number not in chat.added_tokens(tokenizer):
            token = tokenizer.convert_ids_to_tokens(number) if 0 <= number < len(tokenizer) else None
            what = "not in the vocabulary" if token is None else f"the ordinary token {token!r}"
            raise UserError(
                f"{folder / file}: eos_token_id {number} is {what}; expected the id of the end token, such as "
                f"{chat.end_token(tokenizer)} ({chat.added_tokens(tokenizer)[chat.end_token(tokenizer)]})"
            )
    merges = not chat.takes_system(tokenizer)
    for row in rows:
        try:
            chat.render(tokenizer, chat.without_system(row["messages"]) if merges else row["messages"])
        except UserError as error:
            raise UserError(f"row {row.get('id')!r}: {error}") from None


def notes(tokenizer: "PreTrainedTokenizerBase", rows: Sequence[dict]) -> Iterator[str]:
    """Yield a line for each thing that the tokenizer does to these rows and that the rows themselves do not show."""
    if any(row["messages"][0]["role"] == "system" for row in rows) and not chat.takes_system(tokenizer):
        yield "the chat template takes no system message; its text goes before the user's first message"
    if opening_text := chat.opening(tokenizer):
        yield f"the prompt ends in {opening_text!r}; responses are judged with it, and expert responses continue it"
        responses = [row["response"] for row in rows if "response" in row]
        if n_without_opening := sum(not text.lstrip().startswith(chat.THINK) for text in responses):
            yield (f"{n_without_opening} of {len(responses)} expert responses open no thinking, which the prompt opens")
    names, end, of_template = chat.added_tokens(tokenizer), chat.end_token(tokenizer), chat.turn_end(tokenizer)
    if of_template not in (None, end):
        yield (
            f"the chat template ends a reply with {names[of_template]}, the tokenizer with {names[end]}: responses end "
            f"at either, expert responses with {names[end]}"
        )
    special_tokens = chat.special_token_pattern(tokenizer)
    texts = [[message["content"] for message in row["messages"]] + [row.get("response", "")] for row in rows]
    spelling = [row for row in texts if any(map(special_tokens.search, row))]
    if spelling:
        first = next(match for text in spelling[0] if (match := special_tokens.search(text)))
        yield f"{len(spelling)} of {len(rows)} rows spell special tokens ({first[0]}), which are taken as text"


def declared_ends(folder: Path) -> list[tuple[str, int]]:
    """Returns (file, token id) of each end token in the generation configuration, or else in the model's."""
    for name in ("generation_config.json", "config.json"):
        if (folder / name).is_file():
            token_ids = read_json(folder / name).get("eos_token_id")
            return [
                (name, number)
                for number in (token_ids if isinstance(token_ids, list) else [token_ids])
                if number is not None
            ]
    return []


def check_tokens(tokenizer: "PreTrainedTokenizerBase", folder: Path, rows: Sequence[dict]) -> None:
    """Raises UserError if transformers tokenizes the rows differently from tokenizer.json, or produces no tokens."""
    texts = [message["content"] for row in rows[:PROBES] for message in row["messages"]]
    special = chat.special_token_pattern(tokenizer)
    path = folder / "tokenizer.json"
    own_tokenizer = _own_tokenizer(path) if path.is_file() else None
    for text in texts:
        token_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if own_tokenizer is not None and not special.search(text):
            expected = own_tokenizer.encode(text, add_special_tokens=False).ids
            if token_ids != expected:
                raise UserError(
                    f"{folder}: transformers reads its tokenizer as {type(tokenizer).__name__}, which makes "
                    f"{len(token_ids)} tokens of {_quote(text)}, its tokenizer.json {len(expected)} others: for this "
                    "model_type it builds a tokenizer of its own; expected tokenizer_class PreTrainedTokenizerFast in "
                    'tokenizer_config.json, with "auto_map": {"AutoTokenizer": [null, '
                    '"transformers.PreTrainedTokenizerFast"]}'
                )
        if not token_ids and text.strip():
            raise UserError(f"{folder}: its tokenizer makes no tokens of {_quote(text)}")


def _own_tokenizer(path: Path):
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"{path}: expected a tokenizer that can be read ({error})") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _quote(text: str) -> str:
    return json.dumps(text[:40] + "..." * (len(text) > 40), ensure_ascii=False)
