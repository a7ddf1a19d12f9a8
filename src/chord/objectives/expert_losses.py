"""Expert losses l_t, per token of an expert trajectory.

Adding one: write the class, add it to `ExpertLoss` (with a second member it becomes a union discriminated by `name`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from chord.objectives.expert_tokens import ExpertTokens
from chord.objectives.part import Part

if TYPE_CHECKING:
    from torch import Tensor


class Nll(Part):
    """l = -log p, the negative log-likelihood (paper, eq. 1)."""

    name: Literal["nll"] = "nll"

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        """l in the shape of the tokens."""
        return -tokens.logp


ExpertLoss = Nll
