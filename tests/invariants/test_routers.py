"""Gates, waiting traces and prefixes: the formulas written out row by row, limits, and what must change nothing."""

import math
from random import Random

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM

from chord import tasks
from chord.io.seeds import derive_seed
from chord.rollouts import encode_prompts
from chord.training.hybrid_trainer import HybridTrainer
from chord.training.sequences import encode_experts, row_order
from tests.helpers.small_training import (
    BUFFERED,
    COMMON,
    GATE,
    HINT,
    NEVER,
    PREFIX,
    SEED_PARTS,
    coin,
    hybrid_stage,
    logged,
    weights,
)

ROUTERS = {"gate": GATE, "buffered": BUFFERED, "hint": HINT, "prefix": PREFIX}
K = 4  # rollouts of a prompt


@pytest.fixture
def train(train_hybrid, traces):
    return lambda settings, **changes: train_hybrid(hybrid_stage(**(settings | changes)), experts=traces[::-1])


@pytest.mark.parametrize("name", ROUTERS)
def test_micro_batches_change_nothing(train, name):
    steps = 4 if name == "buffered" else 2  # an SFT step is among them
    whole, split = (train(ROUTERS[name], steps=steps, micro_batch_tokens=size) for size in (10_000, 1))
    torch.testing.assert_close(weights(split), weights(whole), rtol=0, atol=1e-5)
    for key in ("rl_loss", "expert_loss", "expert_nll", "loss"):
        assert logged(split, key) == pytest.approx(logged(whole, key), abs=1e-5)
    # Before clipping, 14 in an SFT step: what fp32 resolves of it grows with it.
    assert logged(split, "grad_norm") == pytest.approx(logged(whole, "grad_norm"), rel=5e-6)
    assert sum(logged(whole, "expert_rows")) > 0


# One step, row by row. A group is (rewards, its rollouts' values, the trace's or prefix's values).

Values = tuple[torch.Tensor, torch.Tensor]  # log p and entropy (without gradient) of tokens


def gate(groups: list[tuple[list[float], list[Values], Values]]) -> torch.Tensor:
    """Share of right answers <= 1/4: -log p of the trace; else -A log p of the rollouts, without the deviation."""
    rl, sft, n_rl, n_sft = 0.0, 0.0, 0, 0
    for rewards, rollouts, (trace, _) in groups:
        mean = sum(rewards) / K
        if mean <= 0.25:
            sft, n_sft = sft - trace.sum(), n_sft + len(trace)
            continue
        for reward, (logp, _) in zip(rewards, rollouts, strict=True):
            rl, n_rl = rl - (reward - mean) * logp.sum(), n_rl + len(logp)
    assert n_rl
    assert n_sft
    return rl / n_rl + sft / n_sft


def hint(groups: list[tuple[list[float], list[Values], Values]]) -> torch.Tensor:
    """GRPO, and 1/2 of the mean of -log p of the hints."""
    rl, sft, n_rl, n_sft = 0.0, 0.0, 0, 0
    for rewards, rollouts, (shown, _) in groups:
        values = torch.tensor(rewards)
        advantages = (values - values.mean()) / (values.std() + 1e-4)
        for advantage, (logp, _) in zip(advantages, rollouts, strict=True):
            rl, n_rl = rl - advantage * logp.sum(), n_rl + len(logp)
        sft, n_sft = sft - shown.sum(), n_sft + len(shown)
    return rl / n_rl + 0.5 * sft / n_sft


def prefix(groups: list[tuple[list[float], list[Values], Values]]) -> torch.Tensor:
    """-A log p of all rollouts and of a fifth of the prefix tokens, over the tokens of all."""
    entropies = torch.cat([entropy for _, _, (_, entropy) in groups])
    least = entropies.sort(descending=True).values[round(0.2 * len(entropies)) - 1]
    total, count = 0.0, len(entropies)
    for rewards, rollouts, (shown, entropy) in groups:
        mean = sum(rewards[:-1]) / (K - 1)
        advantages = [reward - mean for reward in rewards[:-1]] + [rewards[-1]]
        for advantage, (logp, _) in zip(advantages, rollouts, strict=True):
            total, count = total - advantage * logp.sum(), count + len(logp)
        total = total - (rewards[-1] - mean) * shown[entropy >= least].sum()
    return total / count


def hint_length(length: int, draws: Random) -> int:
    q = 0.2 + 0.3 * (1 + math.cos(math.pi / 3))
    return round(sum(draws.random() < q for _ in range(5)) * length / 5)


def prefix_length(length: int, draws: Random) -> int:
    low = 0.2 + 0.35 * (1 + math.cos(math.pi / 3))
    return int((low + (0.9 - low) * draws.random()) * length)


