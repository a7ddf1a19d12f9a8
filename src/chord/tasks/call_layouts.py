"""Reads function calls in the layouts that models and APIs use, as `{"name", "arguments"}`.

This is for grading finished predictions. The reward in training accepts only Tool-N1's format (`tool_format`).
"""

import ast
import re
from collections.abc import Iterator
from json import JSONDecoder
from typing import Any

from chord.errors import UserError
from chord.tasks.tool_format import blocks, read_json

_NAMES, _ARGUMENTS = ("name", "function", "tool", "tool_name"), ("arguments", "parameters", "args", "input", "kwargs")
_MORE = {"type", "id", "call_id", "index", "status"}  # what else an API says about a call
_FENCE = re.compile(r"```[\w-]*[ \t]*\n?(.*?)```", re.DOTALL)
_SIGNS = re.compile(r"<\|?[\w｜▁ /]{1,30}\|?>|\[/?TOOL_CALLS?\]|\bfunctools(?=\[)")  # marks of chat templates
_CALL = re.compile(r"\[?\s*[A-Za-z_][\w.]*\s*\(.*\)\s*\]?", re.DOTALL)
_OPENING = re.compile(r"[\[{]")
_LONG = 20_000  # most characters of Python that are parsed


class NoCallError(UserError):
    """A value has objects in it that are not calls in any known layout."""


def calls_in(prediction: Any, offered_names: set[str]) -> list[dict] | None:
    """The calls of a prediction: a JSON value, or a text with one in it. None for a text that calls nothing.

    offered_names: names of the functions, which tell `{name: arguments}` from any other object in a sentence. A value
    is a call or a list of calls, as `{name, arguments}` (the arguments may be JSON text), as OpenAI's `tool_calls`, or
    as `{name: arguments}`. In a text it stands as it is, in a code fence, in `<tool_call>`, or as `name(key=value)`.
    Raises UserError for other objects, so that no unknown layout silently counts as a wrong answer.
    """
    return _calls_in_text(prediction, offered_names) if isinstance(prediction, str) else read_calls(prediction)


def read_calls(value: Any) -> list[dict]:
    """The calls of a JSON value: a call, a list of calls, or a message with calls. Raises NoCallError for others."""
    if isinstance(value, dict) and "tool_calls" in value:
        value = value["tool_calls"] or []
    elif isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise NoCallError(f"expected a list of calls {{name, arguments}}, got {_shorten(value)}")
    return [call for item in value for call in _read_call(item)]


def _read_call(item: Any) -> Iterator[dict]:
    if not isinstance(item, dict):
        raise NoCallError(f"expected a call {{name, arguments}}, got {_shorten(item)}")
    fields = {key: value for key, value in item.items() if key not in _MORE}
    if len(fields) == 1:
        ((key, inner),) = fields.items()
        if key in ("function", "function_call") and isinstance(inner, dict):  # OpenAI's
            yield from _read_call(inner)
            return
    names = [key for key in _NAMES if isinstance(item.get(key), str)]
    arguments = [key for key in _ARGUMENTS if key in item]
    if len(names) == len(arguments) == 1 and set(fields) == {names[0], arguments[0]}:
        yield {"name": item[names[0]], "arguments": _read_arguments(item[arguments[0]], item)}
    elif fields == item and item and not (names or arguments):  # {name: arguments}, one key for each call
        for name, inner in item.items():
            yield {"name": name, "arguments": _read_arguments(inner, item)}
    else:
        raise NoCallError(f"expected a call {{name, arguments}}, got {_shorten(item)}")


def _read_arguments(arguments: Any, item: dict) -> dict:
    """The arguments as an object; they may be written as JSON text."""
    value = read_json(arguments) if isinstance(arguments, str) else arguments
    if not isinstance(value, dict):
        raise NoCallError(f"expected arguments as an object or its JSON text, got {_shorten(item)}")
    return value


def _calls_in_text(text: str, offered_names: set[str]) -> list[dict] | None:
    text = text.rpartition("</think>")[2]
    if "<think>" in text:
        return None
    if "<tool_call>" in text:
        values = [value for value in blocks(text) if value is not None]
        if not values:
            return None
        if len(values) > 1 and any(isinstance(value, list) for value in values):
            raise UserError("expected one list of calls, got several in <tool_call>")
        return [call for value in values for call in read_calls(_read_nested(value))]
    content = _read_nested(read_json(_SIGNS.sub("", text)))
    if content is None:
        in_fences = [value for part in _FENCE.findall(text) if (value := read_json(part)) is not None]
        values = in_fences or list(_json_values(text))
        call_lists = [calls for value in values if (calls := _calls_if_offered(value, offered_names)) is not None]
        if len(call_lists) > 1:
            raise UserError("expected calls in one place, got calls in several places")
        return call_lists[0] if call_lists else _read_python(text, offered_names)
    if isinstance(content, list | dict) and _contains_objects(content):
        return read_calls(content)
    return [] if content == [] else None


def _read_nested(value: Any) -> Any:
    """Read a value that is JSON inside a JSON text; return any other value unchanged."""
    return read_json(value) if isinstance(value, str) else value


def _contains_objects(value: list | dict) -> bool:
    return bool(value) if isinstance(value, dict) else any(isinstance(item, dict) for item in value)


def _calls_if_offered(value: Any, offered_names: set[str]) -> list[dict] | None:
    """The calls of a value between sentences, which may be any JSON; None if it has none.

    `{name: arguments}` is a call only if the name is that of a function that is offered.
    """
    try:
        calls = read_calls(value)
    except NoCallError:
        return None
    items = value if isinstance(value, list) else [value]
    plain = any({"name", "arguments"} <= item.keys() or {"function", "tool_calls"} & item.keys() for item in items)
    return calls if calls and (plain or any(call["name"] in offered_names for call in calls)) else None


def _json_values(text: str) -> Iterator[Any]:
    """Yield each outermost JSON list or object in a text."""
    decoder, place, failures = JSONDecoder(), 0, 0
    while failures < 100 and (opening := _OPENING.search(text, place)):
        try:
            value, place = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            place, failures = opening.end(), failures + 1
            continue
        yield value


def _read_python(text: str, offered_names: set[str]) -> list[dict] | None:
    """Read calls such as `[f(a=1), g(b="x")]`, BFCL's layout for models that are asked for Python."""
    parts = _FENCE.findall(text)
    text = (parts[0] if len(parts) == 1 else text).strip()
    if len(text) > _LONG or not _CALL.fullmatch(text):
        return None
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    nodes = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
    if not all(isinstance(node, ast.Call) for node in nodes):
        return None
    names = [ast.unparse(node.func) for node in nodes]
    if not (isinstance(tree, ast.List) or offered_names & set(names)):
        return None
    calls = []
    for name, node in zip(names, nodes, strict=True):
        if node.args or any(keyword.arg is None for keyword in node.keywords):
            raise UserError(f"expected arguments with names, got {_shorten(text)}")
        calls.append({"name": name, "arguments": {item.arg: _read_literal(item.value) for item in node.keywords}})
    return calls


def _read_literal(node: ast.expr) -> Any:
    words = {"true": True, "false": False, "null": None}
    if isinstance(node, ast.Name) and node.id in words:
        return words[node.id]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"expected JSON values as arguments, got {_shorten(ast.unparse(node))}") from None


def _shorten(value: Any) -> str:
    text = repr(value)
    return text[:80] + "..." * (len(text) > 80)
