"""Token weights w_t of the expert loss, always without gradient.

Adding one: write the class, add it to `TokenWeight`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, NonNegativeFloat

from chord.objectives.part import Part

if TYPE_CHECKING:
    from torch import Tensor


class One(Part):
    """w = 1: plain SFT and CHORD-mu (paper, eq. 1)."""

    name: Literal["one"] = "one"

    def __call__(self, logp: Tensor) -> Tensor:
        """logp: (rows, tokens) log-probability of the expert token, natural log. Returns the same shape."""
        return logp.detach().new_ones(logp.shape)


class Power(Part):
    """w = sg(p^a (1-p)^b). (1, 1) is CHORD-phi (paper, eq. 5); (1, 0) the importance weight of eq. 4, which is DFT.

    The paper's eq. 6 shows no stop-gradient; the authors' code detaches, and so do we.
    """

    name: Literal["power"]
    a: NonNegativeFloat
    b: NonNegativeFloat

    def __call__(self, logp: Tensor) -> Tensor:
        """logp: (rows, tokens) log-probability of the expert token, natural log. Returns the same shape."""
        logp = logp.detach()
        # -expm1(logp) is 1-p without cancellation where p is close to 1.
        return logp.exp().pow(self.a) * (-logp.expm1()).clamp(min=0.0).pow(self.b)


TokenWeight = Annotated[One | Power, Field(discriminator="name")]
