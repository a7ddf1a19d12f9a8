"""What every backend takes and gives: prompts in fixed batches, decoding settings, samples, and two methods between."""

from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field

from chord.errors import UserError
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


def check_lengths(prompt_ids: list[list[int]], decoding: Decoding, limit: int) -> None:
    """UserError if a prompt is empty, or with its response longer than the `limit` positions of the model."""
    lengths = [len(ids) for ids in prompt_ids]
    if 0 in lengths:
        raise UserError(f"prompt {lengths.index(0)} has no tokens")
    needed = max(lengths, default=0) + decoding.max_response_tokens
    if needed > limit:
        raise UserError(
            f"the longest prompt and max_response_tokens = {decoding.max_response_tokens} need {needed} positions, "
            f"the model has {limit}"
        )


def fixed_batches(prompt_ids: list[list[int]], batch_size: int) -> list[list[int]]:
    """Cut the indices of `prompt_ids` into batches of prompts of about equal length.

    Which prompts share a forward pass is decided by the list of prompts, never by who computes it: the last bits of a
    logit depend on the shape of the batch (other kernels, another order of sums), and so results are bit-equal for any
    number of workers. Longest prompts come first, so
    that a batch that does not fit into memory fails at once and not after an hour.
    """
    order = sorted(range(len(prompt_ids)), key=lambda index: -len(prompt_ids[index]))  # stable: ties keep their order
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
