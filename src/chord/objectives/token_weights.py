"""Token weights w_t of the expert loss, always without gradient.

To add one, write the class and add it to `OwnTokenWeight`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import ConfigDict, Field, NonNegativeFloat, PositiveFloat

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
    # What a part reads of a second model, without gradient, if it says so (`reads_reference`):
    reference_logp: Tensor | None = None  # log-probability of the token under the stage's frozen start model
    row_log_ratio: Tensor | None = None  # logp - reference_logp, the mean over the tokens of the row
    # What an expert loss reads of a distribution q over the next token, if it names q (`soft_target`):
    soft_nll: Tensor | None = None  # -sum_v q(v) log p(v), the policy's cross-entropy to q; with gradient
    soft_entropy: Tensor | None = None  # of q, nats
    # If an expert loss takes several updates with the same old policy (`inner_updates`):
    old_logp: Tensor | None = None  # log-probability of the token before the first of these updates


class ExpertPart(Part):
    """A part that sees expert tokens. What it does not say that it reads is not computed for it."""

    reads_top: ClassVar[int] = 0  # how many of the largest log-probabilities at each token; a property may say it
    reads_reference: ClassVar[bool] = False  # whether it reads the log-probabilities of the stage's start model

    @property
    def soft_target(self) -> float | None:
        """beta, if it reads the distribution q = softmax(log p_ref + beta onehot(y*)) of the stage's start model.

        y* is the expert's token; with beta 0 q is the start model's own distribution.
        """
        return None


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


class ProbabilityWeight(TokenWeight):
    """A weight that depends on the token's probability alone, w = sg(f(p))."""

    @abstractmethod
    def of_p(self, p: Any, q: Any) -> Any:
        """f of an array of torch or of numpy, with what both have; q is 1 - p, without cancellation."""

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        logp = tokens.logp.detach()
        return self.of_p(logp.exp(), (-logp.expm1()).clamp(min=0.0))


class One(ProbabilityWeight):
    """w = 1: plain SFT and CHORD-mu (paper, eq. 1)."""

    name: Literal["one"] = "one"

    def of_p(self, p: Any, q: Any) -> Any:
        return p**0


class Power(ProbabilityWeight):
    """w = sg(p^a (1-p)^b). (1, 1) is CHORD-phi (paper, eq. 5); (1, 0) the importance weight of eq. 4, which is DFT.

    (0, gamma) is the focal weight. The paper's eq. 6 shows no stop-gradient; the authors' code detaches, and so do we.
    `cutoff_prob` is Trinity-RFT's for phi: it clamps log p at log(cutoff_prob), so that tokens above have no gradient.
    Here their weight is 0, which has the same gradient; the loss lacks Trinity's constant for these tokens.
    """

    name: Literal["power"] = "power"
    a: NonNegativeFloat
    b: NonNegativeFloat
    cutoff_prob: float = Field(1.0, gt=0.0, le=1.0, description="w = 0 where p is above; 1: off")

    def of_p(self, p: Any, q: Any) -> Any:
        weights = p**self.a * q**self.b
        return weights * (p <= self.cutoff_prob) if self.cutoff_prob < 1.0 else weights


class TrSft(ProbabilityWeight):
    """w = sg(min(1, p / alpha)): SFT within a trust region (TrSFT of TRAPO, arXiv 2512.17636), alpha 0.1 there.

    From the formula, as the authors' code has no licence.
    """

    name: Literal["trsft"] = "trsft"
    alpha: float = Field(gt=0.0, le=1.0)

    def of_p(self, p: Any, q: Any) -> Any:
        return (p / self.alpha).clip(max=1.0)


class ScaledPower(ProbabilityWeight):
    """w = sg(k p^k), with which -log p has the gradient of the loss -p^k (arXiv 2510.00526).

    The loss's value is another one. k = 1 is DFT. The authors take k = 10 for strong models, and -log p for weak ones.
    """

    name: Literal["scaled_power"] = "scaled_power"
    k: PositiveFloat

    def of_p(self, p: Any, q: Any) -> Any:
        return self.k * p**self.k


class IsClip(ProbabilityWeight):
    """w = sg(p) up to a limit: "IS Clip" of the paper's Tables 4 and 5, whose limit is 0.4.

    Whether tokens above the limit are dropped (w = 0) or clamped (w = limit) is not stated; dropped is our reading.
    """

    name: Literal["is_clip"] = "is_clip"
    limit: float = Field(gt=0.0, le=1.0)
    above: Literal["drop", "clamp"] = "drop"

    def of_p(self, p: Any, q: Any) -> Any:
        return p.clip(max=self.limit) if self.above == "clamp" else p * (p <= self.limit)


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


