"""What all settings classes share, and what of them is a job's specification. Imports nothing but pydantic, so that a
configuration is checked in a moment.

A specification is what a job is told, what its manifest records and what its hash is of. It leaves out

- settings at their default, so that a new setting changes no hash of a job that does not use it. A default that changed
  would make nothing run again: tests/unit/test_defaults.py pins all of them, and says what to do;
- settings without effect beside the others (`Needs`), so that they make no job run again.

It always names the tags by which a union chooses its member (`kind`, `name`), and what is `Stated`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Needs:
    """Marks a setting that has an effect only under a condition, as in Annotated[int | None, Needs("draws", "...")]."""

    condition: str  # a property of the class
    expected: str  # what would give the setting an effect, in the words of a message


@dataclass(frozen=True)
class Stated:
    """Marks a setting that specifications name at its default too: something reads it there, or the default changed."""


@dataclass(frozen=True)
class TimeOnly:
    """Marks a setting that changes how long a job takes, and never what comes out."""


class Settings(BaseModel):
    """Frozen, because a job's specification must not change under it; an unknown key is an error, and so is a number
    too large for a float."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def specification(self) -> dict[str, Any]:
        """JSON values that the class reads back as settings with the same effect."""
        return self.model_dump(mode="json", context=_SPECIFICATION)

    def decisive_specification(self) -> dict[str, Any]:
        """The part of the specification that decides what comes out, which need not be complete."""
        return self.model_dump(mode="json", context=_CONTENT)

    def without_effect(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """(keys, what would give it an effect) of each setting that is there and has none beside the others."""
        unmet = self._unmet_needs()
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in unmet and value is not None:
                yield (name,), unmet[name]
            elif isinstance(value, Settings):
                yield from (((name, *keys), expected) for keys, expected in value.without_effect())

    def _unmet_needs(self) -> dict[str, str]:
        fields = type(self).model_fields
        needs = {name: need for name in fields if (need := _mark(fields[name], Needs))}
        # Each condition once: it may look at every step of a schedule.
        met = {condition: getattr(self, condition) for condition in {need.condition for need in needs.values()}}
        return {name: need.expected for name, need in needs.items() if not met[need.condition]}

    @model_serializer(mode="wrap")
    def _serialize(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        values = handler(self)
        if info.context not in (_SPECIFICATION, _CONTENT):
            return values
        unmet = self._unmet_needs()
        for name, field in type(self).model_fields.items():
            decides_nothing = info.context == _CONTENT and _mark(field, TimeOnly) is not None
            goes_without_saying = name in unmet or getattr(self, name) == default_of(field)
            if decides_nothing or (goes_without_saying and not is_named(field)):
                del values[name]
        return values


# What pydantic is asked to write, as the context of its serializers.
_SPECIFICATION, _CONTENT = "specification", "content"


def is_named(field: FieldInfo) -> bool:
    """Whether every specification names the setting: it has no default, is a union's tag, or is `Stated`."""
    is_tag = get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1
    return field.is_required() or is_tag or _mark(field, Stated) is not None


def default_of(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def _mark(field: FieldInfo, kind: type) -> Any:
    """The mark of this kind on a setting; None without."""
    return next((mark for mark in field.metadata if isinstance(mark, kind)), None)


def _distinct(values: Sequence) -> Sequence:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"expected each one once, got {value!r} twice")
    return values


Distinct = AfterValidator(_distinct)  # of a list in which nothing may stand twice
