"""Rows of random tokens in place of sampled ones, so that trainers can be compared on the same rows."""

from itertools import cycle

import numpy as np

from chord import tasks
from chord.rollouts import Decoding, Sample
from chord.training.sequences import Sequence

FIRST = 8  # the tokens before it are special in the world's tokenizer
_rewards = cycle((0.0, 1.0))


def _alternating(row: dict, text: str, truncated: bool) -> tasks.Verdict:
    """Rewards every second completion, so that no group is without a gradient."""
    reward = next(_rewards)
    return tasks.Verdict(reward, bool(reward), True, "alternating")


def rewarded_in_turn(rows: list[dict]) -> list[dict]:
    """The prompts with a task, registered in this process, that rewards every second completion."""
    tasks.TASKS["alternating"] = tasks.Task("alternating", _alternating)
    return [row | {"task": "alternating"} for row in rows]


class RandomEngine:
    """An `Engine` that answers every prompt with random tokens up to the limit, by the seed alone."""

    def __init__(self, vocabulary: int):
        self.vocabulary = vocabulary

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        n = decoding.max_response_tokens
        return [Sample(random_tokens(self.vocabulary, n, seed), True, [0.0] * n, [0.0] * n) for seed in seeds]

    def score(self, sequences: list[list[int]]) -> list[list[float]]:
        raise NotImplementedError("random tokens have no log-probabilities")


def random_tokens(vocabulary: int, count: int, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(FIRST, vocabulary, count).tolist()


def random_sequences(vocabulary: int, count: int, prompt_tokens: int, response_tokens: int) -> list[Sequence]:
    """Rows with one and the same prompt."""
    prompt = random_tokens(vocabulary, prompt_tokens, 0)
    return [Sequence(prompt, random_tokens(vocabulary, response_tokens, 1 + i)) for i in range(count)]
