"""What stands in the three kinds of YAML files: a study, a method, a benchmark.

Sections that are laid over each other (training defaults, method, override) or that lack a value which only the study knows
(its seed) stay plain here. `chord.study.study` puts them together and checks them against the settings class of the room
that runs the job, so a new key of a room needs no edit here.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, StringConstraints

from chord.training.spec import Validation

Section = dict[str, Any]
# Names become folders and wildcards; a dot is allowed for mu_0.02.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[0-9]+)?$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
BASE = "base"  # start_from of a method that starts at the study's model
RULES = (
    "prepare",
    "benchmark",
    "experts",
    "pretrain",
    "train",
    "generate",
    "score",
    "cells",
    "table",
    "figure",
    "report",
)
Rule = Literal[RULES]


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MethodFile(Settings):
    """A recipe. It has at most one stage of its own; the stages before it are those of the method it starts from."""

    title: Text = Field(description="how tables and figures call it")
    paper: Text = Field(description="the cell or figure of the paper it answers, with the paper's settings in words")
    start_from: str = Field(
        default=BASE, description="base (the study's model) or the method whose result is the start"
    )
    stage: Section | None = Field(
        default=None, description="the stage's kind and what differs from the study's training"
    )


class MethodOverride(Settings):
    """What one study changes of a method."""

    title: Text | None = None
    start_from: str | None = None
    stage: Section = Field(default_factory=dict)


class Training(Settings):
    """Settings that all stages of a kind share unless a method says otherwise."""

    sft: Section
    hybrid: Section


class Tuning(Settings):
    """Learning rates tried for each method, with a seed that no table shows, chosen on validation rows."""

    seed_index: NonNegativeInt
    learning_rates: dict[str, Annotated[list[PositiveFloat], Field(min_length=1)]]


class Resources(Settings):
    """What one job of a rule asks for."""

    threads: PositiveInt = 1
    mem_mb: PositiveInt
    minutes: PositiveInt = Field(description="upper limit; the scheduler may stop a longer job")
    gpus: NonNegativeInt = 0


class Cost(Settings):
    """Measured constants of the plan's estimate for one job with one thread: a guide, not a promise."""

    measured_on: Text
    train_tokens_per_second: PositiveFloat = Field(description="forward and backward, prompt and response tokens")
    generate_tokens_per_second: PositiveFloat = Field(description="response tokens")
    response_tokens: PositiveInt = Field(description="typical length of a response")
    prompt_tokens: PositiveInt = Field(description="typical length of a prompt")
    expert_tokens: PositiveInt = Field(description="typical length of an expert trajectory")
    start_seconds: PositiveFloat = Field(description="start of a job: imports and loading")


class Comparison(Settings):
    """Methods that one set of tables and figures puts side by side."""

    title: Text
    paper: Text = Field(description="the tables and figures of the paper it answers")
    methods: Annotated[list[str], Field(min_length=1)]
    references: list[str] = Field(description="methods that every other method is compared with, in pairs")
    figures: list[str] = Field(default_factory=list)


class StudyFile(Settings):
    title: Text
    question: Text = Field(description="what the study is asked, in a sentence or two")
    meaningful: bool = Field(description="false: its numbers mean nothing, and its report says so")
    model: Text = Field(description="start model: a folder relative to the repository root, or a hub id")
    base_model: Section | None = Field(default=None, description="how a rule trains `model` from nothing")
    seed: NonNegativeInt = Field(description="seed of the study; everything random is derived from it")
    seeds: PositiveInt = Field(description="runs of each method; their indices count from 0")
    data: Section
    experts: Section
    validation: Validation
    save_every: PositiveInt = Field(description="steps between two checkpoints")
    training: Training
    methods: Annotated[dict[Name, MethodOverride], Field(min_length=1)]
    benchmarks: Annotated[dict[Name, Section], Field(min_length=1)]
    comparisons: Annotated[dict[Name, Comparison], Field(min_length=1)]
    tuning: Tuning | None = None
    resources: dict[Rule, Resources]
    cost: Cost
