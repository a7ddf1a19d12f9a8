"""What the commands `prepare` and `benchmark` are told: where rows come from, and how many. Imports no torch."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from chord.data.skills import GROUPS
from chord.data.world import MAX_K, MIN_K
from chord.settings import Settings

Difficulty = Annotated[int, Field(ge=MIN_K, le=MAX_K)]
Difficulties = Annotated[tuple[Difficulty, ...], Field(min_length=1, description="needed quantities, in turn")]


class WorldSource(Settings):
    """Problems of the synthetic world."""

    kind: Literal["world"] = "world"
    k: Difficulties = (3, 4, 5)


class SkillsSource(Settings):
    """Four-choice questions that have nothing to do with the world."""

    kind: Literal["skills"] = "skills"
    groups: Annotated[tuple[Literal[GROUPS], ...], Field(min_length=1)] = GROUPS


class PrepareSpec(Settings):
    """Training prompts of a study."""

    seed: NonNegativeInt
    source: WorldSource = WorldSource()
    sft: PositiveInt = Field(description="prompts for which expert trajectories are made")
    rl: PositiveInt = Field(description="prompts of RL")
    validation: PositiveInt = Field(description="prompts on which checkpoints and learning rates are chosen")


class BenchmarkSpec(Settings):
    """Test questions of one benchmark."""

    seed: NonNegativeInt
    name: str
    source: Annotated[WorldSource | SkillsSource, Field(discriminator="kind")]
    rows_per_group: PositiveInt = Field(description="questions of every tier or skill")
