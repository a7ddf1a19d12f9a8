"""The reference answer of a dataset's row: read as what its task compares with, or a line that says why it is none.

Columns of answers hold more than answers: nothing, NaN, the words `proof` and `notfound`. What says that there is no
answer is a `NoReference`, which a training set may leave out and a benchmark may not; what could be read in two ways is
an error.
"""

import math
import re
from decimal import Decimal
from typing import Any

from chord.data import values
from chord.data.rows_spec import ColumnRows
from chord.errors import UserError

MATHS = ("math", "math_trinity")
# Texts that stand where there is no answer. `none`, `undefined` and `infinity` are answers.
_PLACEHOLDER = re.compile(r"proofs?|not[ _]?found|nan|null|n/a|<na>", re.IGNORECASE)
_OPENING, _CLOSING = "([{", ")]}"


class NoReference(UserError):
    """The row has no answer that a response could be compared with."""


def reference(place: str, raw: dict, source: ColumnRows) -> str:
    """The row's reference answer as text; "" where the dataset has no column for it."""
    column = source.columns.answer
    if column is None:
        return ""
    found = values.value(place, raw, column)
    if is_absent(found, source.task):
        raise NoReference(str(values.wrong(place, column, "an answer", found)))
    if source.task == "tool_call":
        return values.calls(place, raw, column)
    if source.task in MATHS and source.answers == "text":
        return _mathematics(place, column, found, found)
    return values.answer(place, raw, column, source.answers)


def is_absent(found: Any, task: str) -> bool:
    """Whether a value says that there is no answer."""
    if isinstance(found, str):
        return not found.strip() or (task in MATHS and bool(_PLACEHOLDER.fullmatch(found.strip().strip("."))))
    if isinstance(found, float | Decimal):
        return not math.isfinite(found)
    if task in MATHS and isinstance(found, list | dict):
        parts = list(found.values()) if isinstance(found, dict) else found
        return all(is_absent(part, task) for part in parts)
    return found is None


def _mathematics(place: str, column: str, found: Any, whole: Any) -> str:
    """A text or number; a list of them as "6, 11"; of an object its one value. whole: what the column holds."""
    if isinstance(found, dict):
        parts = [part for part in found.values() if part is not None]  # Arrow pads the keys of other rows
        if len(parts) == 1:
            return _mathematics(place, column, parts[0], whole)
        raise values.wrong(place, column, "text, a number, or a list of them, not an object of several values", whole)
    if isinstance(found, list):
        if len(found) == 1:
            return _mathematics(place, column, found[0], whole)
        if any(is_absent(part, "math") or not _is_plain(part) for part in found):
            raise values.wrong(place, column, "a list of texts or numbers", whole)
        parts = [values.shown(part).strip() for part in found]
        if any(map(_has_comma, parts)):
            raise values.wrong(place, column, "a list whose parts have no comma outside brackets", whole)
        return ", ".join(parts)
    if not _is_plain(found):
        raise values.wrong(place, column, "text or a number", whole)
    return values.shown(found).strip()


def _is_plain(found: Any) -> bool:
    return isinstance(found, str | int | float | Decimal) and not isinstance(found, bool)


def _has_comma(text: str) -> bool:
    depth = 0
    for sign in text:
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if sign == "," and depth <= 0:
            return True
    return False
