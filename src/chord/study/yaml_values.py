"""Types of the values in YAML files: names, texts, times, and sections that are completed later."""

import copy
import math
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, GetJsonSchemaHandler, PositiveInt, StringConstraints, WithJsonSchema
from pydantic_core import CoreSchema

Section = dict[str, Any]
DERIVED = ("seed", "name")  # keys of sections that the study itself fills in
# Names become folders and wildcards; a dot is allowed for mu_0.02.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[0-9]+)?$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]

# Time limits as people write them: 90m, 1.5h, 1h30m, 2 days. Snakemake 9.27 itself refuses limits with two units.
UNITS = {"w": 7 * 24 * 60, "d": 24 * 60, "h": 60, "m": 1, "s": 1 / 60}  # minutes, largest first
UNIT_NAMES = {"w": "weeks?", "d": "days?", "h": "hours?|hrs?", "m": "minutes?|mins?", "s": "seconds?|secs?"}
DURATION = re.compile(
    r",?\s*".join(rf"(?:(?P<{unit}>\d+(?:\.\d+)?)\s*(?:{unit}|{UNIT_NAMES[unit]}))?" for unit in UNITS), re.IGNORECASE
)


def whole_minutes(value: Any) -> Any:
    """Convert a text such as 1h30m to minutes, rounded up; other types stay as they are. ValueError: it is no time."""
    if not isinstance(value, str):
        return value
    match = DURATION.fullmatch(value.strip())
    minutes = sum(float(match[unit]) * size for unit, size in UNITS.items() if match[unit]) if match else 0
    if not minutes:
        raise ValueError(f"expected minutes, or a time such as 90m, 1.5h, 1h30m or 2d; got {value!r}")
    return math.ceil(round(minutes, 6))  # a third of an hour is 20 minutes


Minutes = Annotated[
    PositiveInt,
    BeforeValidator(whole_minutes),
    WithJsonSchema({"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string", "pattern": r"\d"}]}),
]


class Partial:
    """Marks a section as a part of one of `models`: Annotated[Section, Partial(SftStage)].

    Other files, or the seed of the study, complete it later. Only the JSON schema uses the mark: the section may have
    the keys of the models except those in `without`, and none of them is required.
    """

    def __init__(self, *models: type[BaseModel], without: tuple[str, ...] = ()):
        self.models = models
        self.without = without

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schemas = []
        for model in self.models:
            full = model.model_json_schema()
            schema = _relaxed(full, full.get("$defs", {}))
            for key in self.without:
                schema["properties"].pop(key, None)
            schemas.append(schema)
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _relaxed(schema: Any, definitions: dict[str, Any]) -> Any:
    """Remove references, required keys and defaults; `anyOf`, because {} is a part of every member of a union."""
    if isinstance(schema, list):
        return [_relaxed(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return copy.deepcopy(schema)
    if "$ref" in schema:
        return _relaxed(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    dropped = ("required", "discriminator", "$defs", "default", "title")
    if "properties" in schema:
        fields = {name: _relaxed(field, definitions) for name, field in schema["properties"].items()}
        rest = {key: value for key, value in schema.items() if key not in (*dropped, "properties")}
        return rest | {"properties": fields}
    return {
        "anyOf" if key == "oneOf" else key: _relaxed(value, definitions)
        for key, value in schema.items()
        if key not in dropped
    }
