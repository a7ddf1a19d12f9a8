"""Calls of functions in the layouts in which models and APIs give them, read as `{"name", "arguments"}`.

For graders of finished predictions. What the reward of training demands is Tool-N1's format alone (`tool_format`).
"""

import ast
import re
from collections.abc import Iterator
from json import JSONDecoder
from typing import Any

from chord.errors import UserError
from chord.tasks.tool_format import blocks, read_json

_NAMES, _ARGUMENTS = ("name", "function", "tool", "tool_name"), ("arguments", "parameters", "args", "input", "kwargs")
_MORE = {"type", "id", "call_id", "index", "status"}  # what an API says of a call besides
_FENCE = re.compile(r"```[\w-]*[ \t]*\n?(.*?)```", re.DOTALL)
_SIGNS = re.compile(r"<\|?[\w｜▁ /]{1,30}\|?>|\[/?TOOL_CALLS?\]|\bfunctools(?=\[)")  # marks of chat templates
_CALL = re.compile(r"\[?\s*[A-Za-z_][\w.]*\s*\(.*\)\s*\]?", re.DOTALL)
_OPENING = re.compile(r"[\[{]")
_LONG = 20_000  # characters of Python that are parsed


class NoCallError(UserError):
    """A value with objects in it that are no calls in any layout that is known."""


def calls_in(prediction: Any, offered: set[str]) -> list[dict] | None:
    """The calls of a prediction: a value of JSON, or a text with one in it. None for a text that calls nothing.

    offered: names of the functions, which tell `{name: arguments}` from any other object in a sentence. Read are lists
    of calls, or one call, as `{name, arguments}` (arguments also as JSON text), as OpenAI's `tool_calls`, or as `{name:
    arguments}`; in text as it is, fenced, in `<tool_call>`, or as `name(key=value)`. Raises UserError for objects that
    are none of these, so that no layout counts as a wrong answer unseen.
    """
    return _in_text(prediction, offered) if isinstance(prediction, str) else read_calls(prediction)


def read_calls(value: Any) -> list[dict]:
    """The calls of a value of JSON: a call, a list of them, or a message with them. Else NoCallError."""
    if isinstance(value, dict) and "tool_calls" in value:
        value = value["tool_calls"] or []
    elif isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise NoCallError(f"expected a list of calls {{name, arguments}}, got {_shown(value)}")
    return [call for item in value for call in _call(item)]


def _call(item: Any) -> Iterator[dict]:
    if not isinstance(item, dict):
        raise NoCallError(f"expected a call {{name, arguments}}, got {_shown(item)}")
    fields = {key: value for key, value in item.items() if key not in _MORE}
    if len(fields) == 1:
        ((key, inner),) = fields.items()
        if key in ("function", "function_call") and isinstance(inner, dict):  # OpenAI's
            yield from _call(inner)
            return
    names = [key for key in _NAMES if isinstance(item.get(key), str)]
    arguments = [key for key in _ARGUMENTS if key in item]
    if len(names) == len(arguments) == 1 and set(fields) == {names[0], arguments[0]}:
        yield {"name": item[names[0]], "arguments": _object(item[arguments[0]], item)}
    elif fields == item and item and not (names or arguments):  # {name: arguments}, one key for each call
        for name, inner in item.items():
            yield {"name": name, "arguments": _object(inner, item)}
    else:
        raise NoCallError(f"expected a call {{name, arguments}}, got {_shown(item)}")


def _object(arguments: Any, item: dict) -> dict:
    """Arguments as an object, which may be written as JSON text."""
    value = read_json(arguments) if isinstance(arguments, str) else arguments
    if not isinstance(value, dict):
        raise NoCallError(f"expected arguments as an object or its JSON text, got {_shown(item)}")
    return value


def _in_text(text: str, offered: set[str]) -> list[dict] | None:
    text = text.rpartition("</think>")[2]
    if "<think>" in text:
        return None
    if "<tool_call>" in text:
        values = [value for value in blocks(text) if value is not None]
        if not values:
            return None
        if len(values) > 1 and any(isinstance(value, list) for value in values):
            raise UserError("expected one list of calls, got several in <tool_call>")
        return [call for value in values for call in read_calls(_again(value))]
    whole = _again(read_json(_SIGNS.sub("", text)))
    if whole is None:
        fenced = [value for part in _FENCE.findall(text) if (value := read_json(part)) is not None]
        found = fenced or list(_values(text))
        named = [calls for value in found if (calls := _offered(value, offered)) is not None]
        if len(named) > 1:
            raise UserError("expected calls in one place, got them in several")
        return named[0] if named else _python(text, offered)
    if isinstance(whole, list | dict) and _holds_objects(whole):
        return read_calls(whole)
    return [] if whole == [] else None


def _again(value: Any) -> Any:
    """A value written as JSON into a JSON text."""
    return read_json(value) if isinstance(value, str) else value


def _holds_objects(value: list | dict) -> bool:
    return bool(value) if isinstance(value, dict) else any(isinstance(item, dict) for item in value)


def _offered(value: Any, offered: set[str]) -> list[dict] | None:
    """The calls of a value between sentences, which may be any JSON.

    `{name: arguments}` is one only with the name of a function that there is.
    """
    try:
        calls = read_calls(value)
    except NoCallError:
        return None
    items = value if isinstance(value, list) else [value]
    plain = any({"name", "arguments"} <= item.keys() or {"function", "tool_calls"} & item.keys() for item in items)
    return calls if calls and (plain or any(call["name"] in offered for call in calls)) else None


def _values(text: str) -> Iterator[Any]:
    """Each list or object of JSON that stands in a text, outermost only."""
    decoder, place, failures = JSONDecoder(), 0, 0
    while failures < 100 and (opening := _OPENING.search(text, place)):
        try:
            value, place = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            place, failures = opening.end(), failures + 1
            continue
        yield value


def _python(text: str, offered: set[str]) -> list[dict] | None:
    """Calls such as `[f(a=1), g(b="x")]`, BFCL's layout of models that are asked for Python."""
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
    if not (isinstance(tree, ast.List) or offered & set(names)):
        return None
    calls = []
    for name, node in zip(names, nodes, strict=True):
        if node.args or any(keyword.arg is None for keyword in node.keywords):
            raise UserError(f"expected arguments with their names, got {_shown(text)}")
        calls.append({"name": name, "arguments": {item.arg: _literal(item.value) for item in node.keywords}})
    return calls


def _literal(node: ast.expr) -> Any:
    words = {"true": True, "false": False, "null": None}
    if isinstance(node, ast.Name) and node.id in words:
        return words[node.id]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"expected values of JSON as arguments, got {_shown(ast.unparse(node))}") from None


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown[:80] + "..." * (len(shown) > 80)
