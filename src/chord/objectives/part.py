"""What all parts of the objective share: frozen settings that refuse unknown keys."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Settings of one part. `name` in each subclass is the value a method's YAML chooses it by."""

    model_config = ConfigDict(frozen=True, extra="forbid")
