"""Reads the reference answer of a dataset's row as its task compares it, or says in one line why there is none.

Columns of answers contain more than answers: nothing, NaN, the words `proof` and `notfound`. Such a value raises
`NoReference`: a training set may skip the row, and a benchmark may not. A value that can be read in two ways is an
error.
"""

import math
import re
from decimal import Decimal
from typing import Any

from chord.data import row_values
from chord.data.rows_spec import ColumnRows
from chord.errors import UserError

MATHS = ("math", "math_trinity")
# Texts that mean that there is no answer. `none`, `undefined` and `infinity` are answers.
_PLACEHOLDER = re.compile(r"proofs?|not[ _]?found|nan|null|n/a|<na>", re.IGNORECASE)
_OPENING, _CLOSING = "([{", ")]}"


class NoReference(UserError):
    """The row has no answer with which a response could be compared."""


def reference(place: str, raw: dict, source: ColumnRows) -> str:
    """The row's reference answer as text; "" if the dataset has no column for it."""
    column = source.columns.answer
    if column is None:
        return ""
    value = row_values.value(place, raw, column)
    if is_absent(value, source.task):
        raise NoReference(str(row_values.wrong(place, column, "an answer", value)))
    if source.task == "tool_call":
        return row_values.calls(place, raw, column)
    if source.task in MATHS and source.answers == "text":
        return _mathematics(place, column, value, value)
    return row_values.answer(place, raw, column, source.answers)


def is_absent(value: Any, task: str) -> bool:
    """Whether a value means that there is no answer."""
    if isinstance(value, str):
        return not value.strip() or (task in MATHS and bool(_PLACEHOLDER.fullmatch(value.strip().strip("."))))
    if isinstance(value, float | Decimal):
        return not math.isfinite(value)
    if task in MATHS and isinstance(value, list | dict):
        parts = list(value.values()) if isinstance(value, dict) else value
        return all(is_absent(part, task) for part in parts)
    return value is None


def _mathematics(place: str, column: str, value: Any, column_value: Any) -> str:
    """A text or number as it is, a list of them as "6, 11", an object with one value as that value.

    column_value: the complete value of the column, for the error.
    """
    if isinstance(value, dict):
        parts = [part for part in value.values() if part is not None]  # Arrow pads the keys of other rows
        if len(parts) == 1:
            return _mathematics(place, column, parts[0], column_value)
        raise row_values.wrong(
            place, column, "text, a number, or a list of them, not an object of several values", column_value
        )
    if isinstance(value, list):
        if len(value) == 1:
            return _mathematics(place, column, value[0], column_value)
        if any(is_absent(part, "math") or not _is_plain(part) for part in value):
            raise row_values.wrong(place, column, "a list of texts or numbers", column_value)
        parts = [row_values.as_text(part).strip() for part in value]
        if any(map(_has_comma, parts)):
            raise row_values.wrong(place, column, "a list whose parts have no comma outside brackets", column_value)
        return ", ".join(parts)
    if not _is_plain(value):
        raise row_values.wrong(place, column, "text or a number", column_value)
    return row_values.as_text(value).strip()


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | Decimal) and not isinstance(value, bool)


def _has_comma(text: str) -> bool:
    depth = 0
    for sign in text:
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if sign == "," and depth <= 0:
            return True
    return False
