"""Schedules that measure gradients, losses or held-out rows in training: what they saw, and what changes nothing."""

from math import exp

import pytest
import torch
from transformers import AutoModelForCausalLM

from chord import tasks
from chord.errors import UserError
from chord.io.seeds import derive_seed
from chord.objectives import Gradients
from chord.training.hybrid_trainer import HybridTrainer
from chord.training.run_statistics import run_statistics
from chord.training.sequences import encode_experts, row_order
from tests.helpers.small_training import (
    COMMON,
    GRADIENT_NOISE,
    LUFFY,
    PLATEAU,
    SEED_PARTS,
    hybrid_stage,
    logged,
    weights,
)

NORMS = {"name": "gradient_norms"}
LEARNT = {"name": "uncertainty", "lr": 0.5, "limit": 2.0}


def one_step(mu: float):
    return hybrid_stage(steps=1, schedule={"name": "constant", "mu": mu})


@pytest.mark.parametrize("schedule", [GRADIENT_NOISE, NORMS], ids=["halves", "terms"])
def test_the_first_step_is_that_of_a_constant_mu(trained, schedule):
    """The norms are those of runs with one term only, and the dot product follows from a run with both."""
    apart = trained(hybrid_stage(steps=1, schedule=schedule))
    (rl,), (expert,), (both,) = (logged(trained(one_step(mu)), "grad_norm") for mu in (0.0, 1.0, 0.5))
    found = run_statistics(apart.state.log_history, 0.0).past_gradients[0]
    assert found.rl_grad_norm == pytest.approx(rl, rel=1e-4)
    assert found.expert_grad_norm == pytest.approx(expert, rel=1e-4)
    assert found.grad_dot == pytest.approx((4 * both**2 - rl**2 - expert**2) / 2, rel=1e-3)
    (mu,) = logged(apart, "mu")
    assert mu != 0.4
    constant = trained(one_step(mu))
    torch.testing.assert_close(weights(apart), weights(constant), rtol=0, atol=1e-5)
    for key in ("loss", "rl_loss", "expert_loss", "expert_nll", "grad_norm"):
        assert logged(apart, key)[:1] == pytest.approx(logged(constant, key)[:1], rel=1e-4, abs=1e-6)


def test_equal_norms_are_what_the_log_says(trained):
    trainer = trained(hybrid_stage(steps=1, schedule=NORMS))
    columns = ("a_rl", "a_ex", "rl_grad_norm", "expert_grad_norm")
    ((a_rl,), (a_ex,), (rl,), (expert,)) = (logged(trainer, key) for key in columns)
    assert a_rl * rl == pytest.approx(a_ex * expert)
    assert not logged(trainer, "rl_grad_variance")  # nothing reads it


def test_the_variance_is_that_of_two_halves_row_by_row(trained, load, tokenizer, experts):
    """|h1 - h2|^2 of the expert term, differentiated by autograd; the halves have four prompts each."""
    trainer = trained(hybrid_stage(steps=1, schedule=GRADIENT_NOISE))
    model = load()
    rows = [encode_experts(tokenizer, experts)[i] for i in order(experts)]
    rows = sorted(rows, key=lambda row: hash(tuple(row.prompt_ids)))
    tokens = sum(len(row.response_ids) for row in rows)
    halves = []
    for half in (rows[0::2], rows[1::2]):
        loss = 0.0
        for row in half:
            logits = model(torch.tensor([row.input_ids])).logits[0, len(row.prompt_ids) - 1 : -1].log_softmax(-1)
            logp = logits[torch.arange(len(row.response_ids)), torch.tensor(row.response_ids)]
            p = logp.detach().exp()
            loss = loss - (p * (1 - p) * logp).sum() / tokens
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        halves.append(torch.cat([values.flatten() for values in gradients]))
    assert logged(trainer, "expert_grad_variance") == [
        pytest.approx((halves[0] - halves[1]).square().sum().item(), rel=1e-3)
    ]
    assert logged(trainer, "rl_grad_variance")[0] > 0.0


def order(experts) -> list[int]:
    return row_order(len(experts), 8, derive_seed(*SEED_PARTS, "expert order"))


@pytest.mark.parametrize(
    "changes", [{"schedule": GRADIENT_NOISE}, LUFFY | {"schedule": NORMS}], ids=["noise", "joined"]
)
def test_micro_batches_change_nothing(train_hybrid, traces, experts, changes):
    rows = traces[::-1] if "router" in changes else experts
    whole, split = (
        train_hybrid(hybrid_stage(steps=2, micro_batch_tokens=size, **changes), experts=rows) for size in (9999, 60)
    )
    torch.testing.assert_close(weights(split), weights(whole), rtol=0, atol=1e-5)
    for key in (*Gradients._fields, "mu", "expert_loss", "train_tokens"):
        assert logged(split, key) == pytest.approx(logged(whole, key), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("schedule", "mu"), [(GRADIENT_NOISE, None), (NORMS, 0.0)], ids=["noise", "norms"])
