"""Routers: which expert rows a step reads, and whether these join the advantage groups of its rollouts.

To add one, write the class and add it to `AnyRouter`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat

from chord.objectives.parts import OpenUnion, Part

if TYPE_CHECKING:
    from torch import Tensor


class Router(Part):
    """Decides where the expert rows of a step come from."""

    joins: ClassVar[bool] = False  # whether each expert row is a member of the group of its prompt's rollouts
    reads: ClassVar[Literal["experts", "traces"]] = "experts"  # the file of training rows


class Separate(Router):
    """Expert rows have prompts of their own, outside the groups; each term is divided by its own tokens (CHORD)."""

    name: Literal["separate"] = "separate"


class Joined(Router):
    """The expert's trace of each of the step's RL prompts is one more member of the group of its rollouts (LUFFY).

    Both terms are divided by the tokens of both, as the rows of one batch.
    """

    name: Literal["joined"] = "joined"
    scale: Literal["group", "none"] = Field(
        description="group: advantages are divided by the group's standard deviation + 1e-4, as GRPO's are; none: not"
    )

    joins: ClassVar[bool] = True
    reads: ClassVar[Literal["experts", "traces"]] = "traces"
    reads_entropies: ClassVar[bool] = False  # whether it needs the rollouts' entropies, which not every engine gives

    def advantages(self, rewards: Tensor, trace_rewards: Tensor, entropies: Tensor) -> tuple[Tensor, Tensor]:
        """Reward minus the mean over the group, its trace included; exactly 0 if all are equal.

        rewards: (groups, rollouts) of the rollouts; trace_rewards: (groups,); entropies: (groups, rollouts), the
        mean over each rollout's tokens, nats. Returns the advantages of rollouts and traces.
        """
        groups, rollouts = rewards.shape
        every = rewards.new_empty(groups, rollouts + 1)
        every[:, :-1], every[:, -1] = rewards, trace_rewards
        advantages = every - every.mean(1, keepdim=True)
        if self.scale == "group":
            advantages = advantages / (every.std(1, keepdim=True) + 1e-4)
        differ = (every != every[:, :1]).any(1, keepdim=True)
        advantages = advantages * differ  # otherwise the rounding of the mean of equal rewards remains
        return advantages[:, :-1], advantages[:, -1]


class SrftRouter(Joined):
    """As `joined`, but a rollout has the advantage positive * e^H if its reward is above 0, else -1 (arXiv 2506.19767).

    H is the rollout's mean token entropy, without gradient. The formula is second-hand; SRFT's divisors are unknown.
    """

    name: Literal["srft"] = "srft"
    positive: PositiveFloat

    reads_entropies: ClassVar[bool] = True

    def advantages(self, rewards: Tensor, trace_rewards: Tensor, entropies: Tensor) -> tuple[Tensor, Tensor]:
        """The advantages of traces are those of `joined`; those of rollouts depend on no other rollout."""
        _, of_traces = super().advantages(rewards, trace_rewards, entropies)
        return (self.positive * entropies.exp()).where(rewards > 0.0, -1.0), of_traces


AnyRouter = Annotated[Separate | Joined | SrftRouter, OpenUnion("chord.routers", Router)]
