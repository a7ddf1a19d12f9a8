"""Training with a second, frozen model: the formulas on whole logits, row by row, and what must change nothing."""

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch.nn.utils import clip_grad_norm_

from chord.errors import UserError
from chord.io.files import write_jsonl
from chord.io.seeds import derive_seed
from chord.rollouts import encode_prompts
from chord.training import distributions, frozen_model, response_passes
from chord.training.frozen_model import frozen_copy, load_teacher
from chord.training.run import run
from chord.training.sequences import Sequence, encode_experts, row_order, shown_traces
from chord.training.train_spec import TrainSpec
from chord.world.tokenizer import build_tokenizer
from tests.helpers.small_training import (
    COMMON,
    NEVER,
    SEED_PARTS,
    VALIDATION,
    coin,
    hybrid_stage,
    logged,
    sft_stage,
    weights,
)
from tests.helpers.tiny_model import save_tiny_model
from tests.helpers.training_runs import Cut, curves, cut_behind, train_here

IW = {"token_weight": {"name": "reference_ratio", "tau": 1.0}}
BY_TOKEN = {"token_weight": {"name": "reference_ratio", "tau": 1.0, "per": "token", "low": 0.2, "high": 1.8}}
PSFT = {"expert_loss": {"name": "psft", "high": 0.28, "updates": 2}}
ASFT = {"expert_loss": {"name": "asft", "kl": 0.5}}
GIFT = {"expert_loss": {"name": "gift", "beta": 3.0}}
LOSSES = {"iw": IW, "iw by token": BY_TOKEN, "psft": PSFT, "asft": ASFT, "gift": GIFT}
OPD = {"name": "reverse_kl", "coef": 0.7, "reward": 0.0}
RL_OPD = {"name": "reverse_kl", "coef": 0.7, "reward": 1.0}
DAGGER = {"name": "forward_kl", "coef": 0.7, "reward": 0.5}


