"""The interface of routers: what they are shown of a step, what they decide, and the base class."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from chord.objectives.parts import Part

if TYPE_CHECKING:
    from torch import Tensor

Scale = Literal["group", "none"]
SCALE = "group: advantages are divided by the group's standard deviation + 1e-4, as GRPO's are; none: not"


class Judged(NamedTuple):
    """A step's judged rollouts, (groups, rollouts), and the expert's trace of each group's prompt, (groups,)."""

    rewards: Tensor
    right: Tensor  # bool: what accuracy counts
    advantages: Tensor  # GRPO's, from the group's rollouts alone; exactly 0 where all rewards are equal
    entropies: Tensor  # mean over each rollout's tokens, nats; 0 if the router does not read them
    trace_rewards: Tensor
    prefix_tokens: Tensor  # int: how many tokens of the trace the rollout was given to continue

    def groups(self, value: bool) -> Tensor:
        """(groups,), bool: the value for every group."""
        return self.rewards.new_full(self.rewards.shape[:1], value).bool()


class Routes(NamedTuple):
    """What a router decides."""

    advantages: Tensor  # (groups, rollouts); a rollout with 0 has no gradient, but its tokens count
    kept: Tensor  # (groups,), bool: whose rollouts are in L_rl; tokens of the others count nowhere
    taught: Tensor  # (groups,), bool: whose trace, or prefix of it, is learnt
    trace_advantages: Tensor | None = None  # (groups,), if the router joins


class Router(Part):
    """Decides from which rollouts and which expert rows a step learns. The default: all rollouts, and no trace."""

    # The file of training rows: expert rows with prompts of their own, or the expert's trace of every RL prompt.
    reads: ClassVar[Literal["experts", "traces"]] = "traces"
    # Whether expert rows are members of groups: they have advantages, and both terms are divided by the tokens of both.
    joins: ClassVar[bool] = False
    # Whether the traces wait until there are expert_rows_per_step of them, for an SFT step of their own.
    waits: ClassVar[bool] = False
    # Whether rollouts continue a prefix of the trace, of which this prefix is then learnt, not the whole trace.
    prefixes: ClassVar[bool] = False
    reads_entropies: ClassVar[bool] = False  # whether it needs the rollouts' entropies, which not every engine gives

    def prefix_tokens(self, step: int, trace_tokens: int, rollouts: int, draws: Random) -> list[int]:
        """For each rollout of a group, how many first tokens of the trace it is given.

        step: counted from 1. trace_tokens: of the trace without its end token. draws: the group's own random numbers.
        """
        return [0] * rollouts

    def route(self, judged: Judged) -> Routes:
        """What becomes of each group."""
        return Routes(judged.advantages, kept=judged.groups(True), taught=judged.groups(False))


def centred(rewards: Tensor, scale: Scale = "none") -> Tensor:
    """Rewards minus the mean of each row, (groups, members); exactly 0 where all are equal. scale: see `SCALE`."""
    advantages = rewards - rewards.mean(1, keepdim=True)
    if scale == "group":
        advantages = advantages / (rewards.std(1, keepdim=True) + 1e-4)
    differ = (rewards != rewards[:, :1]).any(1, keepdim=True)
    return advantages * differ  # otherwise the rounding of the mean of equal rewards remains
