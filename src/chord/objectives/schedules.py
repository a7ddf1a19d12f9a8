"""Schedules: the weights (a_rl, a_ex) of the two losses, from the optimizer step and from statistics of the run.

`step` counts optimizer updates from 1, as the authors' code does (Trinity-RFT; ms-swift counts from 0). The trainer
reads the weights of a step again whenever it knows more: before it, to decide which terms to compute; when its rollouts
are judged; and when its gradients are known, if the schedule reads them. A plan reads them before there is a run: then
a schedule that depends on statistics gives its best guess.
This module has those that read the step alone. To add one, write the class and add it to `AnySchedule`, which is in
`chord.objectives.adaptive_schedules`.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from chord.objectives.parts import Part
from chord.settings import Needs


class Gradients(NamedTuple):
    """The gradients of L_rl and L_ex at one step, before their weights, over all ranks. Columns of `curves.csv`."""

    rl_grad_norm: float
    expert_grad_norm: float
    grad_dot: float  # their dot product
    # E |g - E g|^2, estimated from two halves of the step's prompts; None with fewer than two, or if nothing reads it
    rl_grad_variance: float | None = None
    expert_grad_variance: float | None = None


class RunStatistics(NamedTuple):
    """What a schedule may read. It is no extra state: all of it comes from the run's log, which checkpoints hold."""

    reward: float | None = None  # mean reward of the step's rollouts, over all ranks; None before there are any
    sft_norms: Sequence[float] = ()  # gradient norms, before clipping, of the earlier steps with a_rl = 0
    draw: float | None = None  # uniform in [0, 1), from the seed and the step; None before there is a run
    mus: Sequence[float] = ()  # of the earlier steps
    losses: Sequence[tuple[float, float]] = ()  # (mean reward, L_ex) of the earlier steps that had both terms
    past_gradients: Sequence[Gradients] = ()  # of the earlier steps at which they were measured
    gradients: Gradients | None = None  # of this step; None before they are known
    held_out_nlls: Sequence[float] = ()  # mean -log p of the held-out expert rows, whenever it was measured


NO_STATISTICS = RunStatistics()
Mu = Annotated[float, Field(ge=0.0, le=1.0)]


class Schedule(Part):
    """The weights of the two losses at each step."""

    # What of the step's gradient is measured apart, at each step whose first guess has weight on both terms: the two
    # terms, or also two halves of each. A step then has more passes, and memory for one or two more gradients.
    separates: ClassVar[Literal["nothing", "terms", "halves"]] = "nothing"

    @abstractmethod
    def weights(self, step: int, statistics: RunStatistics = NO_STATISTICS) -> tuple[float, float]:
        """(a_rl, a_ex) for the update number `step`, counted from 1."""

    @property
    def held_out_rows(self) -> int:
        """How many expert rows, the last ones, are kept from training, to measure -log p on them."""
        return 0

    def measures(self, step: int, statistics: RunStatistics) -> bool:
        """Whether -log p of the held-out rows is measured before the update number `step`."""
        return False


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
