"""Expert traces in the groups of rollouts (LUFFY, SRFT): the formulas written out, and what must change nothing."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from chord.errors import UserError
from chord.io.files import write_jsonl
from chord.io.seeds import derive_seed
from chord.rollouts import encode_prompts
from chord.training.run import run
from chord.training.sequences import encode_experts, row_order
from tests.helpers.small_training import (
    COMMON,
    LUFFY,
    SEED_PARTS,
    SRFT,
    VALIDATION,
    coin,
    hybrid_stage,
    logged,
    weights,
)
from tests.helpers.training_runs import curves, finish, start_run


@pytest.fixture
def train(train_hybrid, traces):
    return lambda **changes: train_hybrid(hybrid_stage(**(LUFFY | changes)), experts=traces[::-1])


@pytest.mark.parametrize(
    ("tokens", "changes"), [(1, {}), (100, {}), (100, SRFT)], ids=["luffy 1", "luffy 100", "srft 100"]
)
def test_micro_batches_change_nothing(train, tokens, changes):
    whole, split = (train(steps=2, micro_batch_tokens=size, **changes) for size in (10_000, tokens))
    torch.testing.assert_close(weights(split), weights(whole), rtol=0, atol=1e-5)
    for key in ("rl_loss", "expert_loss", "expert_nll", "loss"):
        assert logged(split, key) == pytest.approx(logged(whole, key), abs=1e-5)


def advantages(rewards: torch.Tensor, scale: str) -> torch.Tensor:
    """rewards: of the rollouts and, last, of the trace."""
    centred = rewards - rewards.mean()
    return centred / (rewards.std() + 1e-4) if scale == "group" else centred


def luffy(scale: str, rewards, rollouts, trace) -> torch.Tensor:
    """-A log p of a rollout's tokens and -A p / (p + 0.1) of a trace's, summed over a group."""
    a = advantages(rewards, scale)
    p = trace[0].exp()
    return -sum(a[i] * logp.sum() for i, (logp, _) in enumerate(rollouts)) - a[-1] * (p / (p + 0.1)).sum()


def srft(rewards, rollouts, trace) -> torch.Tensor:
    """-0.1 e^H log p of right rollouts, log p of wrong ones; of a trace -0.5 e^-H log p - A p."""
    own = sum(
        -0.1 * entropy.mean().exp() * logp.sum() if reward > 0.0 else logp.sum()
        for reward, (logp, entropy) in zip(rewards[:-1], rollouts, strict=True)
    )
    logp, entropy = trace
    sft = -0.5 * (-entropy.mean()).exp() * logp.sum()
    return own + sft - advantages(rewards, "group")[-1] * logp.exp().sum()


@pytest.mark.parametrize(
    ("changes", "group_loss"),
    [
        ({}, partial(luffy, "none")),
        ({"router": {"name": "joined", "scale": "group"}}, partial(luffy, "group")),
        (SRFT, srft),
    ],
    ids=["luffy", "luffy with std", "srft"],
)
def test_one_step_follows_the_formula(train, load, tokenizer, prompts, traces, engine_for, changes, group_loss):
    """Row by row, over the tokens of rollouts and traces, differentiated by autograd."""
    k = 4
    trainer = train(steps=1, prompts_per_step=12, **changes)
    model = load()

    def read(prompt: list[int], response: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """log p and entropy (without gradient) of the response's tokens."""
        logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        entropy = -(logits.exp() * logits).sum(-1).detach()
        return logits[torch.arange(len(response)), torch.tensor(response)], entropy

    drawn = row_order(len(prompts), 12, derive_seed(*SEED_PARTS, "prompt order"))
    by_id = {row["id"]: row for row in traces}
    total, policy_tokens, expert_tokens = 0.0, 0, 0
    for group, prompt in enumerate(prompts[i] for i in drawn):
        ids = encode_prompts(tokenizer, [prompt] * k)
        seeds = [derive_seed(*SEED_PARTS, "rollout", 1, group * k + i) for i in range(k)]
        samples = engine_for(model).generate(ids, seeds, trainer.stage.decoding)
        texts = [tokenizer.decode(sample.token_ids, skip_special_tokens=True) for sample in samples]
        rewards = torch.tensor([*(coin(prompt, text, False).reward for text in texts), 1.0])
        trace = encode_experts(tokenizer, [by_id[prompt["id"]]])[0]
        rollouts = [read(ids[0], sample.token_ids) for sample in samples]
        total = total + group_loss(rewards, rollouts, read(trace.prompt_ids, trace.response_ids))
        policy_tokens += sum(len(sample.token_ids) for sample in samples)
        expert_tokens += len(trace.response_ids)
    (total / (policy_tokens + expert_tokens)).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), COMMON["max_grad_norm"])
    assert logged(trainer, "grad_norm") == [pytest.approx(norm.item(), rel=1e-4)]
    expected = torch.cat([(p - COMMON["learning_rate"] * p.grad).detach().flatten() for p in model.parameters()])
    torch.testing.assert_close(weights(trainer), expected, rtol=0, atol=1e-5)
    assert logged(trainer, "expert_rows") == [12]
    assert logged(trainer, "expert_tokens") == [expert_tokens]


