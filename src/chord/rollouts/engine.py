"""What every backend takes and gives: decoding settings, samples, and the one method between prompts and samples."""

from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field

from chord.settings import Settings, Stated


class Decoding(Settings):
    """How a token is drawn from the logits: divide by the temperature, keep the nucleus, sample."""

    temperature: float = Field(ge=0, allow_inf_nan=False, description="0 is greedy: the most probable token, no noise")
    top_p: Annotated[float, Stated()] = Field(  # tables say it
        default=1.0, gt=0, le=1, description="mass of the nucleus; 1 keeps the whole vocabulary"
    )
    max_response_tokens: int = Field(ge=1, description="limit of a response, its end token included")

    def refuse_copies(self, key: str, count: int) -> None:
        """ValueError for several samples of a prompt, `count` under the key, that would all be the same."""
        if self.temperature == 0 and count > 1:
            raise ValueError(f"{key}: expected 1 at temperature 0, where every sample is the same, got {count}")


@dataclass(frozen=True)
class Sample:
    """One completion. The lists have one entry a token, the end token included when it was reached.

    None where a backend does not know: vLLM gives no entropies, a server neither (it may report log-probabilities of
    another distribution than the one it drew from, depending on how it was started).
    """

    token_ids: list[int]
    truncated: bool  # no end token within the limit; known to the generator, never guessed from the text
    logps: list[float] | None  # natural log-probability of each token under the distribution it was drawn from
    entropies: list[float] | None  # nats, of that distribution; greedy decoding draws from a point: both are 0 there


class Engine(Protocol):
    """A model that completes prompts. Backends differ in speed, never in meaning.

    Two of them give the same greedy answers and log-probabilities up to rounding (`chord.rollouts.parity`), and samples
    of the same distribution, but from the same seed other samples: each turns a seed into noise in its own way.
    """

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        """One sample for each prompt, in input order. The noise of sample i comes from seeds[i] alone."""
        ...

    def score(self, sequences: list[list[int]]) -> list[list[float]]:
        """log p of each token but the first, given those before it: natural log, temperature 1, whole vocabulary."""
        ...
