"""Samples exactly: each token is chosen by one uniform number, which comes from the seed of its row.

`generate` of transformers samples with the global generator, so a sample would depend on the other rows and on
everything drawn before.
"""

import numpy as np
import torch
from torch import Tensor

from chord.rollouts.engine import Decoding

# Probabilities become integers, with this many units for probability 1. Sums of integers are exact in any order and on
# any device, so a token of probability zero has an interval of length zero and cannot be chosen, whatever the noise. A
# float32 probability keeps all its digits down to 2^-28; below that, less than 2^-52 per token is lost.
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
    """Returns the logits with -inf outside the smallest set of most probable tokens whose mass reaches top_p.

    logits: (rows, vocabulary). A token is kept if the mass before it is less than top_p, so at least one token is.
    """
    probs, order = logits.softmax(-1).sort(dim=-1, descending=True, stable=True)
    outside = probs.cumsum(-1) - probs >= top_p
    outside[:, 0] = False
    return logits.masked_fill(outside.scatter(1, order, outside), -torch.inf)


def choose(probs: Tensor, uniform: Tensor) -> Tensor:
    """Invert the cumulative distribution: choose the token whose interval of [0, 1) contains the row's number.

    probs: (rows, vocabulary), uniform: (rows,) float64 in [0, 1). Returns (rows, 1) token ids.
    """
    cumulative = probs.double().mul_(UNITS).long().cumsum(-1)
    total = cumulative[:, -1:]
    # The product may round up to the total, which already lies beyond the last token.
    target = torch.minimum((uniform[:, None] * total).long(), total - 1)
    # The index is out of range only for NaN probabilities: the log-probabilities report them, not an index error.
    return torch.searchsorted(cumulative, target, right=True).clamp_(max=probs.shape[-1] - 1)


def draw(logits: Tensor, decoding: Decoding, uniform: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Returns each row's token, its log-probability and the entropy of the distribution it was drawn from, all (rows,).

    logits: (rows, vocabulary) float32. uniform: (rows,) float64 in [0, 1); None when decoding is greedy.
    """
    if uniform is None:
        peak, token = logits.max(-1)
        zero = peak - peak  # 0 = log 1, and NaN if the logits are not finite
        return token, zero, zero
    if decoding.temperature != 1:
        logits = logits / decoding.temperature
    if decoding.top_p < 1:
        logits = nucleus(logits, decoding.top_p)
    logps = logits.log_softmax(-1)
    probs = logps.exp()
    token = choose(probs, uniform)
    # The clamp turns 0 * -inf into 0; `torch.special.entr` does the same ten times slower on a CPU.
    entropy = -(probs * logps.clamp_min(torch.finfo(logps.dtype).min)).sum(-1)
    return token.squeeze(1), logps.gather(1, token).squeeze(1), entropy