@pytest.mark.slow
def test_the_command_finds_the_trace_of_each_prompt(train, start, prompts, traces, tmp_path):
    """The rows of traces.jsonl stand in any order; the run is that of the trainer with aligned rows."""
    write(tmp_path, prompts, traces)
    job = [json.dumps(spec()), str(start), *(str(tmp_path / f"{n}.jsonl") for n in ("prompts", "traces", "prompts"))]
    finish(start_run(job, tmp_path / "run", rows="traces"))
    losses = [float(row["expert_loss"]) for row in curves(tmp_path / "run")[1:]]
    # AdamW in the run and SGD in the trainer: the first step's loss is before either.
    assert losses[0] == pytest.approx(logged(train(steps=1), "expert_loss")[0], abs=1e-6)
    record = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert record["result"]["expert_set"] == len(prompts)
    assert set(record["inputs"]) == {"start", "validation", "prompts", "traces"}


def spec() -> dict:
    stage = hybrid_stage(**LUFFY, steps=2).specification()
    assert "expert_rows_per_step" not in stage
    return {"study_seed": SEED_PARTS[0], "seed_index": SEED_PARTS[1], "stage": stage, "validation": VALIDATION,
            "save_every": 2}  # fmt: skip


def write(folder: Path, prompts: list[dict], traces: list[dict]) -> None:
    write_jsonl(folder / "prompts.jsonl", prompts)
    write_jsonl(folder / "traces.jsonl", traces)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda traces: traces[1:], "traces.jsonl: no row .*; expected an expert trajectory for every RL prompt"),
        (lambda traces: [row | {"verdict": {}} for row in traces], "verdict.reward: missing"),
    ],
)
def test_a_prompt_without_a_trace_is_one_clear_line(start, prompts, traces, tmp_path, change, message):
    write(tmp_path, prompts, change(traces))
    files = {"prompts": tmp_path / "prompts.jsonl", "traces": tmp_path / "traces.jsonl"}
    with pytest.raises(UserError, match=message):
        run(spec(), start, tmp_path / "prompts.jsonl", tmp_path / "run", **files)


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ValidationError, match="router: expected joined, as the expert loss shaped takes advantages"):
        hybrid_stage(**(LUFFY | {"router": {"name": "separate"}}))
    with pytest.raises(ValidationError, match="schedule: expected rollouts"):
        hybrid_stage(**(LUFFY | {"schedule": {"name": "step", "steps": 1, "before": 1.0, "after": 0.5}}))


def test_a_router_that_joins_reads_traces():
    assert hybrid_stage(router={"name": "separate"}).inputs == ("prompts", "experts")
    assert hybrid_stage(**LUFFY).inputs == ("prompts", "traces")
