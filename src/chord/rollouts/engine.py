"""What every backend takes and gives: decoding settings, samples, and the one method between prompts and samples."""

from dataclasses import dataclass
from typing import Protocol

from pydantic import Field

from chord.settings import Settings


class Decoding(Settings):
    """How a token is drawn from the logits: divide by the temperature, keep the nucleus, sample."""

    temperature: float = Field(ge=0, allow_inf_nan=False, description="0 is greedy: the most probable token, no noise")
    top_p: float = Field(default=1.0, gt=0, le=1, description="mass of the nucleus; 1 keeps the whole vocabulary")
    max_response_tokens: int = Field(ge=1, description="limit of a response, its end token included")


@dataclass(frozen=True)
class Sample:
    """One completion. The three lists have one entry a token, the end token included when it was reached."""

    token_ids: list[int]
    truncated: bool  # no end token within the limit; known to the generator, never guessed from the text
    logps: list[float]  # natural log-probability of each token under the distribution it was drawn from
    entropies: list[float]  # nats, of that distribution; greedy decoding draws from a point, so both are 0 there


class Engine(Protocol):
    """A model that completes prompts. Backends differ in speed, never in meaning."""

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        """One sample for each prompt, in input order. The noise of sample i comes from seeds[i] alone."""
        ...
