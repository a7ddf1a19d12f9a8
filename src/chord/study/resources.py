"""What the jobs of a study request, and what they cost."""

from typing import Any

from pydantic import AliasChoices, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from chord.settings import Settings
from chord.study.yaml_values import Minutes, Text


def _under_either_name(schema: dict) -> None:
    schema["properties"]["runtime"] = schema["properties"]["minutes"]
    schema["required"].remove("minutes")
    schema["oneOf"] = [{"required": ["minutes"]}, {"required": ["runtime"]}]


class Resources(Settings):
    """The resources that one job requests, on each node if it has several."""

    model_config = ConfigDict(json_schema_extra=_under_either_name)

    threads: PositiveInt = 1
    mem_mb: PositiveInt
    minutes: Minutes = Field(
        validation_alias=AliasChoices("minutes", "runtime"),
        description="upper limit: a number, or a time such as 1h30m; Snakemake's own name, runtime, is accepted too; "
        "the scheduler may stop a longer job",
    )
    gpus: NonNegativeInt = 0

    @model_validator(mode="before")
    @classmethod
    def _one_limit(cls, values: Any) -> Any:
        if isinstance(values, dict) and {"minutes", "runtime"} <= values.keys():
            raise ValueError("minutes: expected no runtime as well, which is another name for it")
        return values


class Cost(Settings):
    """The basis of the plan's estimates: speeds measured with one thread, or the data sheet of a GPU (docs/plan.md)."""

    gpu: Text | None = Field(
        default=None, description="a GPU in config/gpus.yaml; speeds are derived from its data sheet"
    )
    gpus: PositiveInt = Field(default=1, description="number of such GPUs that the jobs share")
    measured_on: Text | None = None
    train_tokens_per_second: PositiveFloat | None = Field(
        default=None, description="forward and backward, prompt and response tokens"
    )
    generate_tokens_per_second: PositiveFloat | None = Field(default=None, description="response tokens")
    response_tokens: PositiveInt = Field(description="typical length of a response")
    prompt_tokens: PositiveInt = Field(description="typical length of a prompt")
    expert_tokens: PositiveInt = Field(description="typical length of an expert trajectory")
    start_seconds: PositiveFloat = Field(description="time to start a job that loads a model")
    light_seconds: PositiveFloat = Field(description="time of a job that loads no model: scores, tables, figures")

    @model_validator(mode="after")
    def _speeds_or_a_gpu(self) -> "Cost":
        measured = [self.measured_on, self.train_tokens_per_second, self.generate_tokens_per_second]
        if self.gpu is None and None in measured:
            raise ValueError(
                "gpu: missing; expected a GPU, or measured_on, train_tokens_per_second and generate_tokens_per_second"
            )
        if self.gpu is not None and measured != [None] * 3:
            raise ValueError("gpu: expected either a GPU or measured speeds, not both")
        return self
