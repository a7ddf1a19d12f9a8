"""Routers whose rollouts continue a prefix of the expert's trace; its end token is never part of a prefix."""

from __future__ import annotations

import math
from random import Random
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from chord.objectives.routing import Judged, Router, Routes, centred

Share = Annotated[float, Field(ge=0.0, le=1.0)]


def cosine(step: int, steps: int, start: float, end: float) -> float:
    """From `start` at step 0 along half a cosine to `end` from step `steps` on."""
    return end + 0.5 * (start - end) * (1.0 + math.cos(math.pi * min(step / steps, 1.0)))


class Hint(Router):
    """All rollouts of a group continue the first l of `chunks` equal parts of the trace (UFT, arXiv 2505.16984).

    l ~ Binomial(chunks, q), q decays by a cosine from `start` to `end` at step `steps`; after that there are no hints.
    L_ex is the loss of the hint's tokens, with a_ex 0.001 and -log p in UFT. Each term is divided by its own tokens;
    UFT does so in each micro-batch. Its code clamps the logits of hints to +-100, which is left out here: it changes
    nothing unless a logit is that large. Its chunks are sentences or steps of the solution, ours have equal lengths.
    """

    name: Literal["hint"] = "hint"
    chunks: PositiveInt
    start: Share
    end: Share
    steps: PositiveInt

    prefixes: ClassVar[bool] = True

    def prefix_tokens(self, step: int, trace_tokens: int, rollouts: int, draws: Random) -> list[int]:
        if step > self.steps:
            return [0] * rollouts
        q = cosine(step, self.steps, self.start, self.end)
        chunks = sum(draws.random() < q for _ in range(self.chunks))
        return [round(chunks / self.chunks * trace_tokens)] * rollouts

    def route(self, judged: Judged) -> Routes:
        return Routes(judged.advantages, kept=judged.groups(True), taught=judged.prefix_tokens[:, -1] > 0)


class Prefix(Router):
    """The last rollout of a group continues a prefix of the trace, floor(l * length) tokens (Prefix-RFT, 2507.01679).

    l ~ U(low, high), and low decays by a cosine from `start` to `end` at step `steps`. The other rollouts have the
    advantage R - their mean R; the continuation has R itself, as a group of one; the prefix has its R - their mean R.
    Prefix-RFT is this with the expert loss `policy_gradient` and the token weight `entropy_top`, by which only the
    prefix tokens with the largest entropies of the step have a gradient. Both terms are divided by the tokens of both.

    Only the prefix's advantage and the decay of low were read in Prefix-RFT's code. The continuation's advantage, the
    lack of a standard deviation (Dr. GRPO, which divides by a constant) and all numbers are second-hand.
    """

    name: Literal["prefix"] = "prefix"
    start: Share
    end: Share
    high: Share
    steps: PositiveInt

    joins: ClassVar[bool] = True
    prefixes: ClassVar[bool] = True

    def prefix_tokens(self, step: int, trace_tokens: int, rollouts: int, draws: Random) -> list[int]:
        low = cosine(step, self.steps, self.start, self.end)
        share = low + (self.high - low) * draws.random()
        return [0] * (rollouts - 1) + [math.floor(share * trace_tokens)]

    def route(self, judged: Judged) -> Routes:
        own, continued = judged.rewards[:, :-1], judged.rewards[:, -1:]
        advantages = judged.rewards.clone()
        advantages[:, :-1] = centred(own)
        # The mean of equal rewards can differ from them by rounding, so the difference is taken before the mean.
        gain = (continued - own).mean(1)
        return Routes(advantages, judged.groups(True), taught=judged.prefix_tokens[:, -1] > 0, trace_advantages=gain)
