"""Schedules that read the gradients of the two terms apart: from their noise and distance, or from their norms."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, model_validator

from chord.objectives.schedules import NO_STATISTICS, Cosine, Gradients, RunStatistics, Schedule


class GradientNoise(Cosine):
    """mu from the noise of both gradients and their distance, near a prior, in small steps (GAC, arXiv 2605.26184).

    GAC's formula is mu* = (alpha d^2 + s_r^2) / (d^2 + s_s^2 + s_r^2). Here s_r^2 and s_s^2 are the variances
    E |g - E g|^2 of the gradients of L_rl and L_ex, and d^2 = |E g_ex - E g_rl|^2. With these, mu* gives
    (1 - mu) g_rl + mu g_ex the smallest mean squared error as an estimate of (1 - alpha) E g_rl + alpha E g_ex: as the
    noise of both is independent, the error is (1 - mu)^2 s_r^2 + mu^2 s_s^2 + (mu - alpha)^2 d^2. The prior is the
    cosine of the inherited settings.

    Only the formula, the prior's numbers, "EMA 0.99" and "change at most 0.01 a step" are known; GAC's code was not
    seen. The rest is our reading.

    Noise: the step's prompts are divided into two halves of n1 and n2, whose gradients h1 and h2 add up to g. As
    prompts are independent, n1 n2 |h1/n1 - h2/n2|^2 = (n2/n1) |h1|^2 + (n1/n2) |h2|^2 - 2 h1.h2 has the expected value
    s^2. (The division by the step's tokens is taken as a constant, and prompts as drawn with replacement.) Distance:
    |g_ex - g_rl|^2 has the expected value d^2 + s_s^2 + s_r^2, so d^2 is the excess over s_s^2 + s_r^2, at least 0.
    These three are averaged over the steps up to this one, with weights that fall by `memory` from step to step.

    Prior: after n steps a moving average still gives its start value the weight memory^n, and the prior takes that
    place. So mu moves towards memory^n * prior + (1 - memory^n) * mu*, by at most `cap` a step.
    """

    name: Literal["gradient_noise"] = "gradient_noise"
    alpha: Annotated[float, Field(ge=0.0, le=1.0, description="share of the expert's gradient in the estimated one")]
    memory: Annotated[float, Field(gt=0.0, lt=1.0, description="of the moving averages")]
    cap: PositiveFloat = Field(description="largest change of mu from one step to the next")

    separates: ClassVar[Literal["halves"]] = "halves"

    @model_validator(mode="after")
    def _prior_measures_both(self) -> "GradientNoise":
        if not 0.0 < min(self.peak, self.valley) <= max(self.peak, self.valley) < 1.0:
            raise ValueError(
                f"peak {self.peak} and valley {self.valley}: expected numbers above 0 and below 1, as every step "
                "measures both gradients"
            )
        return self

    def weights(self, step: int, statistics: RunStatistics = NO_STATISTICS) -> tuple[float, float]:
        """(a_rl, a_ex). Before the step's gradients are known: those of the prior."""
        mu = self.mu_at(step)
        if statistics.gradients:
            every = [*statistics.past_gradients, statistics.gradients]
            measured = [one for one in every if None not in (one.rl_grad_variance, one.expert_grad_variance)]
            trust = self.memory ** len(measured)
            target = trust * mu + (1.0 - trust) * self._best_mu(measured, mu)
            last = statistics.mus[-1] if statistics.mus else mu
            mu = min(max(target, last - self.cap), last + self.cap)
        return 1.0 - mu, mu

    def _best_mu(self, measured: list[Gradients], prior: float) -> float:
        """mu*; the prior where all of its parts are 0."""
        rl = self._average(one.rl_grad_variance for one in measured)
        expert = self._average(one.expert_grad_variance for one in measured)
        apart = self._average(one.rl_grad_norm**2 + one.expert_grad_norm**2 - 2.0 * one.grad_dot for one in measured)
        squared_bias = max(apart - rl - expert, 0.0)
        total = squared_bias + rl + expert
        return (self.alpha * squared_bias + rl) / total if total else prior

    def _average(self, values: Iterable[float]) -> float:
        """The moving average from 0, too small by the same factor for all of its uses."""
        average = 0.0
        for value in values:
            average = self.memory * average + (1.0 - self.memory) * value
        return average


class GradientNorms(Schedule):
    """mu with which both weighted gradients have the same norm: (1 - mu) |g_rl| = mu |g_ex|. Our formula.

    That is a_ex = a_rl |g_rl| / |g_ex| with weights that add up to 1. Reviewers of CHORD asked for such a baseline;
    none is published. Where one gradient is 0, as with equal rewards in every group, so is the weight of the other:
    such a step has no gradient at all.
    """

    name: Literal["gradient_norms"] = "gradient_norms"

    separates: ClassVar[Literal["terms"]] = "terms"

    def weights(self, step: int, statistics: RunStatistics = NO_STATISTICS) -> tuple[float, float]:
        """(a_rl, a_ex). Before the step's gradients are known: those of equal norms, 1/2 and 1/2."""
        if statistics.gradients is None:
            return 0.5, 0.5
        rl, expert = statistics.gradients.rl_grad_norm, statistics.gradients.expert_grad_norm
        mu = rl / (rl + expert) if rl + expert else 0.5
        return 1.0 - mu, mu
