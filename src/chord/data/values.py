"""Values of a dataset's row, checked: what is wrong is one line with file, row, column and what was expected."""

import json
import re
from decimal import Decimal
from math import isfinite
from typing import Any

from chord.errors import UserError
from chord.tasks.call_layouts import NoCallError, read_calls
from chord.tasks.rubric import is_criterion
from chord.tasks.tool_format import read_json

SHORT_CHARACTERS = 30
_INTEGER = re.compile(r"[-+]?\d+(?:\.0*)?")
_HASHES = re.compile(r"####[ \t]*([^\n]+?)\s*$")
_ROLES = ("system", "user", "assistant", "tool")
_MISSING = object()


def value(place: str, row: dict, column: str) -> Any:
    found = row.get(column, _MISSING)
    if found is _MISSING:
        raise UserError(f"{place}: column {column}: missing; the row has {', '.join(row) or 'no columns'}")
    return found


def text(place: str, row: dict, column: str) -> str:
    """A text that is not blank."""
    found = value(place, row, column)
    if not isinstance(found, str) or not found.strip():
        raise wrong(place, column, "text", found)
    return found


def texts(place: str, row: dict, column: str) -> list[str]:
    found = value(place, row, column)
    if not isinstance(found, list) or not found or not all(isinstance(item, str) for item in found):
        raise wrong(place, column, "a list of text", found)
    return found


def messages(place: str, row: dict, column: str) -> list[dict[str, str]]:
    """Chat messages, without any further keys that the dataset may have in them."""
    found = value(place, row, column)
    good = isinstance(found, list) and found and all(
        isinstance(item, dict) and item.get("role") in _ROLES and isinstance(item.get("content"), str) for item in found
    )  # fmt: skip
    if not good:
        raise wrong(place, column, f"a list of messages with content (text) and role ({', '.join(_ROLES)})", found)
    return [{"role": item["role"], "content": item["content"]} for item in found]


def criteria(place: str, row: dict, column: str) -> list[dict]:
    """Criteria of a rubric, without any further keys that the dataset may have in them."""
    found = value(place, row, column)
    if not isinstance(found, list) or not all(is_criterion(item) and isfinite(item["weight"]) for item in found):
        raise wrong(place, column, "a list of {description: text, weight: number}", found)
    return [{key: item[key] for key in ("description", "weight")} for item in found]


def label(place: str, row: dict, column: str) -> str:
    """Something that names: text or a whole number."""
    found = value(place, row, column)
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        raise wrong(place, column, "text or a whole number", found)
    return str(found)


def answer(place: str, row: dict, column: str, form: str) -> str:
    """The reference answer as text. form: `answers` of chord.data.rows_spec.ColumnRows."""
    found = value(place, row, column)
    if form == "hashes":
        ending = _HASHES.search(text(place, row, column))
        if not ending:
            raise wrong(place, column, "a solution that ends in #### and the answer", found)
        return _integer(ending.group(1).replace(",", "").lstrip("$")) or ending.group(1)
    if form == "integer":
        if isinstance(found, bool) or (number := _integer(shown(found).strip())) is None:
            raise wrong(place, column, "a whole number", found)
        return number
    if isinstance(found, bool) or not isinstance(found, str | int | float) or not str(found).strip():
        raise wrong(place, column, "text or a number", found)
    return shown(found).strip()


def calls(place: str, row: dict, column: str) -> str:
    """Calls of tools that an answer must be, as JSON text of [{name, arguments}]; arguments may be JSON text there."""
    found = value(place, row, column)
    try:
        return json.dumps(read_calls(read_json(found) if isinstance(found, str) else found), ensure_ascii=False)
    except NoCallError:
        raise wrong(place, column, "a list of calls {name, arguments}, or its JSON text", found) from None


def shown(found: object) -> str:
    """A value as text; a number without an exponent while that is short: 4e-05 as 0.00004, 1e+16 with its zeros."""
    text = str(found)
    if not isinstance(found, float | Decimal) or "e" not in text.lower():
        return text
    plain = format(Decimal(text), "f")
    mantissa, _, exponent = text.lower().partition("e")
    return plain if len(plain) <= SHORT_CHARACTERS else f"{mantissa}e{int(exponent)}"


def _integer(text: str) -> str | None:
    """ "025" and "27.0" as "25" and "27"; None if it is no whole number."""
    return str(int(text.partition(".")[0])) if _INTEGER.fullmatch(text) else None


def wrong(place: str, column: str, expected: str, found: object) -> UserError:
    text = json.dumps(found, ensure_ascii=False, default=str)
    return UserError(f"{place}: column {column}: expected {expected}, got {text[:80] + '...' * (len(text) > 80)}")
