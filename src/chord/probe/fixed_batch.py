"""The batch of a probe: prompts of the synthetic world, written rollouts, expert rows, and a small random model.

What a step does with its rows depends neither on their meaning nor on the size of the model, so nothing is read from
disk. Rewards differ within groups, except in one, whose rollouts are all wrong: its tokens count, though it has no
gradient. All responses differ in length.
"""

import random
from collections import defaultdict

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM

from chord.rollouts import Decoding, Sample, encode_prompts
from chord.rollouts.chat import response_ids
from chord.training.sequences import Sequence
from chord.world.problems import parse
from chord.world.rows import world_rows
from chord.world.solutions import base_style, write, write_expert
from chord.world.tokenizer import build_tokenizer

PROMPTS, ROLLOUTS, EXPERTS = 8, 4, 32  # 32 rows of either term
POSITIONS = 256
DECODING = Decoding(temperature=1.0, max_response_tokens=128)


class FixedBatch:
    """Rows for one step, and an engine that gives the same rollouts whatever the weights, the split or the rank."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.prompts = world_rows("rl", "probe", (2, 3, 4, 5), PROMPTS, seed=1)
        self.traces = [row | {"response": _expert(row), "verdict": {"reward": 1.0}} for row in self.prompts]
        self.experts = [row | {"response": _expert(row)} for row in world_rows("sft", "probe", (2, 3, 5), EXPERTS, 1)]
        texts = [_rollout(row, group, i) for group, row in enumerate(self.prompts) for i in range(ROLLOUTS)]
        written = response_ids(tokenizer, texts)
        self._responses = {
            tuple(prompt): written[group * ROLLOUTS : (group + 1) * ROLLOUTS]
            for group, prompt in enumerate(encode_prompts(tokenizer, self.prompts))
        }

    def tokens(self, experts: list[Sequence]) -> int:
        """Those of all passes of a step with these expert rows; each prompt of rollouts is computed once."""
        rollouts = sum(len(prompt) + sum(map(len, responses)) for prompt, responses in self._responses.items())
        return rollouts + sum(map(len, experts))

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        """The n-th sample of a prompt is its n-th written rollout, with constant log-probabilities and entropies."""
        seen = defaultdict(int)
        samples = []
        for prompt in map(tuple, prompt_ids):
            response = self._responses[prompt][seen[prompt] % ROLLOUTS]
            seen[prompt] += 1
            samples.append(Sample(response, False, [-1.0] * len(response), [1.0] * len(response)))
        return samples


def random_model() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A Qwen2 of two layers in float32 whose distributions are far from uniform, the same each time."""
    tokenizer = build_tokenizer(POSITIONS)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=False,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Qwen2ForCausalLM(config), tokenizer


def _expert(row: dict) -> str:
    return write_expert(parse(row["messages"][0]["content"]))


def _rollout(row: dict, group: int, i: int) -> str:
    """The first rollouts of a group are right, one to three of them; in the last group none is."""
    style = base_style(exposure=0.3, slip=0.0, skipping=0.5, keep=0.5)
    text = write(parse(row["messages"][0]["content"]), style, random.Random(1000 * group + i))
    right = group < PROMPTS - 1 and i < 1 + group % (ROLLOUTS - 1)
    return text if right else text.rsplit(maxsplit=1)[0]  # an answer with one digit is unreadable
