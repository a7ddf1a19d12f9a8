"""Schedules: the weights (a_rl, a_ex) of the two losses, from the optimizer step and from statistics of the run.

`step` counts optimizer updates from 1, as the authors' code does (Trinity-RFT; ms-swift counts from 0). The trainer
reads the weights of a step twice: before it, to decide whether to sample rollouts, and again when these are judged. A
plan reads them before there is a run: then a schedule that depends on statistics gives its best guess.
To add one, write the class and add it to `AnySchedule`.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from chord.objectives.parts import OpenUnion, Part
from chord.settings import Needs


class RunStatistics(NamedTuple):
    """What a schedule may read. It is no extra state: all of it comes from the run's log, which checkpoints hold."""

    reward: float | None = None  # mean reward of the step's rollouts, over all ranks; None before there are any
    sft_norms: Sequence[float] = ()  # gradient norms, before clipping, of the earlier steps with a_rl = 0
    draw: float | None = None  # uniform in [0, 1), from the seed and the step; None before there is a run


NO_STATISTICS = RunStatistics()
Mu = Annotated[float, Field(ge=0.0, le=1.0)]


class Schedule(Part):
    """The weights of the two losses at each step."""

    @abstractmethod
    def weights(self, step: int, statistics: RunStatistics = NO_STATISTICS) -> tuple[float, float]:
        """(a_rl, a_ex) for the update number `step`, counted from 1."""


class MuSchedule(Schedule):
    """A convex mixture, L = (1 - mu) L_rl + mu L_ex (paper, eq. 3); subclasses give mu."""

    @abstractmethod
    def mu_at(self, step: int) -> float:
        """mu for the update number `step`, counted from 1."""

    def weights(self, step: int, statistics: RunStatistics = NO_STATISTICS) -> tuple[float, float]:
        mu = self.mu_at(step)
        return 1.0 - mu, mu


class Constant(MuSchedule):
    """The same mu at every step: 0 is GRPO, 1 is SFT, 0.1 with phi is CHORD-phi (paper, section 4.3)."""

    name: Literal["constant"] = "constant"
    mu: Mu

    def mu_at(self, step: int) -> float:
        return self.mu


class Linear(MuSchedule):
    """A straight line from `start` (at step 0) to `end` (from step `steps` on)."""

    name: Literal["linear"] = "linear"
    start: Mu
    end: Mu
    steps: Annotated[PositiveInt, Needs("changes", "an end other than start")]

    @property
    def changes(self) -> bool:
        return self.start != self.end

    def mu_at(self, step: int) -> float:
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)


class Cosine(MuSchedule):
    """Linear warm-up from 0 to `peak`, then cosine decay to `valley`: CHORD-mu as the public code has it.

    The paper (v3) does not state the shape of the decay; Trinity-RFT and ms-swift share this function.
    With warmup + decay of 0 or 1 that code gives `valley` from the first update on, never `peak`; here it is an error.
    """

    name: Literal["cosine"] = "cosine"
    warmup: NonNegativeInt
    decay: Annotated[NonNegativeInt, Needs("decays", "a valley other than peak")]
    peak: Mu
    valley: Mu

    @property
    def decays(self) -> bool:
        return self.peak != self.valley

    @model_validator(mode="after")
    def _peak_must_count(self) -> "Cosine":
        if self.warmup + self.decay <= 1 and self.peak != self.valley:
            raise ValueError(
                f"warmup {self.warmup} and decay {self.decay} would ignore peak {self.peak} and use valley "
                f"{self.valley} from the first step; expected warmup + decay above 1, or {{name: constant}}"
            )
        return self

    def mu_at(self, step: int) -> float:
        if step < self.warmup:
            return step / self.warmup * self.peak
        if step >= self.warmup + self.decay:
            return self.valley
        progress = (step - self.warmup) / self.decay
        return self.valley + (self.peak - self.valley) * 0.5 * (1.0 + math.cos(math.pi * progress))


class Step(MuSchedule):
    """`before` for the first `steps` updates, `after` from then on; 1 -> 0 is SFT-then-RL inside one run."""

    name: Literal["step"] = "step"
    steps: Annotated[PositiveInt, Needs("changes", "an after other than before")]
    before: Mu
    after: Mu

    @property
    def changes(self) -> bool:
        return self.before != self.after

    def mu_at(self, step: int) -> float:
        return self.before if step <= self.steps else self.after


class Free(Schedule):
    """Constant weights that need not add up to 1: L = rl * L_rl + expert * L_ex."""

    name: Literal["free"] = "free"
    rl: NonNegativeFloat
    expert: NonNegativeFloat

    @model_validator(mode="after")
    def _one_counts(self) -> "Free":
        if self.rl == self.expert == 0.0:
            raise ValueError("rl and expert are both 0; expected one of them above 0")
        return self

    def weights(self, step: int, statistics: RunStatistics = NO_STATISTICS) -> tuple[float, float]:
        """(a_rl, a_ex), the same at every step."""
        return self.rl, self.expert


class RewardDriven(Schedule):
    """mu = threshold - mean reward of the step's rollouts, within [0, 1] (paper, appendix B.1 and Table 3).

    The paper writes max(0, threshold - mean reward), which is above 1 if rewards reach -1: we cut it off.
    """

    name: Literal["reward_driven"] = "reward_driven"
    threshold: float = Field(gt=0.0, lt=1.0)

    def weights(self, step: int, statistics: RunStatistics = NO_STATISTICS) -> tuple[float, float]:
        """(a_rl, a_ex). Without a reward: those of mean reward 0, the largest mu unless rewards are negative."""
        mu = min(max(0.0, self.threshold - (statistics.reward or 0.0)), 1.0)
        return 1.0 - mu, mu


class Sasr(Schedule):
    """SFT for `warmup` steps; from then on each step is SFT with probability p, else GRPO (SASR, arXiv 2505.13026).

    p = G / (G + gamma * G_warm). G is the gradient norm of the last SFT step, G_warm that of the last warm-up step.
    The formula is second-hand; it was not checked against SASR's own text or code.
    """

    name: Literal["sasr"] = "sasr"
    warmup: PositiveInt
    gamma: PositiveFloat

    def weights(self, step: int, statistics: RunStatistics = NO_STATISTICS) -> tuple[float, float]:
        """(a_rl, a_ex): (0, 1) or (1, 0). Before there is a run, their expected values with G = G_warm."""
        if step <= self.warmup:
            return 0.0, 1.0
        if statistics.draw is None:
            return self.gamma / (1.0 + self.gamma), 1.0 / (1.0 + self.gamma)
        last, warm = statistics.sft_norms[-1], statistics.sft_norms[self.warmup - 1]
        return (0.0, 1.0) if statistics.draw < last / (last + self.gamma * warm) else (1.0, 0.0)


AnySchedule = Annotated[
    Constant | Linear | Cosine | Step | Free | RewardDriven | Sasr, OpenUnion("chord.schedules", Schedule)
]
