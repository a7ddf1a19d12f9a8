"""The loss as pure functions of tensors, L = a_rl * L_rl + a_ex * L_ex, and the objective that puts its parts together.

Each term is a sum over tokens, divided by a count that is an argument: the token count of the whole optimizer step,
over all micro-batches and ranks. So the terms of micro-batches add up to those of the step, however its rows are split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from chord.objectives.distillation import Distillation, SampledTokens
from chord.objectives.expert_losses import ExpertLoss, Nll
from chord.objectives.importance_correction import ImportanceCorrection
from chord.objectives.routers import Separate
from chord.objectives.routing import Router
from chord.objectives.schedules import NO_STATISTICS, RunStatistics, Schedule
from chord.objectives.token_weights import EqualMass, ExpertTokens, One, TokenWeight

if TYPE_CHECKING:  # tensors bring their own methods, so a configuration is checked without torch
    from torch import Tensor

Normalisation = Literal["global", "trinity", "ms_swift"]


def policy_loss(
    logp: Tensor,
    old_logp: Tensor,
    advantages: Tensor,
    mask: Tensor,
    count: float | Tensor,
    clip: float = 0.2,
    weight: float | Tensor = 1.0,
) -> Tensor:
    """L_GRPO: -min(r A, clip(r, 1-clip, 1+clip) A), r = exp(logp - old_logp), summed over the mask, divided by count.

    This is PPO's clipped surrogate as GRPO uses it (paper, eq. 2; no KL term). With one update per batch of rollouts
    (strict on-policy) r is 1 and the gradient is -A grad log pi. The paper does not state clip; the public code has
    0.2.

    logp, old_logp: (rows, tokens), natural log; old_logp without gradient. advantages: (rows,), normalised in groups,
    or (rows, tokens) if each token has its own. mask: (rows, tokens), 1 or True at response tokens. count: response
    tokens of all rollouts of the optimizer step. weight: of each token, (rows, tokens), without gradient
    (`ImportanceCorrection`); the count stays that of all tokens. Returns a scalar.
    """
    ratio = (logp - old_logp).exp()
    if advantages.ndim < logp.ndim:
        advantages = advantages.unsqueeze(-1)
    unclipped = ratio * advantages
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip) * advantages
    return _share(weight * -unclipped.minimum(clipped), mask, count)


def distilled_policy_loss(
    tokens: SampledTokens,
    advantages: Tensor,
    mask: Tensor,
    count: float | Tensor,
    distillation: Distillation,
    clip: float = 0.2,
    weight: float | Tensor = 1.0,
) -> Tensor:
    """`policy_loss` of a strictly on-policy step whose tokens also learn from a teacher.

    tokens: fields of (rows, tokens). advantages: (rows,), of the rewards. mask, count, weight: as in `policy_loss`.
    Returns a scalar.
    """
    by_token = distillation.advantages(advantages, tokens)
    rewarded = policy_loss(tokens.logp, tokens.logp.detach(), by_token, mask, count, clip, weight)
    return rewarded + _share(weight * distillation.loss(tokens), mask, count)


def expert_loss(
    tokens: ExpertTokens,
    mask: Tensor,
    count: float | Tensor,
    weight: TokenWeight | Tensor = One(),
    loss: ExpertLoss = Nll(),
) -> Tensor:
    """L_SFT: w_t * l_t, summed over the mask, divided by count (paper, eq. 1; with the token weight phi, eq. 6).

    tokens: fields of (rows, tokens). mask: (rows, tokens), 1 or True at response tokens. count: response tokens of all
    expert rows of the optimizer step. weight: gives w from these tokens; or w itself, (rows, tokens), if it depends on
    tokens of other micro-batches. Returns a scalar.
    """
    weights = weight.of_batch(tokens, mask) if isinstance(weight, TokenWeight) else weight
    return _share(weights * loss(tokens), mask, count)


def hybrid_loss(rl: Tensor | float, expert: Tensor | float, a_rl: float, a_ex: float) -> Tensor:
    """L = a_rl * L_rl + a_ex * L_ex; with (a_rl, a_ex) = (1 - mu, mu) the paper's eq. 3.

    rl, expert: scalars of `policy_loss` and `expert_loss`; 0.0 for a term of which a micro-batch has no rows.
    """
    return a_rl * rl + a_ex * expert


def _share(values: Tensor, mask: Tensor, count: float | Tensor) -> Tensor:
    """The micro-batch's share of a mean over the tokens of the optimizer step."""
    return (values * mask).sum() * (1.0 / count)


def divisors(tokens: Sequence[int], rows: Sequence[int], rule: Normalisation) -> list[float]:
    """The `count` of each micro-batch of one optimizer step; all ranks' micro-batches are listed.

    tokens, rows: loss tokens and sequences of every micro-batch. One without tokens gets infinity: it adds nothing.

    global: all tokens, so that the split changes nothing (paper, eq. 1 and 2).
    trinity: mean over the micro-batch's tokens, micro-batches weighted by their share of sequences (Trinity-RFT).
    ms_swift: mean over the micro-batch's tokens, micro-batches weighted equally (ms-swift).
    """
    if rule == "global":
        return [sum(tokens) or float("inf")] * len(tokens)
    all_rows = sum(rows)
    return [
        n_tokens * (all_rows / n_rows if rule == "trinity" else len(tokens)) if n_tokens else float("inf")
        for n_tokens, n_rows in zip(tokens, rows, strict=True)
    ]


@dataclass(frozen=True)
class Objective:
    """What a method optimises: Objective(Constant(mu=0.1), Power(a=1, b=1)) is CHORD-phi.

    The parts may be a researcher's own subclasses; only a configuration needs them to have a known name.
    """

    schedule: Schedule
    token_weight: TokenWeight = One()
    expert_loss: ExpertLoss = Nll()
    router: Router = Separate()
    clip: float = 0.2
    distillation: Distillation | None = None
    importance_correction: ImportanceCorrection | None = None

    def __post_init__(self):
        if self.expert_loss.needs_group and not self.router.joins:
            name = self.expert_loss.name
            raise ValueError(f"router: expected joined, as the expert loss {name} takes advantages of expert rows")
        if self.expert_loss.inner_updates is not None and not isinstance(self.router, Separate):
            name = self.expert_loss.name
            raise ValueError(f"router: expected separate, as the expert loss {name} reads the rows of later steps")

    @property
    def reads_reference(self) -> bool:
        """Whether a part reads the stage's start model, frozen."""
        return self.token_weight.reads_reference or self.expert_loss.soft_target is not None

    @property
    def plugin_names(self) -> list[tuple[str, str]]:
        """(group, name) of each part, by which `chord.plugins` knows the installed ones."""
        parts = {
            "chord.schedules": self.schedule,
            "chord.token_weights": self.token_weight,
            "chord.expert_losses": self.expert_loss,
            "chord.routers": self.router,
            "chord.distillations": self.distillation,
        }
        names = [(group, part.name) for group, part in parts.items() if part is not None]
        inner = [self.token_weight.of] if isinstance(self.token_weight, EqualMass) else []
        return names + [("chord.token_weights", weight.name) for weight in inner]

    def weights(self, step: int, statistics: RunStatistics = NO_STATISTICS) -> tuple[float, float]:
        """(a_rl, a_ex) for the update number `step`, counted from 1."""
        return self.schedule.weights(step, statistics)
