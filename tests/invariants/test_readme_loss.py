"""The lines of README.md that put a CHORD loss into a subclass of TRL's trainer, as they stand there."""

import re
from pathlib import Path

import pytest
import torch

from chord import CHORD_PHI, Constant, Objective, Power
from chord.training.sequences import collate, encode_experts
from tests.helpers.small_training import hybrid_stage, logged, weights
from tests.helpers.stock_grpo import StockGrpo

README = Path(__file__).parents[2] / "README.md"
pytestmark = pytest.mark.filterwarnings("ignore:You are using .rollout_func.")
STAGE = hybrid_stage(steps=2)
MICRO_BATCHES = 2  # of an optimizer step, as of StockGrpo
ROWS = 3  # expert rows of each


@pytest.fixture
def chord_trainer():
    """The class that the README defines."""
    names = {}
    exec(re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[1], names)
    return names["ChordTrainer"]


@pytest.fixture
def train(load, tokenizer, prompts, engine_for, tmp_path):
    def train(**options):
        model = load()
        trainer = StockGrpo(model, tokenizer, STAGE, engine_for(model), prompts, str(tmp_path), **options).trainer
        trainer.train()
        return trainer

    return train


@pytest.fixture
def sequences(tokenizer, experts):
    return encode_experts(tokenizer, experts[: STAGE.steps * MICRO_BATCHES * ROWS])


def batches(sequences, pad_token_id):
    per_step = MICRO_BATCHES * ROWS
    for first in range(0, len(sequences), ROWS):
        step = first // per_step * per_step
        count = sum(len(row.response_ids) for row in sequences[step : step + per_step])
        yield collate(sequences[first : first + ROWS], pad_token_id, torch.device("cpu")), count


def test_they_are_ten_lines_that_import_from_chord_and_trl_alone():
    code = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[1]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 10
    assert {line.split()[1] for line in lines if "import" in line.split()} == {"chord", "trl"}


def test_with_mu_0_they_are_trl_grpo_to_the_bit(chord_trainer, train, sequences, tokenizer):
    chord_trainer.chord = Objective(Constant(mu=0.0))
    chord_trainer.experts = batches(sequences, tokenizer.pad_token_id)
    ours, stock = train(trainer_class=chord_trainer), train()
    assert logged(ours, "loss") == logged(stock, "loss")
    assert torch.equal(weights(ours), weights(stock))


def test_with_mu_half_the_loss_is_the_one_worked_out_by_hand(chord_trainer, train, sequences, tokenizer, load):
    chord_trainer.chord = Objective(Constant(mu=0.5), Power(a=1, b=1))
    chord_trainer.experts = batches(sequences, tokenizer.pad_token_id)
    ours, stock = train(trainer_class=chord_trainer), train()
    assert not torch.equal(weights(ours), weights(stock))
    logps = []
    for row in sequences[: MICRO_BATCHES * ROWS]:
        logits = load()(torch.tensor([row.input_ids])).logits[0, :-1].log_softmax(-1)
        logps.append(logits.gather(1, torch.tensor(row.input_ids[1:])[:, None])[-len(row.response_ids) :, 0])
    logp = torch.cat(logps).detach()
    expert = (logp.exp() * (1 - logp.exp()) * -logp).mean().item()
    assert expert > 0.01
    assert logged(ours, "loss")[0] == pytest.approx(0.5 * logged(stock, "loss")[0] + 0.5 * expert, abs=1e-5)


def test_as_they_stand_they_are_chord_phi(chord_trainer):
    assert chord_trainer.chord is CHORD_PHI
