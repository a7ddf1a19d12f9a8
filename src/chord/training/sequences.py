"""What an optimizer step reads: the choice of rows, their token sequences, and padded batches of these."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from chord.errors import UserError
from chord.rollouts import encode_prompts
from chord.rollouts.chat import response_ids
from chord.shared_prompts import PackedBatch

IGNORED = -100  # the label of tokens without loss in torch and transformers


def row_order(n_rows: int, count: int, seed: int) -> list[int]:
    """The first `count` indices of an endless pass over `n_rows` rows, which has a new permutation in every epoch.

    The rows of a step depend on (seed, step) alone. So a resumed run needs no position, and all methods with one seed
    see the same rows in the same order, whether or not their schedules use them.
    """
    if n_rows < 1 <= count:
        raise ValueError("a stream needs at least one row")
    order: list[int] = []
    epoch = 0
    while len(order) < count:
        order.extend(np.random.default_rng([seed, epoch]).permutation(n_rows).tolist())
        epoch += 1
    return order[:count]


@dataclass(frozen=True)
class Sequence:
    """A prompt and the response whose tokens carry loss."""

    prompt_ids: list[int]
    response_ids: list[int]
    reward: float | None = None  # of an expert's response: the verdict of its row
    teacher_prompt_ids: list[int] | None = None  # what a teacher reads in place of the prompt; None: the prompt

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.response_ids)

    @property
    def input_ids(self) -> list[int]:
        return self.prompt_ids + self.response_ids

    @property
    def labels(self) -> list[int]:
        return [IGNORED] * len(self.prompt_ids) + self.response_ids

    def for_teacher(self) -> "Sequence":
        """The row as its teacher reads it."""
        return self if self.teacher_prompt_ids is None else Sequence(self.teacher_prompt_ids, self.response_ids)


def first_rows(rows: list[dict], count: int, path: Path) -> list[dict]:
    """The first `count` expert rows of the file `path`; UserError if it has fewer."""
    if len(rows) < count:
        raise UserError(f"{path}: {len(rows)} expert rows; expected at least expert_set = {count}")
    return rows[:count]


def traces_of(prompts: list[dict], traces: list[dict], path: Path) -> list[dict]:
    """The expert trajectories in the file `path`, in the order of their prompts; UserError if a prompt has none."""
    by_id = {row["id"]: row for row in traces}
    for prompt in prompts:
        if prompt["id"] not in by_id:
            raise UserError(f"{path}: no row {prompt['id']}; expected an expert trajectory for every RL prompt")
        if "reward" not in by_id[prompt["id"]].get("verdict", {}):
            raise UserError(f"{path}: row {prompt['id']}: verdict.reward: missing; expected the reward of its response")
    return [by_id[prompt["id"]] for prompt in prompts]


def shown_traces(prompts: list[dict], traces: list[dict], text: str) -> list[dict]:
    """The prompts with what the policy reads of each as its own teacher, `teacher_messages`.

    text: takes the place of the last message, with the message at {prompt} and the prompt's trace at {trace}.
    """

    def message(last: dict, trace: dict) -> dict:
        parts = {"{prompt}": last["content"], "{trace}": trace["response"]}
        return last | {"content": re.sub(r"\{prompt\}|\{trace\}", lambda place: parts[place[0]], text)}

    return [
        prompt | {"teacher_messages": [*prompt["messages"][:-1], message(prompt["messages"][-1], trace)]}
        for prompt, trace in zip(prompts, traces, strict=True)
    ]


def check_lengths(sequences: list[Sequence], rows: list[dict], limit: int, what: str = "expert row") -> None:
    """Raise UserError if the model, which reads at most `limit` tokens, cannot read one of the rows."""
    for sequence, row in zip(sequences, rows, strict=True):
        if len(sequence) > limit:
            raise UserError(f"{what} {row['id']}: {len(sequence)} tokens; expected at most the model's {limit}")


def encode_experts(tokenizer: PreTrainedTokenizerBase, rows: list[dict]) -> list[Sequence]:
    """Expert rows as the policy would have produced them: generation prompt, response, end token.

    The response is tokenised alone, as a rollout's tokens are: the boundary is the same for both data streams.
    """
    prompts = encode_prompts(tokenizer, rows)
    responses = response_ids(tokenizer, [row["response"] for row in rows])
    return [
        Sequence(prompt, response, row.get("verdict", {}).get("reward"))
        for prompt, response, row in zip(prompts, responses, rows, strict=True)
    ]


def collate(sequences: list[Sequence], pad_token_id: int, device: torch.device) -> dict[str, Tensor]:
    """Right-padded `input_ids`, `attention_mask` and `labels`, each (rows, tokens of the longest)."""
    width = max(map(len, sequences))

    def padded(values: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([row + [fill] * (width - len(row)) for row in values], device=device)

    return {
        "input_ids": padded([sequence.input_ids for sequence in sequences], pad_token_id),
        "attention_mask": padded([[1] * len(sequence) for sequence in sequences], 0),
        "labels": padded([sequence.labels for sequence in sequences], IGNORED),
    }


def batch_of(sequences: list[Sequence], shares_prompts: bool, pad_token_id: int) -> "Batch":
    """The batch of a forward pass. shares_prompts: whether the model can compute equal prompts once."""
    if shares_prompts:
        return PackedBatch([(sequence.prompt_ids, sequence.response_ids) for sequence in sequences])
    return PaddedBatch(sequences, pad_token_id)


class PaddedBatch:
    """Rows padded to the longest, with the methods of `chord.shared_prompts.PackedBatch`."""

    def __init__(self, sequences: list[Sequence], pad_token_id: int):
        self.sequences = sequences
        self.pad_token_id = pad_token_id

    def inputs(self, device: torch.device) -> dict[str, Tensor]:
        """Arguments for a model; labels are those of all responses."""
        return collate(self.sequences, self.pad_token_id, device)

    def at_rows(self, places: Iterable[int], device: torch.device) -> Tensor:
        """Which labels belong to the responses of the rows at these places, (rows, tokens - 1)."""
        at = torch.zeros(len(self.sequences), max(map(len, self.sequences)) - 1, dtype=torch.bool, device=device)
        for place in places:
            row = self.sequences[place]
            at[place, len(row.prompt_ids) - 1 : len(row) - 1] = True
        return at

    def by_row(self, values: Tensor) -> Tensor:
        """(rows, tokens - 1, ...) as (rows, longest response, ...), 0 behind the end of a response."""
        rows = [
            of_row[len(row.prompt_ids) - 1 : len(row) - 1] for row, of_row in zip(self.sequences, values, strict=True)
        ]
        return pad_sequence(rows, batch_first=True)


Batch = PackedBatch | PaddedBatch
