"""Token weights w_t of the expert loss, always without gradient.

To add one, write the class and add it to `AnyTokenWeight`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field, NonNegativeFloat

from chord.objectives.parts import OpenUnion, Part

if TYPE_CHECKING:
    from torch import Tensor


class ExpertTokens(NamedTuple):
    """What token weights and expert losses see of expert tokens: values of one shape, (rows, tokens) or (tokens,)."""

    logp: Tensor  # log-probability of the expert's token under the current policy, natural log
    entropy: Tensor | None = None  # of the policy's distribution at this token, nats; without gradient
    # Values of the token's row, if a router joins it to a group:
    advantage: Tensor | None = None
    row_entropy: Tensor | None = None  # mean entropy of its tokens
    # (..., K): the policy's K largest log-probabilities at this token, descending; without gradient. K is the most that
    # a part reads, so a part takes the first ones.
    top_logps: Tensor | None = None


class ExpertPart(Part):
    """A part that sees expert tokens. What it does not say that it reads is not computed for it."""

    reads_top: ClassVar[int] = 0  # how many of the largest log-probabilities at each token; a property may say it


class TokenWeight(ExpertPart):
    """A weight for each expert token."""

    # Whether a token's weight depends on the step's other expert tokens. Then it gets the tokens of all micro-batches
    # and ranks at once, which takes an extra forward pass before the backward passes.
    whole_batch: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, tokens: ExpertTokens) -> Tensor:
        """w in the shape of the tokens; with `whole_batch` these are all expert tokens of the step, (tokens,)."""

    def of_batch(self, tokens: ExpertTokens, mask: Tensor) -> Tensor:
        """w, (rows, tokens), if the tokens under the mask are all expert tokens of the step."""
        if not self.whole_batch:
            return self(tokens)
        mask = mask.bool()
        weights = tokens.logp.detach().new_zeros(mask.shape)
        weights[mask] = self(ExpertTokens(*(None if values is None else values[mask] for values in tokens)))
        return weights


class One(TokenWeight):
    """w = 1: plain SFT and CHORD-mu (paper, eq. 1)."""

    name: Literal["one"] = "one"

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        return tokens.logp.detach().new_ones(tokens.logp.shape)


class Power(TokenWeight):
    """w = sg(p^a (1-p)^b). (1, 1) is CHORD-phi (paper, eq. 5); (1, 0) the importance weight of eq. 4, which is DFT.

    (0, gamma) is the focal weight. The paper's eq. 6 shows no stop-gradient; the authors' code detaches, and so do we.
    """

    name: Literal["power"] = "power"
    a: NonNegativeFloat
    b: NonNegativeFloat

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        logp = tokens.logp.detach()
        # -expm1(logp) is 1-p without cancellation if p is close to 1.
        return logp.exp().pow(self.a) * (-logp.expm1()).clamp(min=0.0).pow(self.b)


class IsClip(TokenWeight):
    """w = sg(p) up to a limit: "IS Clip" of the paper's Tables 4 and 5, whose limit is 0.4.

    Whether tokens above the limit are dropped (w = 0) or clamped (w = limit) is not stated; dropped is our reading.
    """

    name: Literal["is_clip"] = "is_clip"
    limit: float = Field(gt=0.0, le=1.0)
    above: Literal["drop", "clamp"] = "drop"

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        p = tokens.logp.detach().exp()
        return p.clamp(max=self.limit) if self.above == "clamp" else p.where(p <= self.limit, 0.0)


class EntropyTop(TokenWeight):
    """w = 1 for the share of the step's expert tokens with the policy's highest entropies, else 0.

    "Entropy Top" of the paper's Tables 4 and 5, with a share of 5 %. At least one token is chosen.
    """

    name: Literal["entropy_top"] = "entropy_top"
    share: float = Field(gt=0.0, le=1.0)

    whole_batch: ClassVar[bool] = True

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        entropy = tokens.entropy.detach()
        # The choice is by rank, not by a threshold, so that ties and rounding cannot change the number of tokens.
        chosen = entropy.topk(max(1, round(self.share * entropy.numel()))).indices
        return entropy.new_zeros(entropy.shape).index_fill(0, chosen, 1.0)


class EntropyNorm(TokenWeight):
    """w = H / max H, the policy's entropy over its largest value among the step's expert tokens.

    "Entropy Norm" of the paper's Tables 4 and 5: proportional to H. Its scale is not stated; ours keeps w in [0, 1].
    """

    name: Literal["entropy_norm"] = "entropy_norm"

    whole_batch: ClassVar[bool] = True

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        entropy = tokens.entropy.detach().clamp(min=0.0)  # rounding can give less
        return entropy / entropy.max().clamp(min=1e-8)  # all 0 if the policy is certain of every token


AnyTokenWeight = Annotated[
    One | Power | IsClip | EntropyTop | EntropyNorm, OpenUnion("chord.token_weights", TokenWeight)
]
