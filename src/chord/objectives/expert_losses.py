"""Expert losses l_t, per token of an expert trajectory.

To add one, write the class and add it to `AnyExpertLoss`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import NonNegativeFloat, PositiveFloat

from chord.objectives.parts import OpenUnion
from chord.objectives.token_weights import ExpertPart, ExpertTokens

if TYPE_CHECKING:
    from torch import Tensor


class ExpertLoss(ExpertPart):
    """A loss for each expert token."""

    needs_group: ClassVar[bool] = False  # whether it reads the advantage of a row in its group

    @abstractmethod
    def __call__(self, tokens: ExpertTokens) -> Tensor:
        """l in the shape of the tokens, with gradient."""


class Nll(ExpertLoss):
    """l = -log p, the negative log-likelihood (paper, eq. 1)."""

    name: Literal["nll"] = "nll"

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        return -tokens.logp


class Shaped(ExpertLoss):
    """l = -A f(p), f(p) = p / (p + gamma): the off-policy term of LUFFY (arXiv 2504.14945), gamma 0.1 there.

    The expert's own probability is taken as 1 and nothing is clipped. Without f it would be the importance-weighted
    policy gradient; f gives tokens of small p a larger one: its slope, gamma / (p + gamma)^2, is largest at p = 0.
    """

    name: Literal["shaped"] = "shaped"
    gamma: PositiveFloat

    needs_group: ClassVar[bool] = True

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        p = tokens.logp.exp()
        return -tokens.advantage * p / (p + self.gamma)


class SrftLoss(ExpertLoss):
    """l = -sft e^-H log p - A p: both terms that SRFT (arXiv 2506.19767) has on a demonstration; sft is 0.5 there.

    H is the mean token entropy of the row, without gradient. The expert's own probability is taken as 1 and nothing is
    clipped. The formula is second-hand, like that of the router `srft`, with which it is used.
    """

    name: Literal["srft"] = "srft"
    sft: NonNegativeFloat

    needs_group: ClassVar[bool] = True

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        return -self.sft * (-tokens.row_entropy).exp() * tokens.logp - tokens.advantage * tokens.logp.exp()


AnyExpertLoss = Annotated[Nll | Shaped | SrftLoss, OpenUnion("chord.expert_losses", ExpertLoss)]
