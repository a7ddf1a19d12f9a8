"""What a claims file says (config/claims/<name>.yaml): sentences, each with tests. Imports nothing heavy.

A claims file names methods by their standard names and benchmarks by their role, so that it works for any study.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from chord.analysis.specs import ALL, Metric, ShownMethod
from chord.analysis.yaml_settings import read_settings
from chord.settings import Settings

Role = Literal["target", "unrelated"]
Scope = Literal["main", "all"]
SCOPES: tuple[Scope, ...] = ("main", ALL)
Column = Literal["validation_accuracy", "validation_response_tokens", "reward_mean", "entropy", "response_tokens_mean"]
Part = Literal["start", "end", "highest", "lowest"]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
ClaimName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class Difference(Settings):
    """method - reference on the benchmarks of a role, paired by seed and question."""

    kind: Literal["difference"]
    method: str
    reference: str
    role: Role = Field(description="which benchmarks: target (what is trained for) or unrelated; a test for each")
    metric: Metric = "accuracy"

    @property
    def methods(self) -> tuple[str, ...]:
        return (self.method, self.reference)


class Change(Settings):
    """One part of a training curve minus another; with a reference, minus the same of that method, paired by seed."""

    kind: Literal["change"]
    method: str
    reference: str | None = None
    column: Column = Field(description="column of curves.csv")
    of: Part
    minus: Part
    before: float = Field(1.0, gt=0, le=1, description="highest and lowest are those of this first share of training")
    log: bool = Field(False, description="difference of natural logarithms, that is the log of the ratio")

    @property
    def methods(self) -> tuple[str, ...]:
        return (self.method,) if self.reference is None else (self.method, self.reference)


class Position(Settings):
    """Where a part of the curve of response lengths lies between the start model (0) and the expert (1)."""

    kind: Literal["position"]
    method: str
    of: Part

    @property
    def methods(self) -> tuple[str, ...]:
        return (self.method,)


Statistic = Annotated[Difference | Change | Position, Field(discriminator="kind")]


class Test(Settings):
    """A statement about one statistic, which the 95 % interval can support or contradict."""

    __test__ = False  # no test of pytest

    statistic: Statistic
    rule: Literal["above", "at_most", "within"] = Field(
        description="the statistic is above the margin; at most the margin; within the margin on both sides of 0"
    )
    margin: float = Field(
        allow_inf_nan=False, description="in the statistic's unit: shares as shares (0.01 is one point), logs as logs"
    )
    why: Text = Field(description="why this margin")

    @model_validator(mode="after")
    def _within_needs_room(self) -> "Test":
        if self.rule == "within" and self.margin < 0:
            raise ValueError("margin: expected 0 or more for the rule within")
        return self


class Claim(Settings):
    """A sentence of the paper in our own words. It is supported if all its tests are."""

    sentence: Text
    paper: Text = Field(description="where the paper says it")
    tests: Annotated[list[Test], Field(min_length=1)]


class ClaimsFile(Settings):
    """Claims about methods, written before the results that they are tested on."""

    title: Text
    source: Text = Field(description="the paper that makes the claims")
    claims: Annotated[dict[ClaimName, Claim], Field(min_length=1)]


class JudgedBenchmark(Settings):
    name: str
    title: str
    role: Role


class ClaimsSpec(Settings):
    """The part of a study on which the claims are judged."""

    methods: Annotated[tuple[ShownMethod, ...], Field(min_length=1)] = Field(
        description="the methods whose runs are judged"
    )
    elsewhere: tuple[ShownMethod, ...] = Field(
        (), description="the study's other methods, which `snakemake claims` judges"
    )
    benchmarks: Annotated[tuple[JudgedBenchmark, ...], Field(min_length=1)]


def read_claims(path: Path) -> ClaimsFile:
    """As `read_settings`. (`chord check` also guesses what was meant.)"""
    return read_settings(ClaimsFile, path)
