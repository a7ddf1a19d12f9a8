"""Checks the values of a dataset's row; errors are one line with file, row, column and what was expected."""

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


def value(place: str, row: dict, column: str) -> Any:
    if column not in row:
        raise UserError(f"{place}: column {column}: missing; the row has {', '.join(row) or 'no columns'}")
    return row[column]


def text(place: str, row: dict, column: str) -> str:
    """A text, which must not be blank."""
    entry = value(place, row, column)
    if not isinstance(entry, str) or not entry.strip():
        raise wrong(place, column, "text", entry)
    return entry


def texts(place: str, row: dict, column: str) -> list[str]:
    entry = value(place, row, column)
    if not isinstance(entry, list) or not entry or not all(isinstance(item, str) for item in entry):
        raise wrong(place, column, "a list of text", entry)
    return entry


def messages(place: str, row: dict, column: str) -> list[dict[str, str]]:
    """Chat messages, without any other keys that they may have in the dataset."""
    entry = value(place, row, column)
    is_valid = isinstance(entry, list) and entry and all(
        isinstance(item, dict) and item.get("role") in _ROLES and isinstance(item.get("content"), str) for item in entry
    )  # fmt: skip
    if not is_valid:
        raise wrong(place, column, f"a list of messages with content (text) and role ({', '.join(_ROLES)})", entry)
    return [{"role": item["role"], "content": item["content"]} for item in entry]


def criteria(place: str, row: dict, column: str) -> list[dict]:
    """The criteria of a rubric, without any other keys that they may have in the dataset."""
    entry = value(place, row, column)
    if not isinstance(entry, list) or not all(is_criterion(item) and isfinite(item["weight"]) for item in entry):
        raise wrong(place, column, "a list of {description: text, weight: number}", entry)
    return [{key: item[key] for key in ("description", "weight")} for item in entry]


def label(place: str, row: dict, column: str) -> str:
    """A label, which is text or a whole number."""
    entry = value(place, row, column)
    if isinstance(entry, bool) or not isinstance(entry, str | int) or entry == "":
        raise wrong(place, column, "text or a whole number", entry)
    return str(entry)


def answer(place: str, row: dict, column: str, form: str) -> str:
    """The reference answer as text. form: the setting `answers` of chord.data.rows_spec.ColumnRows."""
    entry = value(place, row, column)
    if form == "hashes":
        ending = _HASHES.search(text(place, row, column))
        if not ending:
            raise wrong(place, column, "a solution that ends in #### and the answer", entry)
        return _integer(ending.group(1).replace(",", "").lstrip("$")) or ending.group(1)
    if form == "integer":
        if isinstance(entry, bool) or (number := _integer(as_text(entry).strip())) is None:
            raise wrong(place, column, "a whole number", entry)
        return number
    if isinstance(entry, bool) or not isinstance(entry, str | int | float) or not str(entry).strip():
        raise wrong(place, column, "text or a number", entry)
    return as_text(entry).strip()


def calls(place: str, row: dict, column: str) -> str:
    """The tool calls that an answer must make, as JSON text of [{name, arguments}].

    In the dataset the column and the arguments may be JSON text.
    """
    entry = value(place, row, column)
    try:
        return json.dumps(read_calls(read_json(entry) if isinstance(entry, str) else entry), ensure_ascii=False)
    except NoCallError:
        raise wrong(place, column, "a list of calls {name, arguments}, or its JSON text", entry) from None


def as_text(entry: object) -> str:
    """A value as text, short numbers without an exponent: 4e-05 becomes 0.00004, and 1e+16 gets its zeros."""
    text = str(entry)
    if not isinstance(entry, float | Decimal) or "e" not in text.lower():
        return text
    plain = format(Decimal(text), "f")
    mantissa, _, exponent = text.lower().partition("e")
    return plain if len(plain) <= SHORT_CHARACTERS else f"{mantissa}e{int(exponent)}"


def _integer(text: str) -> str | None:
    """Reads "025" and "27.0" as "25" and "27"; None if the text is not an integer."""
    return str(int(text.partition(".")[0])) if _INTEGER.fullmatch(text) else None


def wrong(place: str, column: str, expected: str, entry: object) -> UserError:
    """The error for an entry that is not what was expected."""
    text = json.dumps(entry, ensure_ascii=False, default=str)
    return UserError(f"{place}: column {column}: expected {expected}, got {text[:80] + '...' * (len(text) > 80)}")
