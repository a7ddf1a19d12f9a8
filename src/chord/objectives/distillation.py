"""What the policy's rollouts learn from a teacher: a frozen model with the same tokenizer, or the policy itself.

To add one, write the class and add it to `AnyDistillation`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field, NonNegativeFloat, PositiveFloat, field_validator

from chord.objectives.parts import OpenUnion, Part

if TYPE_CHECKING:
    from torch import Tensor


class SampledTokens(NamedTuple):
    """What a distillation sees of the tokens of rollouts: values of the shape (rows, tokens)."""

    logp: Tensor  # log-probability of the sampled token under the policy, natural log
    teacher_logp: Tensor  # the same under the teacher, without gradient
    teacher_kl: Tensor | None = None  # KL(teacher || policy) over the whole vocabulary, nats; with gradient


class Distillation(Part):
    """A signal for each token of a rollout, beside the reward or in its place."""

    reads_distribution: ClassVar[bool] = False  # whether it reads `teacher_kl`

    coef: PositiveFloat
    reward: NonNegativeFloat
    shown: str | None = Field(
        None,
        description="the policy itself is the teacher, and reads this text in place of a prompt's last message, with "
        "the message at {prompt} and the expert's trace at {trace} (SDFT); null: the teacher is another model",
    )

    @field_validator("shown")
    @classmethod
    def _has_both(cls, text: str | None) -> str | None:
        if text is not None and not all(text.count(place) == 1 for place in ("{prompt}", "{trace}")):
            raise ValueError(f"expected a text with {{prompt}} and {{trace}}, once each, got {text!r}")
        return text

    def advantages(self, advantages: Tensor, tokens: SampledTokens) -> Tensor:
        """The advantages of the policy loss, (rows, tokens), without gradient, from those of the rewards, (rows,)."""
        return (self.reward * advantages).unsqueeze(-1).expand_as(tokens.logp)

    def loss(self, tokens: SampledTokens) -> Tensor:
        """What is added to the policy loss at each token, (rows, tokens)."""
        return 0.0 * tokens.logp


class ReverseKl(Distillation):
    """A_t = reward A - coef (log p - log p_teacher): on-policy distillation, whose discount is 0.

    The gradient is that of the reverse KL at each token's own prefix. reward 0 and coef 1 are tinker-cookbook's; reward
    1 and coef 1 those of RL with distillation in slime and verl.
    """

    name: Literal["reverse_kl"] = "reverse_kl"

    def advantages(self, advantages: Tensor, tokens: SampledTokens) -> Tensor:
        """See `Distillation`."""
        return super().advantages(advantages, tokens) - self.coef * (tokens.logp.detach() - tokens.teacher_logp)


class ForwardKl(Distillation):
    """l_t = coef KL(p_teacher || p) on the prefixes that the policy sampled: DAgger in the grid of arXiv 2605.16826.

    The KL is over the whole vocabulary; its gradient does not go through the choice of the prefixes.
    """

    name: Literal["forward_kl"] = "forward_kl"

    reads_distribution: ClassVar[bool] = True

    def loss(self, tokens: SampledTokens) -> Tensor:
        """See `Distillation`."""
        return self.coef * tokens.teacher_kl


AnyDistillation = Annotated[ReverseKl | ForwardKl, OpenUnion("chord.distillations", Distillation)]