def test_equal_rewards_give_no_rl_gradient(train_hybrid, monkeypatch, schedule, mu):
    flat = tasks.Verdict(-0.1, False, True, "flat")
    monkeypatch.setitem(tasks.TASKS, "coin", tasks.Task("coin", lambda row, text, truncated: flat))
    trainer = train_hybrid(hybrid_stage(steps=1, schedule=schedule))
    assert logged(trainer, "rl_grad_norm") == logged(trainer, "grad_dot") == [0.0]
    if mu is None:
        # s_r = 0: mu* = 0.2 d^2 / (d^2 + s_s^2), and the prior of 0.4 has half the weight
        assert 0.2 <= logged(trainer, "mu")[0] <= 0.3
        assert logged(trainer, "grad_norm")[0] > 0.0
    else:
        assert logged(trainer, "mu") == [mu]
        assert logged(trainer, "grad_norm") == [0.0]


def test_learnt_weights_follow_the_rewards_and_losses_of_the_log(trained):
    trainer = trained(hybrid_stage(steps=4, schedule=LEARNT))
    pairs = run_statistics(trainer.state.log_history, 0.0).losses
    assert len(pairs) == 4
    s = [0.0, 0.0]
    for step, (reward, expert) in enumerate(pairs):
        expected = [exp(-value) / 2 for value in s]
        assert [logged(trainer, key)[step] for key in ("a_rl", "a_ex")] == pytest.approx(expected)
        losses = (1.0 - reward, expert)
        s = [old - 0.25 * (1.0 - 2.0 * weight * loss) for old, weight, loss in zip(s, expected, losses, strict=True)]


def test_rl_begins_at_the_plateau_on_rows_that_no_step_trains_on(trained, load, tokenizer, experts):
    trainer = trained(hybrid_stage(steps=4, schedule=PLATEAU))
    assert max(trainer.expert_order) < len(experts) - 6
    rows = encode_experts(tokenizer, experts)[-6:]
    model, total = load(), 0.0
    for row in rows:
        logits = model(torch.tensor([row.input_ids])).logits[0, len(row.prompt_ids) - 1 : -1].log_softmax(-1)
        total -= logits[torch.arange(len(row.response_ids)), torch.tensor(row.response_ids)].sum().item()
    nlls, mu = logged(trainer, "held_out_nll"), logged(trainer, "mu")
    assert nlls[0] == pytest.approx(total / sum(len(row.response_ids) for row in rows), rel=1e-4)
    n_sft = mu.count(1.0)
    assert 0 < n_sft < 4
    assert mu == [1.0] * n_sft + [0.0] * (4 - n_sft)
    assert len(nlls) == n_sft + 1  # the last one is the plateau; nothing is measured afterwards
    assert nlls[-1] >= 0.8 * min(nlls[:-1])
    assert len(logged(trainer, "rollouts")) == 4 - n_sft
    assert len(logged(trainer, "expert_rows")) == n_sft


@pytest.mark.parametrize("schedule", [GRADIENT_NOISE, LEARNT, PLATEAU], ids=["noise", "learnt", "plateau"])
def test_a_resumed_run_continues_as_a_straight_one(
    trained, load, tokenizer, prompts, experts, engine_for, tmp_path, schedule
):
    """Resumed after step 2, where gradients, losses or measurements of both steps decide."""
    stage = hybrid_stage(steps=4, schedule=schedule)

    def train(steps: int, resume: str | None = None) -> HybridTrainer:
        model = load() if resume is None else AutoModelForCausalLM.from_pretrained(resume, dtype=torch.float32)
        common = COMMON | {"save_strategy": "steps", "save_steps": 2, "output_dir": str(tmp_path)}
        args = HybridTrainer.config(stage, 1, **common)
        args.max_steps = steps
        rows = encode_experts(tokenizer, experts)
        trainer = HybridTrainer(model, tokenizer, args, stage, engine_for(model), prompts, rows, SEED_PARTS)
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    train(2)
    resumed, straight = train(4, str(tmp_path / "checkpoint-2")), trained(stage)
    assert torch.equal(weights(resumed), weights(straight))
    for key in ("mu", "a_rl", "grad_norm", "held_out_nll", *Gradients._fields):
        assert logged(resumed, key) == logged(straight, key)
    assert len(set(logged(straight, "mu"))) > 1


def test_impossible_settings_are_one_clear_line(train_hybrid, experts):
    with pytest.raises(ValueError, match="expert_rows_per_step: expected at least 2, as the schedule gradient_noise"):
        hybrid_stage(schedule=GRADIENT_NOISE, expert_rows_per_step=1)
    assert "schedule.held_out: 5 rows" in hybrid_stage(schedule=PLATEAU | {"held_out": 5}).divisibility_error(2)
    with pytest.raises(UserError, match=r"schedule\.held_out: expected fewer than the 24 expert rows, got 24"):
        train_hybrid(hybrid_stage(schedule=PLATEAU | {"held_out": 24}))
