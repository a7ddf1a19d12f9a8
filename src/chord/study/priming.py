"""The section `priming` of a study: a short SFT of its model, once, that all methods start from.

A model that has never seen the format of an answer makes no right one, so that RL has nothing to reinforce. Priming
gives the policy the format, and a style of its own. It is no part of any method, and the same for all seeds.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from chord.evaluation.start_gates_spec import StartGates
from chord.experts.experts_spec import ExpertsSpec
from chord.settings import Settings
from chord.study.yaml_values import DERIVED, Partial, Section
from chord.training.train_spec import SftStage

UNPRIMED = "unprimed"  # start_from of a method that starts from the model itself
SEED_INDEX = 0  # of the SFT, which reads rows that no method reads


class PrimingSection(Settings):
    """The section as the file has it."""

    experts: Annotated[Section, Partial(ExpertsSpec, without=DERIVED)] = Field(
        description="who answers the prompts of data.priming"
    )
    stage: Annotated[Section, Partial(SftStage, without=("kind",))] = Field(
        description="where the SFT differs from training.sft"
    )
    gates: StartGates = StartGates()


@dataclass(frozen=True)
class Priming:
    """The section, completed."""

    experts: ExpertsSpec
    stage: SftStage
    gates: StartGates
