"""The on-policy term: PPO's clipped surrogate per token, as GRPO uses it (paper, eq. 2; no KL term)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def clipped_surrogate(logp: Tensor, old_logp: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """-min(r A, clip(r, 1-clip, 1+clip) A) for every token, r = exp(logp - old_logp).

    logp, old_logp: (rows, tokens), natural log; old_logp without gradient. advantages: (rows,), normalised in groups.
    With one update a rollout batch (strict on-policy) r is 1 and the gradient is -A grad log pi. The paper does not
    state the value of clip; the public code has 0.2.
    """
    ratio = (logp - old_logp).exp()
    advantages = advantages.unsqueeze(-1)
    unclipped = ratio * advantages
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip) * advantages
    return -unclipped.minimum(clipped)