@pytest.mark.parametrize(
    ("settings", "loss", "length", "continued"),
    [(GATE, gate, None, 0), (HINT, hint, hint_length, K), (PREFIX, prefix, prefix_length, 1)],
    ids=["gate", "hint", "prefix"],
)
def test_one_step_follows_the_formula(
    train, load, tokenizer, prompts, traces, engine_for, settings, loss, length, continued
):
    """Log-probabilities are those of one forward pass over prompt, prefix and response, differentiated by autograd.

    continued: how many of a group's rollouts, the last ones, continue a prefix; its length is drawn by `length`.
    """
    trainer = train(settings, steps=1, prompts_per_step=12)
    model, by_id = load(), {row["id"]: row for row in traces}

    def read(given: list[int], tokens: list[int]) -> Values:
        logits = model(torch.tensor([given + tokens])).logits[0, len(given) - 1 : -1].log_softmax(-1)
        entropy = -(logits.exp() * logits).sum(-1).detach()
        return logits[torch.arange(len(tokens)), torch.tensor(tokens, dtype=torch.long)], entropy

    drawn = row_order(len(prompts), 12, derive_seed(*SEED_PARTS, "prompt order"))
    groups = []
    for place, prompt in enumerate(prompts[i] for i in drawn):
        trace = encode_experts(tokenizer, [by_id[prompt["id"]]])[0].response_ids
        given = encode_prompts(tokenizer, [prompt])[0]
        draws = Random(derive_seed(*SEED_PARTS, "prefix", 1, place))
        shown = trace[: length(len(trace) - 1, draws)] if length else []
        prefixes = [[]] * (K - continued) + [shown] * continued
        seeds = [derive_seed(*SEED_PARTS, "rollout", 1, place * K + i) for i in range(K)]
        samples = [
            engine_for(model).generate([given + own], [seed], trainer.stage.decoding)[0].token_ids
            for own, seed in zip(prefixes, seeds, strict=True)
        ]
        texts = [tokenizer.decode(p + s, skip_special_tokens=True) for p, s in zip(prefixes, samples, strict=True)]
        rollouts = [read(given + p, s) for p, s in zip(prefixes, samples, strict=True)]
        groups.append(([coin(prompt, text, False).reward for text in texts], rollouts, read(given, shown or trace)))
        if length and not shown:
            groups[-1] = (*groups[-1][:2], (torch.zeros(0), torch.zeros(0)))
    loss(groups).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), COMMON["max_grad_norm"])
    assert logged(trainer, "grad_norm") == [pytest.approx(norm.item(), rel=1e-4)]
    expected = torch.cat([(p - COMMON["learning_rate"] * p.grad).detach().flatten() for p in model.parameters()])
    torch.testing.assert_close(weights(trainer), expected, rtol=0, atol=1e-5)
    taught = [len(logp) for rewards, _, (logp, _) in groups if length or sum(rewards) <= 1.0]
    assert logged(trainer, "expert_tokens") == [sum(taught)]
    assert logged(trainer, "expert_rows") == [sum(n > 0 for n in taught)]


# Limits


def test_a_gate_that_is_always_open_is_sft(train):
    """A step that reads all prompts, so that the order of rows does not matter."""
    opened = train(GATE | {"router": GATE["router"] | {"gamma": 1.0}}, steps=1, prompts_per_step=24)
    always = {"name": "constant", "mu": 1.0}
    sft = train(
        {}, steps=1, prompts_per_step=24, expert_rows_per_step=24, schedule=always, token_weight={"name": "one"}
    )
    torch.testing.assert_close(weights(opened), weights(sft), rtol=0, atol=1e-6)
    assert logged(opened, "expert_tokens") == logged(sft, "expert_tokens")
    assert logged(opened, "rl_loss") == [0.0]


def test_what_never_teaches_is_grpo(train, monkeypatch):
    """No prompt below the gate, a buffer that never fills, and hints without chunks: not a bit differs."""
    half = tasks.Task("coin", lambda *given: coin(*given)._replace(reward=0.5 + coin(*given).reward))
    monkeypatch.setitem(tasks.TASKS, "coin", half)
    grpo = weights(train({}, schedule=NEVER, expert_rows_per_step=None))
    closed = {"name": "gate", "success": "rewarded", "gamma": 0.0, "scale": "group"}
    large = {"name": "buffered", "scale": "group"}
    without = {"name": "hint", "chunks": 5, "start": 0.0, "end": 0.0, "steps": 1}
    for router, rows in ((closed, None), (large, 1000), (without, None)):
        trainer = train(GATE | {"router": router, "expert_rows_per_step": rows})
        assert torch.equal(weights(trainer), grpo)
        assert not any(logged(trainer, "expert_rows"))


