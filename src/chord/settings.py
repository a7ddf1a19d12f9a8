"""What all settings classes share. Imports nothing but pydantic, so that a configuration is checked in a moment."""

from collections.abc import Sequence

from pydantic import AfterValidator, BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen, because a job's specification must not change under it; an unknown key is an error, and so is a number
    too large for a float."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _distinct(values: Sequence) -> Sequence:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"expected each one once, got {value!r} twice")
    return values


Distinct = AfterValidator(_distinct)  # of a list in which nothing may stand twice
