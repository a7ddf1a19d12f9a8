"""A section of a YAML file that is completed later: when files are laid over each other, or the study adds its seed."""

import copy
from typing import Any

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic_core import CoreSchema


class Partial:
    """Marks a plain mapping as a share of one of `models`: Annotated[dict[str, Any], Partial(SftStage)].

    Only the JSON schema looks at it: the keys of the models, none of them required, less those in `without`.
    """

    def __init__(self, *models: type[BaseModel], without: tuple[str, ...] = ()):
        self.models = models
        self.without = without

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schemas = []
        for model in self.models:
            whole = model.model_json_schema()
            schema = _relaxed(whole, whole.get("$defs", {}))
            for key in self.without:
                schema["properties"].pop(key, None)
            schemas.append(schema)
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _relaxed(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema without references, required keys, defaults; `anyOf`, as {} is a share of every member of a union."""
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
