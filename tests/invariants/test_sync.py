"""Rollouts by an engine with weights of its own: here `generate` over a second model, which is told every weight."""

import dataclasses
from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM

from chord.rollouts.huggingface import HuggingFaceEngine
from chord.rollouts.parity import ParityError
from chord.training.hybrid_trainer import HybridTrainer
from chord.training.scale.sync import SyncedEngine, trainer_scores, under_all_names
from chord.training.sequences import encode_experts
from tests.helpers.small_training import COMMON, LUFFY, SEED_PARTS, SRFT, hybrid_stage, logged, weights


class SecondModel(HuggingFaceEngine):
    """Knows no entropies, like vLLM; takes the weights that it is told to take."""

    takes: Callable[[str], bool] = staticmethod(lambda name: True)

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        own = self.model.state_dict()
        for name, weight in weights:
            if self.takes(name):
                own[name].copy_(weight)

    def generate(self, *arguments) -> list:
        return [dataclasses.replace(sample, entropies=None) for sample in super().generate(*arguments)]

    def sleep(self) -> None:
        with torch.no_grad():  # its weights are lost
            for weight in self.model.parameters():
                weight.fill_(torch.nan)


@pytest.fixture
def second(load, tokenizer) -> SecondModel:
    return SecondModel(load(), tokenizer.pad_token_id, [tokenizer.eos_token_id], 16)


@pytest.fixture
def train(load, tokenizer, prompts, experts, traces, tmp_path):
    def train(stage, engine) -> HybridTrainer:
        args = HybridTrainer.config(stage, 1, output_dir=str(tmp_path), **COMMON)
        rows = encode_experts(tokenizer, traces[::-1] if "traces" in stage.inputs else experts)
        synced = SyncedEngine(engine, [row.input_ids for row in rows[:4]], "float32")
        trainer = HybridTrainer(load(), tokenizer, args, stage, synced, prompts, rows, SEED_PARTS)
        synced.follow(trainer)
        trainer.train()
        return trainer

    return train


def test_a_synced_engine_trains_what_the_model_itself_trains(train, train_hybrid, second):
    found, expected = train(hybrid_stage(), second), train_hybrid(hybrid_stage())
    assert torch.equal(weights(found), weights(expected))
    for name in ("loss", "reward_mean", "grad_norm"):
        assert logged(found, name) == logged(expected, name)
    assert max(logged(found, "parity_max")) < 1e-4
    assert max(logged(found, "rollout_drift")) < 1e-5
    # -log p of what was drawn: another number for each sample, with the entropy as its mean.
    assert logged(found, "entropy") != logged(expected, "entropy")
    assert logged(found, "entropy") == pytest.approx(logged(expected, "entropy"), rel=0.25)
    assert not logged(expected, "parity_mean")
    assert not logged(expected, "rollout_drift")


def test_entropies_that_a_router_reads_come_from_the_model(train, train_hybrid, second, traces):
    stage = hybrid_stage(**LUFFY | SRFT)
    found, expected = train(stage, second), train_hybrid(stage, experts=traces[::-1])
    torch.testing.assert_close(weights(found), weights(expected), rtol=0, atol=1e-5)


def test_a_weight_that_is_not_taken_ends_the_run(train, second):
    second.takes = lambda name: name != "model.layers.1.mlp.down_proj.weight"
    second.sleep = lambda: None  # as loaded, which is right before the first update
    with pytest.raises(ParityError, match="weights after step 1"):
        train(hybrid_stage(), second)


def test_scores_are_those_of_the_forward_pass_of_training(train_hybrid, engine_for, experts, tokenizer):
    trainer = train_hybrid(hybrid_stage(steps=1))
    texts = [row.input_ids for row in encode_experts(tokenizer, experts[:5])]
    assert len({len(text) for text in texts}) > 1  # padding
    for found, expected in zip(trainer_scores(trainer, texts), engine_for(trainer.model).score(texts), strict=True):
        assert found == pytest.approx(expected, abs=1e-4)


def test_tied_weights_go_out_under_each_name_once():
    shape = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 1, "num_key_value_heads": 1}
    model = Qwen2ForCausalLM(Qwen2Config(tie_word_embeddings=True, **shape, **heads))
    both = model.state_dict()
    assert "lm_head.weight" in both
    once = {name: weight for name, weight in both.items() if name != "lm_head.weight"}  # as its files have them
    for given in (both, once):
        sent = list(under_all_names(given.items(), model.all_tied_weights_keys))
        assert sorted(name for name, _ in sent) == sorted(both)
    untied = Qwen2ForCausalLM(Qwen2Config(tie_word_embeddings=False, **shape, **heads))
    sent = under_all_names(untied.state_dict().items(), untied.all_tied_weights_keys)
    assert [name for name, _ in sent] == list(untied.state_dict())
