"""Reads datasets in the format of Team-ACE/ToolACE: a system text that lists functions, and a dialogue.

The data is processed like Tool-N1's, which the paper follows (appendix A): the list of functions is taken from the
system text, calls such as `[Weather(city="Rome", days=2)]` become JSON, and rows whose calls name a function not
offered are dropped. Only single-turn dialogues are kept: one message of the user, answered by calls.
"""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chord.data import row_values
from chord.data.hub_folder import read_folder

QUOTES, OPENING, CLOSING = "\"'", "([{", ")]}"


@dataclass(frozen=True)
class ToolAceDialogue:
    """A row. `dropped` says why it is not a single-turn dialogue with valid calls; then the other fields are empty."""

    number: int  # of the row, from 0, over all files
    question: str
    functions: tuple[dict, ...]
    calls: tuple[dict, ...]  # {"name", "arguments"}
    dropped: str | None = None


class UnreadableCall(ValueError):
    """A text in brackets is not a list of calls."""


def read_toolace(folder: Path, globs: tuple[str, ...]) -> Iterator[ToolAceDialogue]:
    for number, (place, raw) in enumerate(read_folder(folder, globs)):
        system = row_values.text(place, raw, "system")
        turns = row_values.value(place, raw, "conversations")
        if not isinstance(turns, list) or not all(
            isinstance(turn, dict) and isinstance(turn.get("from"), str) and isinstance(turn.get("value"), str)
            for turn in turns
        ):
            raise row_values.wrong(place, "conversations", "a list of turns with from and value (text)", turns)
        yield _dialogue(number, system, turns)


def _dialogue(number: int, system: str, turns: list[dict]) -> ToolAceDialogue:
    def dropped(reason: str) -> ToolAceDialogue:
        return ToolAceDialogue(number, "", (), (), reason)

    speakers = [turn["from"] for turn in turns]
    if speakers[:2] != ["user", "assistant"] or speakers.count("user") != 1:
        return dropped("not_single_turn")
    functions = offered_functions(system)
    if not functions:
        return dropped("no_functions")
    reply = turns[1]["value"].strip()
    if not (reply.startswith("[") and reply.endswith("]")):
        return dropped("no_call")
    try:
        calls = read_calls(reply)
    except UnreadableCall:
        return dropped("unreadable_call")
    offered = {function["name"] for function in functions}
    if not calls or any(call["name"] not in offered for call in calls):
        return dropped("call_not_offered")
    return ToolAceDialogue(number, turns[0]["value"], tuple(functions), tuple(calls))


def offered_functions(system: str) -> list[dict]:
    """The first JSON list of functions in the text; empty if there is none."""
    decoder = json.JSONDecoder()
    place = system.find("[")
    while place >= 0:
        try:
            value, _ = decoder.raw_decode(system, place)
        except ValueError:
            value = None
        if isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value):
            return value
        place = system.find("[", place + 1)
    return []


def read_calls(text: str) -> list[dict]:
    """Read `[Name(key=value, ...), ...]` as [{"name", "arguments"}]; raises UnreadableCall.

    Names may contain any character except brackets and commas. Values are Python or JSON literals.
    """
    calls = []
    for part in _split(text.strip()[1:-1]):
        name, bracket, rest = part.partition("(")
        if not bracket or not rest.endswith(")") or not name.strip():
            raise UnreadableCall(part)
        arguments = {}
        for argument in _split(rest[:-1]):
            key, sign, literal = argument.partition("=")
            if not sign or not key.strip():
                raise UnreadableCall(part)
            arguments[key.strip()] = _read_literal(literal.strip())
        calls.append({"name": name.strip(), "arguments": arguments})
    return calls


def _split(text: str) -> list[str]:
    """Split a text at commas outside quotes and brackets."""
    parts, depth, quote, start, place = [], 0, "", 0, 0
    while place < len(text):
        sign = text[place]
        if quote:
            if sign == "\\":
                place += 1
            elif sign == quote:
                quote = ""
        elif sign in QUOTES and text[:place].rstrip()[-1:] in ("=", ",", ":", *OPENING):
            quote = sign  # elsewhere it is an apostrophe
        elif sign in OPENING:
            depth += 1
        elif sign in CLOSING:
            depth -= 1
        elif sign == "," and not depth:
            parts.append(text[start:place].strip())
            start = place + 1
        place += 1
    if depth or quote:
        raise UnreadableCall(text)
    last = text[start:].strip()
    if parts and not last:
        raise UnreadableCall(text)
    return [*parts, last] if last else []


def _read_literal(literal: str) -> object:
    try:
        value = json.loads(literal)
    except ValueError:
        try:
            value = ast.literal_eval(literal)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise UnreadableCall(literal) from None
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):  # a set, bytes, NaN: JSON has no such values
        raise UnreadableCall(literal) from None
    return value
