"""Does an engine compute with the weights that it should? Two ways to the same log-probabilities must agree.

An engine that kept old weights answers fluently and says nothing: a weight sync that skips a tensor, tied embeddings of
which only one end was loaded, a server that still serves the checkpoint before. So after every load the engine scores a
fixed text and is compared, token by token, with the model that it stands for.
"""

from dataclasses import dataclass
from statistics import fmean

from chord.errors import UserError

PROBES = 4  # texts
PROBE_TOKENS = 512  # of each: enough to see positions far apart, and the logits still fit beside a model


@dataclass(frozen=True)
class Tolerance:
    """Largest |difference| of log-probabilities, in nats, that rounding explains."""

    mean: float
    maximum: float


# Measured between transformers and vLLM on a CPU (docs/benchmarks.md), times 3 (bfloat16, mean) to 400 (float32).
TOLERANCES = {
    "float32": Tolerance(mean=5e-4, maximum=5e-3),
    "bfloat16": Tolerance(mean=0.05, maximum=1.0),
    "float16": Tolerance(mean=0.01, maximum=0.2),
}


class ParityError(UserError):
    """The engine does not compute what the model computes. Its completions would be another model's."""


def probe_texts(prompt_ids: list[list[int]]) -> list[list[int]]:
    """The texts to compare on: the first different prompts, cut. Longest first as batches are, they reach far."""
    different = dict.fromkeys(tuple(ids[:PROBE_TOKENS]) for ids in prompt_ids)
    return [list(ids) for ids in different][:PROBES]


def check_parity(
    expected: list[list[float]], actual: list[list[float]], dtype: str, loaded: str
) -> tuple[float, float]:
    """(mean, maximum) of |actual - expected| over all tokens; ParityError where it exceeds the tolerance of the dtype.

    expected, actual: log-probabilities of the same tokens (`Engine.score`), by the model and by the engine.
    loaded: for the message, how the engine got its weights and what to look at if they are wrong.
    """
    pairs = [pair for one, other in zip(expected, actual, strict=True) for pair in zip(one, other, strict=True)]
    differences = [abs(a - b) for a, b in pairs]
    mean, maximum = fmean(differences), max(differences)
    tolerance = TOLERANCES[dtype]
    # Written so that NaN fails.
    if not (mean <= tolerance.mean and maximum <= tolerance.maximum):
        raise ParityError(
            f"log-probabilities of {len(pairs)} tokens differ between the model and the engine: mean |difference| "
            f"{mean:.2g}, maximum {maximum:.2g} nats; expected at most {tolerance.mean:g} and {tolerance.maximum:g} "
            f"for {dtype}. {loaded}"
        )
    return mean, maximum
