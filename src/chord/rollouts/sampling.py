"""Exact sampling inside stock `generate`: a logits processor that lets one uniform number a row choose the token.

`generate` samples with the global generator, so a sample would depend on its neighbours and on everything drawn before.
Here `generate` decodes greedily and this processor decides what the greatest score is.
"""

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor

from chord.rollouts.engine import Decoding

# Probabilities become integers of this many units: sums of integers are exact in any order and on any device, so a
# token of probability zero has an interval of length zero and cannot be chosen, whatever the noise. A float32
# probability keeps all its digits down to 2^-28; what is lost below is less than 2^-52 a token.
UNITS = 2.0**52


def uniform_noise(seeds: list[int], steps: int) -> np.ndarray:
    """Noise that belongs to a sample: (samples, steps) float64 in [0, 1), row i the first values of Philox with key
    seeds[i], whatever the batch around it.

    Philox is counter based, so a longer limit continues the same stream. One generator is re-keyed for all rows because
    a new one draws operating-system entropy that is then thrown away: 30 times slower, 20 ms for 256 rows.
    """
    bits = np.random.Philox(key=0)
    uniform = np.random.Generator(bits)
    state = bits.state
    noise = np.empty((len(seeds), steps))
    for row, seed in enumerate(seeds):
        state["state"]["key"][:] = (seed, 0)
        bits.state = state
        uniform.random(out=noise[row])
    return noise


def nucleus(logits: Tensor, top_p: float) -> Tensor:
    """Logits with -inf outside of the smallest set of most probable tokens whose mass reaches top_p.

    logits: (rows, vocabulary). A token is kept while the mass before it is less than top_p, so at least one is.
    """
    probs, order = logits.softmax(-1).sort(dim=-1, descending=True, stable=True)
    outside = probs.cumsum(-1) - probs >= top_p
    outside[:, 0] = False
    return logits.masked_fill(outside.scatter(1, order, outside), -torch.inf)


def choose(probs: Tensor, uniform: Tensor) -> Tensor:
    """Inverse of the cumulative distribution: the token whose interval of [0, 1) holds the row's number.

    probs: (rows, vocabulary), uniform: (rows,) float64 in [0, 1). Returns (rows, 1) token ids.
    """
    cumulative = probs.double().mul_(UNITS).long().cumsum(-1)
    total = cumulative[:, -1:]
    # The product may round up to the total, which is already behind the last token.
    target = torch.minimum((uniform[:, None] * total).long(), total - 1)
    # Out of range only for NaN probabilities: `StepSampler.records` reports those, an index error would hide them.
    return torch.searchsorted(cumulative, target, right=True).clamp_(max=probs.shape[-1] - 1)


class StepSampler(LogitsProcessor):
    """Turns the logits of a step into scores whose argmax is the sampled token; keeps its log-prob and the entropy."""

    def __init__(self, decoding: Decoding, noise: Tensor | None):
        """noise: (steps, rows) float64 on the model's device; None when decoding is greedy."""
        self.decoding = decoding
        self.noise = noise
        self.logps: list[Tensor] = []
        self.entropies: list[Tensor] = []

    def __call__(self, input_ids: Tensor, logits: Tensor) -> Tensor:
        if self.noise is None:
            peak = logits.amax(-1)
            certain = peak - peak  # 0 = log 1, and NaN where the logits are broken
            self.logps.append(certain)
            self.entropies.append(certain)
            return logits
        if self.decoding.temperature != 1:
            logits = logits / self.decoding.temperature
        if self.decoding.top_p < 1:
            logits = nucleus(logits, self.decoding.top_p)
        logps = logits.log_softmax(-1)
        probs = logps.exp()
        token = choose(probs, self.noise[len(self.logps)])
        self.logps.append(logps.gather(1, token).squeeze(1))
        # The clamp turns 0 * -inf into 0; `torch.special.entr` does the same ten times slower on a CPU.
        self.entropies.append(-(probs * logps.clamp_min(torch.finfo(logps.dtype).min)).sum(-1))
        return torch.zeros_like(logits).scatter_(1, token, 1.0)

    def records(self, steps: int) -> tuple[Tensor, Tensor]:
        """(rows, steps) log-probs and entropies of the first `steps` steps: a backend may compute one it then drops."""
        return torch.stack(self.logps[:steps], 1), torch.stack(self.entropies[:steps], 1)