def same(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def read(model, sequence: Sequence) -> torch.Tensor:
    """(response tokens, vocabulary) log-probabilities."""
    logits = model(torch.tensor([sequence.input_ids])).logits[0, len(sequence.prompt_ids) - 1 : -1]
    return logits.log_softmax(-1)


def chosen(logps: torch.Tensor, sequence: Sequence) -> torch.Tensor:
    return logps[torch.arange(len(logps)), torch.tensor(sequence.response_ids)]


def update(model) -> None:
    """One step of plain SGD."""
    clip_grad_norm_(model.parameters(), COMMON["max_grad_norm"])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= COMMON["learning_rate"] * parameter.grad
            parameter.grad = None


def row_loss(name: str, model, reference, old, sequence: Sequence) -> torch.Tensor:
    """The loss of a row's tokens, summed."""
    every = read(model, sequence)
    logp = chosen(every, sequence)
    with torch.no_grad():
        of_reference, of_old = read(reference, sequence), chosen(read(old, sequence), sequence)
    log_ratio = logp.detach() - chosen(of_reference, sequence)
    if name == "iw":
        return -log_ratio.mean().exp().clamp(0.0, 16.0) * logp.sum()
    if name == "iw by token":
        return -(log_ratio.exp().clamp(0.2, 1.8) * logp).sum()
    if name == "psft":
        ratio = (logp - of_old).exp()
        return -torch.minimum(ratio, ratio.clamp(0.8, 1.28)).sum()
    if name == "asft":
        kl = torch.nn.functional.kl_div(every, of_reference, log_target=True, reduction="sum")
        return -(logp.detach().exp() * logp).sum() + 0.5 * kl
    one_hot = torch.nn.functional.one_hot(torch.tensor(sequence.response_ids), every.shape[1])
    return torch.nn.functional.cross_entropy(every, (of_reference + 3.0 * one_hot).softmax(-1), reduction="sum")


@pytest.mark.parametrize("name", LOSSES)
def test_an_sft_stage_follows_the_formula(train_sft, load, tokenizer, experts, name):
    """Three steps of several passes each. PSFT's old policy is that before steps 1 and 3."""
    trainer = train_sft(sft_stage(**LOSSES[name]))
    sequences = encode_experts(tokenizer, experts)
    order = row_order(len(experts), 24, derive_seed(*SEED_PARTS, "expert order"))
    model, reference, losses = load(), load(), []
    for step in range(3):
        if step in (0, 2):
            old = load()
            old.load_state_dict(model.state_dict())
        rows = [sequences[i] for i in order[8 * step : 8 * step + 8]]
        loss = sum(row_loss(name, model, reference, old, row) for row in rows) / sum(len(r.response_ids) for r in rows)
        loss.backward()
        losses.append(loss.item())
        update(model)
    assert logged(trainer, "expert_loss") == pytest.approx(losses, rel=1e-4)
    same(weights(trainer), torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    if name == "psft":
        assert logged(trainer, "frozen_tokens") == []
    else:
        assert logged(trainer, "frozen_tokens") == logged(trainer, "train_tokens")


def test_the_first_weights_are_1_also_beside_adapters(train_sft):
    """The reference of a model with adapters is the model without them."""
    trainer = train_sft(sft_stage(**IW, lora={"rank": 2, "alpha": 4.0}))
    first, *later = logged(trainer, "token_weight_mean")
    assert first == pytest.approx(1.0, abs=1e-5)
    assert all(abs(value - 1.0) > 1e-4 for value in later)


@pytest.mark.parametrize("changes", [GIFT, PSFT, IW], ids=["gift", "psft", "iw"])
def test_rollouts_in_the_same_passes_change_nothing(train_hybrid, changes, monkeypatch):
    """Also in padded rows, of models that cannot share prompts."""
    one = hybrid_stage(**{"token_weight": {"name": "one"}} | changes, steps=2, micro_batch_tokens=1)
    whole = one.model_copy(update={"micro_batch_tokens": 10_000})
    expected = train_hybrid(one)
    same(weights(train_hybrid(whole)), weights(expected))
    for module in (response_passes, frozen_model):
        monkeypatch.setattr(module, "share_prompts", lambda model: "a reason")
    padded = train_hybrid(whole)
    assert not padded.shares_prompts
    same(weights(padded), weights(expected))


def test_a_step_without_weight_for_experts_delays_the_old_policy(train_hybrid):
    """The first of two steps is pure RL, so that the second is the first one that PSFT's old policy knows."""
    schedule = {"name": "step", "steps": 1, "before": 0.0, "after": 0.4}
    psft = train_hybrid(hybrid_stage(**PSFT, steps=2, schedule=schedule, token_weight={"name": "one"}))
    nll = train_hybrid(hybrid_stage(steps=2, schedule=schedule, token_weight={"name": "one"}))
    assert logged(psft, "expert_loss") == [pytest.approx(-1.0, abs=1e-5)]
    same(weights(psft), weights(nll))


# Distillation


@pytest.fixture
def teacher(load):
    """Another model than the policy."""
    model = load()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(5)
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("distillation", [OPD, RL_OPD, DAGGER], ids=["opd", "rl + opd", "dagger"])
def test_a_step_of_distillation_follows_the_formula(
    train_hybrid, load, tokenizer, prompts, engine_for, teacher, distillation
):
    """Of groups with equal rewards too, in which RL alone has no gradient."""
    k, n = 4, 12
    stage = hybrid_stage(steps=1, prompts_per_step=n, schedule=NEVER, distillation=distillation)
    split = stage.model_copy(update={"micro_batch_tokens": 1})
    trainer, model = train_hybrid(stage, teacher=frozen_copy(teacher)), load()
    total, count, gap = 0.0, 0, 0.0
    drawn = row_order(len(prompts), n, derive_seed(*SEED_PARTS, "prompt order"))
    for group, prompt in enumerate(prompts[i] for i in drawn):
        ids = encode_prompts(tokenizer, [prompt] * k)
        seeds = [derive_seed(*SEED_PARTS, "rollout", 1, group * k + i) for i in range(k)]
        samples = engine_for(model).generate(ids, seeds, stage.decoding)
        texts = [tokenizer.decode(sample.token_ids, skip_special_tokens=True) for sample in samples]
        rewards = torch.tensor([coin(prompt, text, False).reward for text in texts])
        advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-4)
        for sample, advantage in zip(samples, advantages, strict=True):
            sequence = Sequence(ids[0], sample.token_ids)
            every = read(model, sequence)
            with torch.no_grad():
                of_teacher = read(teacher, sequence)
            logp = chosen(every, sequence)
            distance = logp.detach() - chosen(of_teacher, sequence)
            count, gap = count + len(logp), gap + distance.sum().item()
            if distillation is DAGGER:
                kl = torch.nn.functional.kl_div(every, of_teacher, log_target=True, reduction="sum")
                total = total - 0.5 * advantage * logp.sum() + 0.7 * kl
            else:
                total = total - ((distillation["reward"] * advantage - 0.7 * distance) * logp).sum()
    assert 0.0 < logged(trainer, "zero_variance_groups")[0] < 1.0
    (total / count).backward()
    update(model)
    expected = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    same(weights(trainer), expected)
    assert logged(trainer, "teacher_gap") == [pytest.approx(gap / count, rel=1e-4)]
    assert logged(trainer, "frozen_tokens") == logged(trainer, "train_tokens")
    same(weights(train_hybrid(split, teacher=frozen_copy(teacher))), expected)


@pytest.mark.parametrize("name", ["reverse_kl", "forward_kl"])
def test_the_policy_teaches_itself_what_it_would_say_with_the_trace_before_its_eyes(
    train_hybrid, load, tokenizer, prompts, experts, engine_for, name
):
    """SDFT. The teacher has the weights of its step, so the second step differs from one with a frozen copy."""
    distillation = {"name": name, "coef": 0.7, "reward": 0.0, "shown": "{trace} {prompt}"}
    k, n = 4, 3
    traces = [experts[i % len(experts)] for i in range(len(prompts))]
    stage = hybrid_stage(steps=2, prompts_per_step=n, schedule=NEVER, distillation=distillation)
    assert stage.inputs == ("prompts", "traces")
    rows = shown_traces(prompts, traces, stage.distillation.shown)
    trainer, model = train_hybrid(stage, prompts=rows), load()
    order = row_order(len(prompts), 2 * n, derive_seed(*SEED_PARTS, "prompt order"))
    for step in range(2):
        total, count, gap, read_tokens = 0.0, 0, 0.0, 0
        for group, i in enumerate(order[step * n : step * n + n]):
            message = prompts[i]["messages"][-1]["content"]
            shown = [{"role": "user", "content": f"{traces[i]['response']} {message}"}]
            ids = encode_prompts(tokenizer, [prompts[i]] * k)
            (taught,) = encode_prompts(tokenizer, [{"messages": [*prompts[i]["messages"][:-1], *shown]}])
            seeds = [derive_seed(*SEED_PARTS, "rollout", step + 1, group * k + j) for j in range(k)]
            for sample in engine_for(model).generate(ids, seeds, stage.decoding):
                every = read(model, Sequence(ids[0], sample.token_ids))
                with torch.no_grad():
                    of_teacher = read(model, Sequence(taught, sample.token_ids))
                logp = every[torch.arange(len(every)), torch.tensor(sample.token_ids)]
                distance = logp.detach() - of_teacher[torch.arange(len(every)), torch.tensor(sample.token_ids)]
                count, gap = count + len(logp), gap + distance.sum().item()
                read_tokens += len(taught) + len(logp)
                if name == "forward_kl":
                    total = total + 0.7 * torch.nn.functional.kl_div(
                        every, of_teacher, log_target=True, reduction="sum"
                    )
                else:
                    total = total + 0.7 * (distance * logp).sum()
        (total / count).backward()
        update(model)
        assert logged(trainer, "teacher_gap")[step] == pytest.approx(gap / count, rel=1e-3)
        assert logged(trainer, "frozen_tokens")[step] == read_tokens > logged(trainer, "train_tokens")[step]
    same(weights(trainer), torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    split = stage.model_copy(update={"micro_batch_tokens": 1})
    same(weights(train_hybrid(split, prompts=rows)), weights(trainer))


def test_a_prompt_may_spell_the_places_of_the_text_shown_to_the_teacher():
    prompts = [{"messages": [{"role": "user", "content": "{trace} ?"}]}]
    (row,) = shown_traces(prompts, [{"response": "{prompt} !"}], "{prompt} {trace}")
    assert row["teacher_messages"] == [{"role": "user", "content": "{trace} ? {prompt} !"}]


@pytest.mark.parametrize("text", ["{prompt}", "{trace} {prompt} {trace}"])
def test_a_text_for_the_teacher_has_both_places(text):
    with pytest.raises(ValidationError, match=r"expected a text with \{prompt\} and \{trace\}, once each"):
        hybrid_stage(schedule=NEVER, distillation=OPD | {"shown": text})


def test_expert_rows_of_their_own_are_no_traces_for_the_teacher():
    with pytest.raises(ValidationError, match=r"distillation\.shown: expected null, or a router that reads traces"):
        hybrid_stage(distillation=OPD | {"shown": "{trace} {prompt}"})


@pytest.mark.parametrize("distillation", [OPD, DAGGER | {"reward": 0.0}], ids=["opd", "dagger"])
def test_a_teacher_that_is_the_policy_teaches_nothing(train_hybrid, load, distillation):
    stage = hybrid_stage(steps=1, schedule=NEVER, distillation=distillation)
    assert logged(train_hybrid(stage, teacher=frozen_copy(load())), "grad_norm") == [pytest.approx(0.0, abs=1e-5)]


def test_distillation_beside_expert_rows_that_read_the_start_model(train_hybrid, teacher):
    """Two frozen models and both terms in one pass, or in passes of one row."""
    stage = hybrid_stage(**GIFT, steps=2, distillation=DAGGER, micro_batch_tokens=10_000)
    split = stage.model_copy(update={"micro_batch_tokens": 1})
    together, apart = (train_hybrid(one, teacher=frozen_copy(teacher)) for one in (stage, split))
    same(weights(together), weights(apart))
    for key in ("teacher_gap", "frozen_tokens", "loss"):
        assert logged(together, key) == pytest.approx(logged(apart, key), abs=1e-5)


def test_a_teacher_with_other_tokens_is_refused(tmp_path, tokenizer):
    other = build_tokenizer(128)
    other.add_tokens(["eleven"])
    save_tiny_model(tmp_path / "teacher", other)
    with pytest.raises(UserError, match="not expressible: its tokenizer is not the policy's"):
        load_teacher(tmp_path / "teacher", tokenizer)


# Whole runs


def job(stage, start: Path, prompts, experts, folder: Path, **changes) -> list[str]:
    files = {"prompts": prompts, "experts": experts, "validation": prompts[:4]}
    for name, rows in files.items():
        write_jsonl(folder / f"{name}.jsonl", rows)
    spec = {"study_seed": 3, "seed_index": 1, "validation": VALIDATION, "save_every": 2, "stage": stage.specification()}
    return [json.dumps(spec | changes), str(start), *(str(folder / f"{name}.jsonl") for name in files)]


@pytest.mark.parametrize("changes", [PSFT, IW], ids=["psft", "iw"])
def test_a_run_cut_between_the_updates_of_an_old_policy_ends_as_a_straight_one(
    start, prompts, experts, tmp_path, changes
):
    if "expert_loss" in changes:
        changes = {"expert_loss": changes["expert_loss"] | {"updates": 5}}
    arguments = job(sft_stage(**changes, epochs=2), start, prompts, experts, tmp_path)
    train_here(arguments, tmp_path / "straight")
    with pytest.MonkeyPatch.context() as patch:
        cut_behind(patch, 2)
        with pytest.raises(Cut):
            train_here(arguments, tmp_path / "cut")
    train_here(arguments, tmp_path / "cut")
    assert curves(tmp_path / "cut") == curves(tmp_path / "straight")
    files = [tmp_path / run / "model" / "model.safetensors" for run in ("cut", "straight")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert json.loads((tmp_path / "cut" / "manifest.json").read_text())["resumed_after_step"] == 2


def test_a_run_reads_its_teacher_and_counts_what_it_reads(start, prompts, experts, tmp_path):
    stage = hybrid_stage(steps=1, schedule=NEVER, distillation=OPD)
    spec, _, files, *_ = job(stage, start, prompts, experts, tmp_path)
    spec, rows = json.loads(spec), Path(files)
    with pytest.raises(UserError, match="--teacher: missing; expected a model folder"):
        run(spec, start, rows, tmp_path / "run", rows)
    torch.set_num_threads(1)
    run(spec, start, rows, tmp_path / "run", rows, teacher=start)
    record = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert record["inputs"]["teacher"] == record["inputs"]["start"]
    _, line = curves(tmp_path / "run")
    assert float(line["teacher_gap"]) == pytest.approx(0.0, abs=1e-5)
    assert record["result"]["frozen_tokens"] == float(line["frozen_tokens"]) > 0.0


def test_a_run_shows_its_policy_the_traces_and_refuses_those_that_are_too_long(
    start, tokenizer, prompts, experts, tmp_path
):
    sdft = hybrid_stage(steps=1, schedule=NEVER, distillation=OPD | {"shown": "{trace} {prompt}"})
    spec, _, files, *_ = job(sdft, start, prompts, experts, tmp_path)
    spec, rows = json.loads(spec), Path(files)
    traces = [row | {"response": "1 + 2 = 3 .", "verdict": {"reward": 1.0}} for row in prompts]
    write_jsonl(tmp_path / "traces.jsonl", traces)
    torch.set_num_threads(1)
    run(spec, start, rows, tmp_path / "run", rows, traces=tmp_path / "traces.jsonl")
    record = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert record["learns_from"] == ["expert text"]
    assert record["result"]["frozen_tokens"] > record["result"]["train_tokens"]
    limit = json.loads((start / "config.json").read_text())["max_position_embeddings"]
    longest = max(map(len, encode_prompts(tokenizer, prompts)))  # with it, the trace alone fits
    write_jsonl(tmp_path / "traces.jsonl", [row | {"response": "1 " * (limit - longest - 1)} for row in traces])
    with pytest.raises(UserError, match=rf"what the teacher reads of prompt .*: \d+ tokens; .* the model's {limit}"):
        run(spec, start, rows, tmp_path / "long", rows, traces=tmp_path / "traces.jsonl")


def test_frozen_models_are_not_sharded(start, prompts, experts, tmp_path):
    scale = {"ranks": 2, "sharding": "fsdp2"}
    for stage, message in (
        (sft_stage(**GIFT), "scale.sharding: expected none beside a frozen reference"),
        (hybrid_stage(schedule=NEVER, distillation=OPD), "scale.sharding: expected none beside a frozen teacher"),
    ):
        spec = json.loads(job(stage, start, prompts, experts, tmp_path, scale=scale)[0])
        with pytest.raises(ValidationError, match=message):
            TrainSpec.model_validate(spec)


def test_no_tensor_of_soft_targets_is_as_large_as_the_logits(monkeypatch):
    """In the forward pass and in the backward pass, which computes the chunks again; values as in one chunk."""
    from tests.invariants.test_no_whole_logits import Largest

    vocabulary, tokens = 1_000, 64
    generator = torch.Generator().manual_seed(0)
    heads = [torch.nn.Linear(16, vocabulary) for _ in range(2)]
    states, others = (torch.randn(tokens, 16, generator=generator) for _ in range(2))
    labels = torch.arange(tokens)
    target = distributions.SoftTarget(torch.ones(tokens, dtype=torch.bool), others, heads[1], 2.0)

    def gradient() -> torch.Tensor:
        leaf = states.clone().requires_grad_()
        nll, entropy = distributions.soft_values(leaf, heads[0], labels, target)
        assert not entropy.requires_grad
        nll.sum().backward()
        return leaf.grad

    expected = gradient()
    monkeypatch.setattr(distributions, "CHUNK_VALUES", 8 * vocabulary)
    with Largest() as largest:
        found = gradient()
    torch.testing.assert_close(found, expected)
    assert 8 * vocabulary <= largest.values <= 16 * vocabulary


def test_a_stage_that_reads_no_second_model_has_none(train_sft):
    assert train_sft(sft_stage(epochs=1)).reference is None
