"""What all settings classes share. Imports nothing but pydantic, so that a configuration is checked in a moment."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen, because a job's specification must not change under it; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
