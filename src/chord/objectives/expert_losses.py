"""Expert losses l_t, per token of an expert trajectory.

To add one, write the class and add it to `AnyExpertLoss`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from chord.objectives.parts import OpenUnion
from chord.objectives.token_weights import ExpertPart, ExpertTokens

if TYPE_CHECKING:
    from torch import Tensor


class ExpertLoss(ExpertPart):
    """A loss for each expert token."""

    needs_group: ClassVar[bool] = False  # whether it reads the advantage of a row in its group

    @property
    def inner_updates(self) -> int | None:
        """How many successive optimizer steps share one old policy, if it reads that policy's log-probabilities."""
        return None

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


class Psft(ExpertLoss):
    """l = -min(r, clip(r, 1 - 0.2, 1 + high)), r = p / p_old: the proximal SFT of PSFT, which is PPO with A = 1.

    A token whose probability has grown by more than `high` since p_old has no gradient. The lower limit and the dual
    clip (10) of the authors' recipe never act where A is positive, so neither is a setting. p_old is that of the policy
    before the first of `updates` successive steps: 8 there, with batches of 64 and mini-batches of 8. With 1 step r is
    always 1, and the gradient is that of -log p.
    """

    name: Literal["psft"] = "psft"
    high: PositiveFloat
    updates: PositiveInt

    @property
    def inner_updates(self) -> int:
        return self.updates

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        ratio = (tokens.logp - tokens.old_logp).exp()
        return -ratio.minimum(ratio.clamp(0.8, 1.0 + self.high))


class Asft(ExpertLoss):
    """l = -sg(p) log p + kl KL(p_ref || p): anchored SFT, DFT with a forward KL to the stage's start model.

    The KL is over the whole vocabulary at each expert token. kl is 0.05 in the authors' README and 0.1 in their code.
    """

    name: Literal["asft"] = "asft"
    kl: PositiveFloat

    @property
    def soft_target(self) -> float:
        return 0.0

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        dft = -tokens.logp.detach().exp() * tokens.logp
        return dft + self.kl * (tokens.soft_nll - tokens.soft_entropy)


class Gift(ExpertLoss):
    """l = -sum_v q(v) log p(v), q = softmax(log p_ref + beta onehot(y*)): the initialiser of GIFT (arXiv 2601.09233).

    The larger beta, the closer to -log p: with beta 20 (theirs) q differs from one-hot only where p_ref(y*) is below
    about 2e-9.
    """

    name: Literal["gift"] = "gift"
    beta: NonNegativeFloat

    @property
    def soft_target(self) -> float:
        return self.beta

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        return tokens.soft_nll


class PolicyGradient(ExpertLoss):
    """l = -A log p: an expert token counts as if the policy had sampled it (the prefixes of Prefix-RFT, 2507.01679)."""

    name: Literal["policy_gradient"] = "policy_gradient"

    needs_group: ClassVar[bool] = True

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        return -tokens.advantage * tokens.logp


AnyExpertLoss = Annotated[
    Nll | Shaped | SrftLoss | PolicyGradient | Psft | Asft | Gift, OpenUnion("chord.expert_losses", ExpertLoss)
]
