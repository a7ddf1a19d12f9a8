"""The base class of all settings, and the specification that a job gets from them.

This module imports nothing but pydantic, so that checking a configuration is fast. A job gets its specification as
input, and its manifest records it and its hash. The specification omits

- settings at their default, so that a new setting does not change the hash of jobs that do not use it. A changed
  default would run no job again; tests/unit/test_defaults.py pins all defaults and says what to do;
- settings that have no effect in combination with the others (`Needs`), so that changing them runs no job again.

It always contains the tags by which a union chooses its member (`kind`, `name`) and settings marked `Stated`.
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

    condition: str  # name of a property of the class
    expected: str  # the settings that would give it an effect, for a message


@dataclass(frozen=True)
class Stated:
    """Marks a setting that specifications contain even at its default, as something reads it or the default changed."""


@dataclass(frozen=True)
class TimeOnly:
    """Marks a setting that changes the time of a job but never its result."""


class Settings(BaseModel):
    """The base class. It is frozen, because the specification of a job must not change while the job runs.

    Unknown keys are errors, and so are numbers that are too large for a float.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def specification(self) -> dict[str, Any]:
        """JSON values from which the class can restore settings with the same effect."""
        return self.model_dump(mode="json", context=_SPECIFICATION)

    def decisive_specification(self) -> dict[str, Any]:
        """The part of the specification that decides the result; the class may not be able to read it."""
        return self.model_dump(mode="json", context=_CONTENT)

    def without_effect(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield (keys, what would give it an effect) for each setting without effect."""
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
        # Evaluate each condition once, because it may go through every step of a schedule.
        is_met = {condition: getattr(self, condition) for condition in {need.condition for need in needs.values()}}
        return {name: need.expected for name, need in needs.items() if not is_met[need.condition]}

    @model_serializer(mode="wrap")
    def _serialize(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        values = handler(self)
        if info.context not in (_SPECIFICATION, _CONTENT):
            return values
        unmet = self._unmet_needs()
        for name, field in type(self).model_fields.items():
            decides_nothing = info.context == _CONTENT and _mark(field, TimeOnly) is not None
            is_redundant = name in unmet or getattr(self, name) == default_of(field)
            if decides_nothing or (is_redundant and not is_always_stated(field)):
                del values[name]
        return values


# Contexts of pydantic's serializers, which say what to write.
_SPECIFICATION, _CONTENT = "specification", "content"


def is_always_stated(field: FieldInfo) -> bool:
    """Whether every specification contains the setting: it has no default, is the tag of a union, or is `Stated`."""
    is_tag = get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1
    return field.is_required() or is_tag or _mark(field, Stated) is not None


def default_of(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def _mark(field: FieldInfo, kind: type) -> Any:
    """The mark of this kind on a setting, if any."""
    return next((mark for mark in field.metadata if isinstance(mark, kind)), None)


def _distinct(values: Sequence) -> Sequence:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"expected each one once, got {value!r} twice")
    return values


Distinct = AfterValidator(_distinct)  # for a list without duplicates
