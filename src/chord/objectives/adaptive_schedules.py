"""Schedules that read rewards, losses or gradient norms of the run, and the union of all schedules.

They hold no state: what they remember is worked out anew from `RunStatistics` at each step, so a resumed run needs
nothing but its log.
"""

import math
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from chord.objectives.gradient_schedules import GradientNoise, GradientNorms
from chord.objectives.parts import OpenUnion
from chord.objectives.schedules import (
    NO_STATISTICS,
    Constant,
    Cosine,
    Free,
    Linear,
    RunStatistics,
    Schedule,
    Step,
)


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


class Uncertainty(Schedule):
    """a = 1 / (2 sigma^2) for each term, with a sigma that is learnt (Kendall et al., CVPR 2018, arXiv 1705.07115).

    Theirs: L = sum of L_i / (2 sigma_i^2) + log sigma_i. With s_i = log sigma_i^2, which starts at 0, a step of
    gradient descent is s_i -= lr * (1 - exp(-s_i) L_i) / 2, and at rest a_i = 1 / (2 L_i): the weights need not add up
    to 1. Ours: L_rl is 1 - mean reward, as the on-policy surrogate has a value of about 0, with which its weight would
    grow without end; |s| is bounded, as a reward of 1 gives the value 0 too; and s has a rate of its own and no
    momentum.
    """

    name: Literal["uncertainty"] = "uncertainty"
    lr: PositiveFloat = Field(description="of s = log sigma^2")
    limit: PositiveFloat = Field(description="largest |s|: weights are between exp(-limit) / 2 and exp(limit) / 2")

    def weights(self, step: int, statistics: RunStatistics = NO_STATISTICS) -> tuple[float, float]:
        """(a_rl, a_ex), learnt from the earlier steps. Before there is a run: the first ones, 1/2 and 1/2."""
        s_rl = s_ex = 0.0
        for reward, expert_loss in statistics.losses:
            s_rl, s_ex = self._learn(s_rl, 1.0 - reward), self._learn(s_ex, expert_loss)
        return 0.5 * math.exp(-s_rl), 0.5 * math.exp(-s_ex)

    def _learn(self, s: float, loss: float) -> float:
        s -= 0.5 * self.lr * (1.0 - math.exp(-s) * loss)
        return min(max(s, -self.limit), self.limit)


class Plateau(Schedule):
    """SFT until its validation loss no longer falls, then RL (RETU, arXiv 2512.11470, of which we know the abstract).

    Our reading of "plateau": the loss, mean -log p over the tokens of expert rows that no step trains on, is measured
    before the first step and then after every `every` steps. If `patience` measurements in a row are not below the
    lowest one by a share of more than `threshold`, RL begins, and there is no way back. One stage has one optimizer
    and one learning rate for both parts, and its `steps` are those of both.
    """

    name: Literal["plateau"] = "plateau"
    held_out: PositiveInt = Field(
        description="expert rows, the last ones, for the validation loss; none trains on them"
    )
    every: PositiveInt = Field(description="steps between two measurements")
    patience: PositiveInt = Field(description="measurements in a row without progress that make a plateau")
    threshold: float = Field(ge=0.0, lt=1.0, description="progress is a loss below (1 - threshold) times the lowest")

    @property
    def held_out_rows(self) -> int:
        return self.held_out

    def measures(self, step: int, statistics: RunStatistics) -> bool:
        return (step - 1) % self.every == 0 and not self._is_reached(statistics)

    def weights(self, step: int, statistics: RunStatistics = NO_STATISTICS) -> tuple[float, float]:
        """(0, 1), and (1, 0) from the plateau on. Before there is a run: with the earliest plateau possible."""
        earliest = step > self.every * self.patience  # a plan must reckon with the most rollouts
        is_rl = self._is_reached(statistics) if statistics.held_out_nlls else earliest
        return (1.0, 0.0) if is_rl else (0.0, 1.0)

    def _is_reached(self, statistics: RunStatistics) -> bool:
        lowest, without_progress = math.inf, 0
        for nll in statistics.held_out_nlls:
            if nll < (1.0 - self.threshold) * lowest:
                lowest, without_progress = nll, 0
            else:
                without_progress += 1
            if without_progress == self.patience:
                return True
        return False


AnySchedule = Annotated[
    Constant
    | Linear
    | Cosine
    | Step
    | Free
    | RewardDriven
    | Sasr
    | GradientNoise
    | GradientNorms
    | Uncertainty
    | Plateau,
    OpenUnion("chord.schedules", Schedule),
]
