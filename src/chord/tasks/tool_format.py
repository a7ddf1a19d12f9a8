"""Tool-N1's format (arXiv 2505.00024): a `<tools>` block of functions, calls as a JSON list in `<tool_call>`."""

import json
from typing import Any

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"


def tool_lines(functions: list[dict]) -> list[str]:
    """One JSON object a function, as it stands between `<tools>` and `</tools>`."""
    return [json.dumps({"type": "function", "function": function}) for function in functions]


def split_system(turns: list[dict]) -> tuple[str | None, list[dict]]:
    """Text of the system message that opens `turns` (None without one), and the other messages."""
    if turns and turns[0]["role"] == "system":
        return turns[0]["content"], turns[1:]
    return None, turns


def blocks(text: str) -> list[Any]:
    """What each closed block holds, in order; None for one that is not JSON."""
    found, end = [], 0
    while (start := text.find(_OPEN, end)) >= 0 and (end := text.find(_CLOSE, start)) >= 0:
        found.append(read_json(text[start + len(_OPEN) : end]))
    return found


def read_json(text: str) -> Any:
    """The value, or None. Responses may hold what a parser refuses by other errors: deep nesting, endless digits."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def is_call_list(value: Any) -> bool:
    """A list of objects with `name` and `arguments`, whatever these are."""
    return isinstance(value, list) and all(
        isinstance(call, dict) and {"name", "arguments"} <= call.keys() for call in value
    )
