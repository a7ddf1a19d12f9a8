"""Describes problems of a configuration: the file, the key, what was expected, and which known name may be meant."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from chord.objectives.parts import OpenUnion
from chord.settings import Settings
from chord.study.yaml_files import CHOOSERS, merge

Keys = tuple[str, ...]
Model = TypeVar("Model", bound=BaseModel)
WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
# pydantic's wording -> ours, in this order.
PHRASES = (
    ("Input should be a valid integer", "expected a whole number"),
    ("Input should be a valid number", "expected a number"),
    ("Input should be a valid string", "expected text"),
    ("Input should be a valid boolean", "expected true or false"),
    ("Input should be an object", "expected keys and values"),
    ("Input should be a valid array", "expected a list"),
    ("Input should be greater", "expected a value greater"),
    ("Input should be less", "expected a value less"),
    ("Input should be ", "expected "),
    ("String should match pattern", "expected text of the form"),
    ("String should have", "expected"),
    ("Dictionary should have", "expected"),
    ("List should have", "expected"),
    ("Tuple should have", "expected"),
)


@dataclass(frozen=True)
class Layer:
    """What one file contributes to a merged value. place: the keys under which the file has it."""

    file: str
    value: Any
    place: Keys = ()
    files: tuple["Layer", ...] = ()  # if `file` is based on other files: all of them, complete, lowest first

    def file_of(self, keys: Sequence[str]) -> str:
        """The file that has the most of these keys; of several, the highest."""
        depths = [_depth(layer.value, (*self.place, *keys)) for layer in self.files]
        return max(zip(depths, range(len(depths)), self.files, strict=True))[-1].file if depths else self.file


class Problems(Exception):
    """Problems of a configuration, one line each."""

    def __init__(self, lines: Sequence[str]):
        super().__init__("\n".join(lines))
        self.lines = list(lines)


def validate(model: type[Model], value: dict, layers: Sequence[Layer]) -> Model:
    """Validate `value` as a `model`; raises Problems. layers: what the value was merged from, lowest first.

    Validation is strict: the text "3" is not a number. A list may stand for a tuple, as in JSON.
    """
    text = json.dumps(value)
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        plain = json.loads(text)
        raise Problems([_line(model, plain, layers, details) for details in error.errors(include_url=False)]) from None


def without_effect(settings: Settings, layers: Sequence[Layer]) -> list[str]:
    """Return a line for each setting in a layer that has no effect in combination with the other settings."""
    return [
        line(layer, keys, f"expected none here, as it has an effect only with {expected}")
        for keys, expected in settings.without_effect()
        for layer in layers
        if has(layer.value, keys)
    ]


def complete(model: type[Model], layers: list[Layer], derived: dict) -> Model:
    """Merge the layers and add `derived`: values that come from the study, so that no file may set them."""
    value: dict = {}
    for layer in layers:
        for key in derived.keys() & (layer.value or {}).keys():
            raise Problems([line(layer, (key,), "unknown key here; the value comes from the study")])
        value = merge(value, layer.value or {})
    return validate(model, value | derived, [layer for layer in layers if layer.value] or layers)


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Return, for example: unknown method 'crd_mu'; expected one of chord_mu, rl (did you mean 'chord_mu'?)."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1)
    guess = f" (did you mean {close[0]!r}?)" if close else ""
    return f"unknown {what} {name!r}; expected one of {', '.join(known)}{guess}"


def line(layer: Layer, keys: Sequence[str], message: str) -> str:
    """Return `file: key.path: message`."""
    place = ".".join([*layer.place, *keys])
    file = layer.file_of(keys)
    return f"{file}: {place}: {message}" if place else f"{file}: {message}"


def _line(model: type[BaseModel], value: dict, layers: Sequence[Layer], details: ErrorDetails) -> str:
    keys = _keys(model, value, details["loc"])
    kind, context = details["type"], details.get("ctx", {})
    message = _message(model, value, keys, details)
    if kind == "union_tag_invalid":
        keys += (context["discriminator"].strip("'"),)
    elif kind == "value_error":
        # A check of several keys of a class begins its message with one of them: "decoding: expected temperature 1".
        key, colon, rest = message.partition(": ")
        if colon and key in _fields(model, value, keys):
            keys, message = (*keys, key), rest
    depths = [_depth(layer.value, keys) for layer in layers]
    if kind != "missing":
        # The highest layer decides the value.
        layer = max(zip(depths, range(len(layers)), layers, strict=True))[-1]
        return line(layer, keys, message)
    first, *others = [layer for layer, depth in zip(layers, depths, strict=True) if depth == max(depths)]
    places = [line(layer, keys, "").removesuffix(": ") for layer in others if layer.file != first.file]
    return line(first, keys, message + (f" (or give it in {' or '.join(places)})" if places else ""))


def _keys(model: type[BaseModel], value: Any, loc: Sequence[str | int]) -> Keys:
    """Remove from pydantic's location what is not a key of the file: names of union members and the mark of a bad key.

    The name of a member may also be one of its keys: `columns` is a kind of source that has the key `columns`.
    """
    keys: list[str] = []
    annotation: Any = model
    for part in loc:
        if part == "[key]":
            continue
        if isinstance(annotation, _Member):  # pydantic names the member before anything in it
            annotation = annotation.model
            continue
        keys.append(str(part))
        annotation, value = _inside(annotation, value, part)
        if len(_classes(annotation)) > 1 and (member := _model(annotation, value)):
            annotation = _Member(member)
    return tuple(keys)


@dataclass(frozen=True)
class _Member:
    """The member of a union that a value chooses."""

    model: type[BaseModel]


def _inside(annotation: Any, value: Any, key: str | int) -> tuple[Any, Any]:
    """Return the annotation and the value at a key of `value`; None for each that is unknown or missing."""
    owner = _model(annotation, value)
    if owner:  # otherwise it is dict[name, item] or list[item]
        field = owner.model_fields.get(str(key))
        annotation = _annotation(field) if field else None
    else:
        annotation = (get_args(annotation) or (None,))[-1]
    if isinstance(value, dict):
        return annotation, value.get(key)
    return annotation, value[int(key)] if isinstance(value, list) and int(key) < len(value) else None


def has(value: Any, keys: Keys) -> bool:
    return _depth(value, keys) == len(keys)


def _depth(value: Any, keys: Keys) -> int:
    """Count the leading keys that exist in `value`."""
    for depth, key in enumerate(keys):
        if not isinstance(value, dict):
            return depth
        by_text = {str(name): item for name, item in value.items()}
        if key not in by_text:
            return depth
        value = by_text[key]
    return len(keys)


def _message(model: type[BaseModel], value: dict, keys: Keys, details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        fields = _fields(model, value, keys[:-1])
        return unknown("key", keys[-1], fields).replace(f" {keys[-1]!r};", ";", 1)
    if kind == "missing":
        return f"missing; expected {_expected(_fields(model, value, keys[:-1]).get(keys[-1]))}"
    if kind == "union_tag_invalid":
        known = [tag.strip("'") for tag in context["expected_tags"].split(", ")]
        return unknown(context["discriminator"].strip("'"), context["tag"], known)
    if kind == "union_tag_not_found":
        return f"missing key {context['discriminator'].strip(chr(39))}, which says what kind of part this is"
    if kind == "literal_error":
        return unknown("value", details["input"], re.findall(r"'([^']+)'", context["expected"]))
    if kind == "value_error":
        return str(context["error"])
    message = details["msg"]
    for theirs, ours in PHRASES:
        message = message.replace(theirs, ours)
    return f"{message.partition(' after validation')[0]}, got {json.dumps(details['input'])}"


def _expected(field: FieldInfo | None) -> str:
    if field is None:
        return "a value"
    if field.description:
        return field.description
    chosen = sorted(_choices_of(_annotation(field)))
    if chosen:
        return f"a part that is one of {', '.join(chosen)}"
    model = _model(field.annotation, None)
    return f"keys {', '.join(model.model_fields)}" if model else WORDS.get(field.annotation, "a value")


def _annotation(field: FieldInfo) -> Any:
    """The annotation of a field, including the parts of installed packages."""
    choice = next((mark for mark in field.metadata if isinstance(mark, OpenUnion)), None)
    return choice.union(field.annotation) if choice else field.annotation


def _fields(model: type[BaseModel], value: Any, keys: Keys) -> dict[str, FieldInfo]:
    """The fields of the class at `keys`; empty if there is no class of ours."""
    annotation: Any = model
    for key in keys:
        annotation, value = _inside(annotation, value, key)
    owner = _model(annotation, value)
    return dict(owner.model_fields) if owner else {}


def _model(annotation: Any, value: Any) -> type[BaseModel] | None:
    """The class of an annotation; for a union, the member that `value` chooses by name or kind."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (dict, list, tuple):
        return None
    members = [member for part in get_args(annotation) if (member := _model(part, value))]
    if len(members) > 1:
        chosen = [value[chooser] for chooser in CHOOSERS if isinstance(value, dict) and chooser in value]
        members = [member for member in members if any(choice in chosen for choice in _choices(member))]
    return members[0] if len(members) == 1 else None


def _classes(annotation: Any) -> set[type[BaseModel]]:
    """The classes that an annotation allows; several if it is a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    if get_origin(annotation) in (dict, list, tuple):
        return set()
    return {model for part in get_args(annotation) for model in _classes(part)}


def _choices_of(annotation: Any) -> set[str]:
    """The names or kinds of a union's members."""
    return {choice for member in _classes(annotation) for choice in _choices(member)}


def _choices(model: type[BaseModel]) -> set[str]:
    return {
        choice
        for chooser in CHOOSERS
        if chooser in model.model_fields
        for choice in get_args(model.model_fields[chooser].annotation)
    }