# Traces that wait


class Recording(HybridTrainer):
    """Keeps, of each step with rollouts, the indices of the prompts that none of them solved."""

    def __init__(self, *args):
        self.unsolved: dict[int, list[int]] = {}
        super().__init__(*args)

    def _sampled_terms(self, model, inputs):
        terms = super()._sampled_terms(model, inputs)
        k = self.stage.rollouts_per_prompt
        right = [any(verdict.correct for verdict in self._verdicts[i : i + k]) for i in range(0, len(inputs), k)]
        rows = [prompt["row"] for prompt in inputs[::k]]
        self.unsolved[self.state.global_step + 1] = [row for row, one in zip(rows, right, strict=True) if not one]
        return terms


@pytest.fixture
def run_buffered(load, tokenizer, prompts, traces, engine_for, tmp_path):
    stage = hybrid_stage(**BUFFERED | {"steps": 9, "expert_rows_per_step": 3})

    def run(steps: int, resume: str | None = None) -> Recording:
        model = load() if resume is None else AutoModelForCausalLM.from_pretrained(resume, dtype=torch.float32)
        common = COMMON | {"save_strategy": "steps", "save_steps": 1, "output_dir": str(tmp_path)}
        args = HybridTrainer.config(stage, 1, **common)
        args.max_steps = steps
        rows = encode_experts(tokenizer, traces[::-1])
        trainer = Recording(model, tokenizer, args, stage, engine_for(model), prompts, rows, SEED_PARTS)
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    return run


def test_the_oldest_traces_are_learnt_once_enough_wait_and_a_resumed_run_remembers_them(run_buffered, tmp_path):
    straight = run_buffered(9)
    waiting, sft_steps, tokens, counts = [], [], [], {}
    for step in range(1, 10):
        if len(waiting) >= 3:
            taken, waiting = waiting[:3], waiting[3:]
            sft_steps.append(step)
            tokens.append(sum(len(straight.experts[row].response_ids) for row in taken))
        else:
            waiting = waiting + straight.unsolved[step]
        counts[step] = len(waiting)
    assert straight.unsolved.keys() == set(range(1, 10)) - set(sft_steps)
    assert len(sft_steps) >= 2
    weight_of_rl = logged(straight, "a_rl")
    assert [step for step in range(1, 10) if weight_of_rl[step - 1] == 0.0] == sft_steps
    assert logged(straight, "a_ex") == [1.0 - weight for weight in weight_of_rl]
    assert logged(straight, "expert_rows") == [3] * len(sft_steps)
    assert logged(straight, "expert_tokens") == tokens
    assert straight.waiting.prompts == waiting
    # Resumed where some traces wait, of which the next SFT step learns.
    middle = next(step for step in range(1, 10) if 0 < counts[step] < 3 and step < sft_steps[-1])
    resumed = run_buffered(9, str(tmp_path / f"checkpoint-{middle}"))
    assert torch.equal(weights(resumed), weights(straight))
    assert resumed.waiting.prompts == waiting
    for key in ("a_rl", "expert_tokens", "grad_norm"):
        assert logged(resumed, key) == logged(straight, key)


# Settings


@pytest.mark.parametrize("settings", [GATE, BUFFERED, HINT, PREFIX])
def test_routers_that_look_at_rollouts_need_them_at_every_step(settings):
    with pytest.raises(ValidationError, match="schedule: expected rollouts"):
        hybrid_stage(**settings | {"schedule": {"name": "step", "steps": 1, "before": 1.0, "after": 0.5}})


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ValidationError, match="schedule: expected mu above 0 at every step"):
        hybrid_stage(**BUFFERED | {"schedule": {"name": "step", "steps": 1, "before": 0.5, "after": 0.0}})
    with pytest.raises(ValidationError, match="expert_rows_per_step: missing"):
        hybrid_stage(**BUFFERED | {"expert_rows_per_step": None})
    with pytest.raises(ValidationError, match="router: expected joined, as the expert loss policy_gradient"):
        hybrid_stage(**PREFIX | {"router": GATE["router"]})


def test_only_a_buffer_says_how_many_traces_a_step_reads():
    assert "expert_rows_per_step" not in hybrid_stage(**GATE | {"expert_rows_per_step": 8}).specification()
    assert hybrid_stage(**BUFFERED).specification()["expert_rows_per_step"] == 2
    assert all(hybrid_stage(**settings).inputs == ("prompts", "traces") for settings in ROUTERS.values())
