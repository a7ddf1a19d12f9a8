"""Routers: which rollouts and which expert rows a step learns from (`chord.objectives.routing` has the interface).

To add one, write the class and add it to `AnyRouter`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat

from chord.objectives.parts import OpenUnion
from chord.objectives.prefixes import Hint, Prefix
from chord.objectives.routing import SCALE, Judged, Router, Routes, Scale, centred


class Separate(Router):
    """Expert rows have prompts of their own, outside the groups; each term is divided by its own tokens (CHORD)."""

    name: Literal["separate"] = "separate"

    reads: ClassVar[Literal["experts", "traces"]] = "experts"


class Joined(Router):
    """The expert's trace of each of the step's RL prompts is one more member of the group of its rollouts (LUFFY).

    Both terms are divided by the tokens of both, as the rows of one batch.
    """

    name: Literal["joined"] = "joined"
    scale: Scale = Field(description=SCALE)

    joins: ClassVar[bool] = True

    def route(self, judged: Judged) -> Routes:
        """Advantages are rewards minus the mean over the group, its trace included."""
        groups, rollouts = judged.rewards.shape
        every = judged.rewards.new_empty(groups, rollouts + 1)
        every[:, :-1], every[:, -1] = judged.rewards, judged.trace_rewards
        advantages = centred(every, self.scale)
        return Routes(advantages[:, :-1], judged.groups(True), judged.groups(True), advantages[:, -1])


class SrftRouter(Joined):
    """As `joined`, but a rollout has the advantage positive * e^H if its reward is above 0, else -1 (arXiv 2506.19767).

    H is the rollout's mean token entropy, without gradient. The formula is second-hand; SRFT's divisors are unknown.
    """

    name: Literal["srft"] = "srft"
    positive: PositiveFloat

    reads_entropies: ClassVar[bool] = True

    def route(self, judged: Judged) -> Routes:
        """The advantages of traces are those of `joined`; those of rollouts depend on no other rollout."""
        advantages = (self.positive * judged.entropies.exp()).where(judged.rewards > 0.0, -1.0)
        return super().route(judged)._replace(advantages=advantages)


class Gate(Router):
    """Of a prompt that the policy hardly ever solves, the trace is learnt and the rollouts are dropped; else RL alone.

    With success right and gamma 0 the gate is HPT's (arXiv 2509.04419); with rewarded and 0 that of SuperRL's second
    version (arXiv 2506.01096, of which we know the abstracts only). Each term is divided by its own tokens: L_rl by
    those of the rollouts that are kept, L_ex by those of the traces that are learnt. HPT takes the token mean of the
    traces too, but divides the RL sum by a constant length; SuperRL's divisors are unknown.
    """

    name: Literal["gate"] = "gate"
    success: Literal["right", "rewarded"] = Field(
        description="what counts as a success: right: a correct answer; rewarded: a reward above 0"
    )
    gamma: float = Field(ge=0.0, le=1.0, description="the largest share of successes with which a prompt is taught")
    scale: Scale = Field(description=SCALE)

    def route(self, judged: Judged) -> Routes:
        successes = judged.right if self.success == "right" else judged.rewards > 0.0
        # Counts are compared, as a share such as 3 / 10 need not be the float that stands in a configuration.
        taught = successes.sum(1) <= self.gamma * successes.shape[1] + 1e-6
        advantages = judged.advantages if self.scale == "group" else centred(judged.rewards)
        return Routes(advantages, kept=~taught, taught=taught)


class Buffered(Router):
    """Traces of prompts that no rollout solved wait until an SFT step learns the oldest of them (ReLIFT, 2506.07527).

    Once expert_rows_per_step of them wait, the next step is this SFT step: it samples nothing and learns from the
    oldest ones. All other steps are RL alone. In ReLIFT's code the SFT update comes on top of an RL step and has AdamW
    moments of its own; here it is one of the run's steps and shares the optimizer, so it also takes that step's prompts
    from RL. Each term is divided by its own tokens, the only ones of their step.
    """

    name: Literal["buffered"] = "buffered"
    scale: Scale = Field(description=SCALE)

    waits: ClassVar[bool] = True

    def route(self, judged: Judged) -> Routes:
        advantages = judged.advantages if self.scale == "group" else centred(judged.rewards)
        return Routes(advantages, kept=judged.groups(True), taught=~judged.right.any(1))


AnyRouter = Annotated[
    Separate | Joined | SrftRouter | Gate | Buffered | Hint | Prefix, OpenUnion("chord.routers", Router)
]
