"""Log-probabilities of chosen tokens: as from the whole logits, which no stage ever holds.

What that saves is resident memory, which differs from machine to machine: benchmarks/logprobs.py measures it.
"""

import pytest
import torch
from benchmarks.logprobs import differences, gradients, small_model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoConfig, AutoModelForCausalLM

from chord.training import distributions
from tests.helpers.small_training import hybrid_stage, sft_stage

VOCABULARY = 120_000  # several of TRL's tiles


class Largest(TorchDispatchMode):
    """Notes the number of values of the largest tensor that any operation makes, backward passes included."""

    values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(made) if isinstance(leaf, torch.Tensor)]
        self.values = max([self.values, *sizes])
        return made


@pytest.fixture
def experts(experts):
    return experts[:4]


@pytest.fixture
def load(start):
    config = AutoConfig.from_pretrained(start, vocab_size=VOCABULARY)
    return lambda: AutoModelForCausalLM.from_config(config)


def test_log_probabilities_and_gradients_are_those_of_the_whole_logits():
    assert max(differences(VOCABULARY, tokens=64)) < 1e-5


@pytest.mark.parametrize("stage", ["sft", "hybrid", "eaft"])
def test_no_tensor_of_a_step_is_as_large_as_the_logits(stage, train_sft, train_hybrid, monkeypatch):
    monkeypatch.setattr(distributions, "CHUNK_VALUES", 8 * VOCABULARY)  # so that these few tokens are several chunks
    with Largest() as largest:
        if stage == "sft":
            trainer = train_sft(sft_stage(expert_rows_per_step=4))
        else:  # no rollouts, so that only expert rows are trained on
            always = {"name": "constant", "mu": 1.0}
            weight = {"token_weight": {"name": "eaft", "normalisation": "paper"}} if stage == "eaft" else {}
            trainer = train_hybrid(hybrid_stage(schedule=always, expert_rows_per_step=4, steps=1, **weight))
    tokens = sum(len(row.response_ids) for row in trainer.experts)
    assert tokens * 32_768 <= largest.values < tokens * VOCABULARY


def test_whole_logits_would_be_seen():
    with Largest() as largest:
        gradients("whole logits", small_model(VOCABULARY, 64), 64)
    assert largest.values >= 63 * VOCABULARY
