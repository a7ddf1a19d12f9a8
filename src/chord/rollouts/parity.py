"""Checks that an engine has the right weights: its log-probabilities must agree with those of the model.

An engine with old weights answers fluently and reports nothing. The cause may be a sync that skips a tensor, tied
embeddings of which only one side was loaded, or a server that still serves the previous checkpoint. So after every load
the engine scores a fixed text and is compared, token by token, with the model that it stands for.
"""

from dataclasses import dataclass
from statistics import fmean

from chord.errors import UserError

PROBES = 4  # texts
PROBE_TOKENS = 512  # per text: enough to reach late positions, while the logits still fit next to a model


@dataclass(frozen=True)
class Tolerance:
    """The largest |difference| of log-probabilities, in nats, that rounding can explain."""

    mean: float
    maximum: float


# Measured between transformers and vLLM on a CPU (docs/benchmarks.md), times 3 (bfloat16, mean) to 400 (float32).
TOLERANCES = {
    "float32": Tolerance(mean=5e-4, maximum=5e-3),
    "bfloat16": Tolerance(mean=0.05, maximum=1.0),
    "float16": Tolerance(mean=0.01, maximum=0.2),
}


class ParityError(UserError):
    """The engine does not compute what the model computes; its completions would be those of another model."""


def probe_texts(prompt_ids: list[list[int]]) -> list[list[int]]:
    """The texts to compare on: the first different prompts, cut to PROBE_TOKENS. Batches begin with the longest."""
    different = dict.fromkeys(tuple(ids[:PROBE_TOKENS]) for ids in prompt_ids)
    return [list(ids) for ids in different][:PROBES]


def distance(some_logps: list[list[float]], other_logps: list[list[float]]) -> tuple[float, float]:
    """(mean, maximum) of the |difference| of the log-probabilities of the same tokens, in nats."""
    pairs = [pair for one, other in zip(some_logps, other_logps, strict=True) for pair in zip(one, other, strict=True)]
    differences = [abs(a - b) for a, b in pairs]
    return fmean(differences), max(differences)


def check_parity(
    model_logps: list[list[float]],
    engine_logps: list[list[float]],
    dtype: str,
    hint: str,
    between: str = "the model and the engine",
) -> tuple[float, float]:
    """Returns (mean, maximum) of |engine - model| over all tokens; raises ParityError beyond the dtype's tolerance.

    model_logps, engine_logps: log-probabilities of the same tokens by the model and by the engine (`Engine.score`).
    hint: for the message: how the engine got its weights, and what to check if they are wrong. between: for the
    message: the two that are compared.
    """
    mean, maximum = distance(model_logps, engine_logps)
    tolerance = TOLERANCES[dtype]
    # Written so that NaN fails.
    if not (mean <= tolerance.mean and maximum <= tolerance.maximum):
        raise ParityError(
            f"log-probabilities of {sum(map(len, model_logps))} tokens differ between {between}: mean |difference| "
            f"{mean:.2g}, maximum {maximum:.2g} nats; expected at most {tolerance.mean:g} and {tolerance.maximum:g} "
            f"for {dtype}. {hint}"
        )
    return mean, maximum
