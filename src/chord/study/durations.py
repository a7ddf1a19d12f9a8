"""Time limits as people write them: 90m, 1.5h, 1h30m, 2 days. Snakemake itself refuses those of two parts (9.27)."""

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PositiveInt, WithJsonSchema

UNITS = {"w": 7 * 24 * 60, "d": 24 * 60, "h": 60, "m": 1, "s": 1 / 60}  # minutes, largest first
NAMES = {"w": "weeks?", "d": "days?", "h": "hours?|hrs?", "m": "minutes?|mins?", "s": "seconds?|secs?"}
FORM = re.compile(
    r",?\s*".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?)\s*(?:{unit}|{NAMES[unit]}))?" for unit in UNITS), re.IGNORECASE
)


def whole_minutes(value: Any) -> Any:
    """Minutes of a text, rounded up; what is no text stays as it is. ValueError for what is no time."""
    if not isinstance(value, str):
        return value
    found = FORM.fullmatch(value.strip())
    minutes = sum(float(found[unit]) * size for unit, size in UNITS.items() if found[unit]) if found else 0
    if not minutes:
        raise ValueError(f"expected minutes, or a time such as 90m, 1.5h, 1h30m or 2d; got {value!r}")
    return math.ceil(round(minutes, 6))  # a third of an hour is 20 minutes


Minutes = Annotated[
    PositiveInt,
    BeforeValidator(whole_minutes),
    WithJsonSchema({"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string", "pattern": r"\d"}]}),
]