class Eaft(TokenWeight):
    """w = (H / norm)^a, H the entropy of the policy's `top` likeliest tokens, renormalised (EAFT, arXiv 2601.02151).

    The norm is the paper's, ln(top), or that of LLaMA-Factory, 3.0, or of axolotl, none. The 20 likeliest tokens and
    a = 1 are the defaults of the public codes.
    """

    name: Literal["eaft"] = "eaft"
    normalisation: Literal["paper", "llama_factory", "axolotl"]
    top: int = Field(20, ge=2)
    a: PositiveFloat = 1.0

    @property
    def reads_top(self) -> int:
        return self.top

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        logq = tokens.top_logps.detach()[..., : self.top].log_softmax(-1)
        norm = {"paper": math.log(self.top), "llama_factory": 3.0, "axolotl": 1.0}[self.normalisation]
        # Rounding can give less than 0. A probability of 0 adds 0, while 0 * -inf would be no number.
        entropy = -(logq.exp() * logq).nan_to_num(nan=0.0).sum(-1)
        return (entropy.clamp(min=0.0) / norm).pow(self.a)


class Margin(TokenWeight):
    """w = 1 - (p1 - p2), p1 and p2 the policy's two largest probabilities at the token.

    Reviewers of the paper asked for a comparison with the margin; there is no published formula. This is our reading:
    as with entropy weights, w is large where the policy wavers, as it is 1 at p1 = p2, and 0 where it is certain.
    """

    name: Literal["margin"] = "margin"

    reads_top: ClassVar[int] = 2

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        first, second = tokens.top_logps.detach()[..., :2].exp().unbind(-1)
        return 1.0 - (first - second)


class ReferenceRatio(TokenWeight):
    """w = sg(clamp(exp(tau (log p - log p_ref)), low, high)): iw-SFT. p_ref is of the stage's start model.

    per row: the difference is its mean over the tokens of the row, so these have one weight; the authors' code
    (`bounding_trainers.py`) has 0 and 16, and calls it with tau 1, while its class has 2.
    per token: each has its own; that code has the limits 0.2 and 1.8. At the first step all weights are 1.
    """

    name: Literal["reference_ratio"] = "reference_ratio"
    tau: PositiveFloat
    per: Literal["row", "token"] = "row"
    low: NonNegativeFloat = 0.0
    high: PositiveFloat = 16.0

    reads_reference: ClassVar[bool] = True

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        difference = tokens.row_log_ratio if self.per == "row" else tokens.logp.detach() - tokens.reference_logp
        return (self.tau * difference).exp().clamp(self.low, self.high)


OwnTokenWeight = One | Power | TrSft | ScaledPower | IsClip | EntropyTop | EntropyNorm | Eaft | Margin | ReferenceRatio


class EqualMass(TokenWeight):
    """w = mean * v / (mean of v over the step's expert tokens), v another weight: all have the same mean weight.

    Ours. It keeps the shape of v and takes away its size: p (1 - p) is at most 1/4, so that it also shrinks the expert
    term, which a larger mu could undo. Where every v is 0, w is 0. A few tokens of v far above the others get large
    weights: the largest possible one is mean times the number of tokens.
    """

    model_config = ConfigDict(defer_build=True)  # plug-ins, which import this module, can be the other weight

    name: Literal["equal_mass"] = "equal_mass"
    of: Annotated[OwnTokenWeight, OpenUnion("chord.token_weights", TokenWeight)]
    mean: PositiveFloat = Field(description="mean weight over the expert tokens of each step")

    whole_batch: ClassVar[bool] = True

    @property
    def reads_top(self) -> int:
        return self.of.reads_top

    @property
    def reads_reference(self) -> bool:
        return self.of.reads_reference

    def __call__(self, tokens: ExpertTokens) -> Tensor:
        weights = self.of(tokens)
        exact = weights.double()  # in fp32 the factor of weights below 1e-38 would be infinite
        total = exact.sum()
        return (exact * (self.mean * exact.numel() / total)).to(weights.dtype) if total > 0.0 else weights


AnyTokenWeight = Annotated[OwnTokenWeight | EqualMass, OpenUnion("chord.token_weights", TokenWeight)]
