"""What must not change the hybrid step, and what it must equal: micro-batches, compat rules, TRL's GRPO and SFT."""

import pytest
import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from chord import tasks
from chord.io.seeds import derive_seed
from chord.rollouts import encode_prompts
from chord.training.sequences import Sequence, collate, encode_experts, row_order
from tests.helpers.small_training import COMMON, NEVER, SEED_PARTS, coin, hybrid_stage, logged, sft_stage, weights
from tests.helpers.stock_grpo import StockGrpo

ALWAYS = {"name": "constant", "mu": 1.0}


def same(a: torch.Tensor, b: torch.Tensor) -> None:
    # float32 sums in another order; the weights themselves move by 1e-2 and more
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


def test_the_run_learns_something(trained, load):
    trainer = trained(hybrid_stage())
    before = torch.cat([p.detach().flatten() for p in load().parameters()])
    assert (weights(trainer) - before).abs().max() > 1e-2
    assert logged(trainer, "reward_std")[0] > 0.0
    assert all(0.0 < value < 0.25 for value in logged(trainer, "token_weight_mean"))


@pytest.mark.parametrize("tokens", [1, 100, 500])
def test_micro_batches_change_nothing(trained, tokens):
    whole = trained(hybrid_stage(micro_batch_tokens=10_000))
    split = trained(hybrid_stage(micro_batch_tokens=tokens))
    same(weights(split), weights(whole))
    for key in ("rl_loss", "expert_loss", "expert_nll", "token_weight_mean", "loss"):
        assert logged(split, key) == pytest.approx(logged(whole, key), abs=1e-5)


@pytest.mark.parametrize("rule", ["trinity", "ms_swift"])
def test_compat_rules_depend_on_micro_batches_as_the_public_codes_do(train_hybrid, trained, rule):
    one = weights(train_hybrid(hybrid_stage(micro_batch_rows=1, normalisation=rule)))
    whole = weights(train_hybrid(hybrid_stage(micro_batch_rows=64, normalisation=rule)))
    assert (one - whole).abs().max() > 1e-3
    # One micro-batch is the case in which all three rules are the global token mean.
    same(whole, weights(trained(hybrid_stage())))


def test_padding_and_row_order_change_no_log_probability(train_hybrid, tokenizer, experts):
    trainer = train_hybrid(hybrid_stage(steps=1))
    rows = encode_experts(tokenizer, experts[:5])
    padded = collate(rows, tokenizer.pad_token_id, torch.device("cpu"))
    together = trainer.model(**padded, fused_lm_head=True)
    mask = together.label_mask
    assert mask.sum() == sum(len(row.response_ids) for row in rows)
    reordered = collate(rows[::-1], tokenizer.pad_token_id, torch.device("cpu"))
    torch.testing.assert_close(trainer.model(**reordered, fused_lm_head=True).log_probs.flip(0), together.log_probs)
    for i, row in enumerate(rows):
        logits = trainer.model(torch.tensor([row.input_ids])).logits[0, :-1].log_softmax(-1)
        expected = logits.gather(1, torch.tensor(row.input_ids[1:])[:, None])[-len(row.response_ids) :, 0]
        torch.testing.assert_close(together.log_probs[i][mask[i]], expected)


@pytest.mark.filterwarnings("ignore:You are using .rollout_func.")
def test_mu_0_is_trl_grpo(train_hybrid, load, tokenizer, prompts, engine_for, tmp_path):
    stage = hybrid_stage(schedule=NEVER, steps=5)
    ours = train_hybrid(stage)
    model = load()
    stock = StockGrpo(model, tokenizer, stage, engine_for(model), prompts, str(tmp_path / "stock")).trainer
    stock.train()
    assert logged(ours, "reward_mean") == pytest.approx(logged(stock, "reward"))
    assert logged(ours, "loss")[:5] == pytest.approx(logged(stock, "loss")[:5], abs=1e-5)
    assert logged(ours, "grad_norm") == pytest.approx(logged(stock, "grad_norm"), rel=1e-3)
    same(weights(ours), weights(stock))


def test_mu_1_is_trl_sft(train_hybrid, train_sft, load, tokenizer, experts, tmp_path):
    ours = train_hybrid(hybrid_stage(schedule=ALWAYS, token_weight={"name": "one"}))
    sequences = encode_experts(tokenizer, experts)
    order = row_order(len(experts), 24, derive_seed(*SEED_PARTS, "expert order"))
    stock = SFTTrainer(
        model=load(),
        args=SFTConfig(
            max_steps=3,
            per_device_train_batch_size=2,
            gradient_accumulation_steps=4,
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},
            output_dir=str(tmp_path / "stock"),
            **COMMON,
        ),
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(
            [{"input_ids": sequences[i].input_ids, "labels": sequences[i].labels} for i in order]
        ),
    )
    stock.train()
    assert logged(ours, "expert_loss") == pytest.approx(logged(stock, "loss")[:3], abs=1e-5)
    assert logged(ours, "grad_norm") == pytest.approx(logged(stock, "grad_norm"), rel=1e-3)
    same(weights(ours), weights(stock))
    # and so is our own SFT stage: 24 rows, one epoch of 3 steps
    stage = train_sft(sft_stage())
    same(weights(stage), weights(stock))


class Refuses:
    def generate(self, *_):
        raise AssertionError("rollouts were made although their weight is 0")


def test_no_rollouts_where_their_weight_is_0(train_hybrid):
    trainer = train_hybrid(hybrid_stage(schedule=ALWAYS), engine=Refuses())
    assert logged(trainer, "rollouts") == []
    nothing = dict.fromkeys(("rollouts_per_prompt", "decoding", "generate_batch_rows"))
    without_settings = train_hybrid(hybrid_stage(schedule=ALWAYS, **nothing), engine=Refuses())
    assert torch.equal(weights(trainer), weights(without_settings))
    with pytest.raises(AssertionError, match="rollouts were made"):
        train_hybrid(hybrid_stage(), engine=Refuses())


def test_no_expert_rows_where_their_weight_is_0(train_hybrid, trained, experts):
    garbled = [row | {"response": "ok"} for row in experts]
    stage = hybrid_stage(schedule={"name": "step", "steps": 2, "before": 0.0, "after": 0.5})
    assert logged(train_hybrid(stage), "expert_rows") == [8]
    never = hybrid_stage(schedule=NEVER)
    assert torch.equal(weights(trained(never)), weights(train_hybrid(never, experts=garbled)))


def test_groups_with_equal_rewards_are_not_computed(train_hybrid, monkeypatch):
    """All rewards equal and no expert: the weights stay, and a forward pass sees one row only."""
    # eight times -0.1 has a float32 mean that is not -0.1: TRL's advantages are 1e-8, not 0
    flat = tasks.Verdict(-0.1, False, True, "flat")
    monkeypatch.setitem(tasks.TASKS, "coin", tasks.Task("coin", lambda row, text, truncated: flat))
    stage = hybrid_stage(schedule=NEVER, steps=2, rollouts_per_prompt=8)
    trainer = train_hybrid(stage)
    assert logged(trainer, "zero_variance_groups") == [1.0, 1.0]
    assert logged(trainer, "grad_norm") == [0.0, 0.0]
    assert max(logged(trainer, "train_tokens")) < 128


def test_one_step_follows_the_gradient_of_the_paper(train_hybrid, tokenizer, prompts, experts, load, engine_for):
    """(1-mu) L_GRPO + mu L_SFT-phi (eq. 1-3, 5, 6) written out row by row and differentiated by autograd."""
    mu, k, lr = 0.4, 4, COMMON["learning_rate"]
    stage = hybrid_stage(steps=1, prompts_per_step=12, schedule={"name": "constant", "mu": mu})
    trainer = train_hybrid(stage)
    model = load()

    def logps(prompt: list[int], response: list[int]) -> torch.Tensor:
        logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        return logits[torch.arange(len(response)), torch.tensor(response)]

    drawn = row_order(len(prompts), stage.prompts_per_step, derive_seed(*SEED_PARTS, "prompt order"))
    rows = [prompts[i] for i in drawn for _ in range(k)]
    ids = encode_prompts(tokenizer, rows)
    seeds = [derive_seed(*SEED_PARTS, "rollout", 1, place) for place in range(len(rows))]
    samples = engine_for(model).generate(ids, seeds, stage.decoding)
    texts = [tokenizer.decode(sample.token_ids, skip_special_tokens=True) for sample in samples]
    rewards = torch.tensor([coin(row, text, False).reward for row, text in zip(rows, texts, strict=True)]).view(-1, k)
    advantages = ((rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)).flatten()
    assert {0.0} < {float(value) for value in rewards.std(1)}, "the batch must hold a flat and a mixed group"

    policy = [logps(prompt, sample.token_ids) for prompt, sample in zip(ids, samples, strict=True)]
    l_rl = -sum(a * logp.sum() for a, logp in zip(advantages, policy, strict=True)) / sum(map(len, policy))
    sequences = encode_experts(tokenizer, experts)
    order = row_order(len(experts), stage.expert_rows_per_step, derive_seed(*SEED_PARTS, "expert order"))
    expert = torch.cat([logps(sequences[i].prompt_ids, sequences[i].response_ids) for i in order])
    phi = (expert.exp() * (1 - expert.exp())).detach()
    l_ex = -(phi * expert).mean()
    assert logged(trainer, "expert_loss") == [pytest.approx(l_ex.item(), rel=1e-4)]

    ((1 - mu) * l_rl + mu * l_ex).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), COMMON["max_grad_norm"])
    assert logged(trainer, "grad_norm") == [pytest.approx(norm.item(), rel=1e-4)]
    expected = torch.cat([(p - lr * p.grad).detach().flatten() for p in model.parameters()])
    same(weights(trainer), expected)


def test_reward_driven_mu_follows_the_rewards_of_its_step(train_hybrid):
    stage = hybrid_stage(schedule={"name": "reward_driven", "threshold": 0.9}, token_weight={"name": "one"})
    trainer = train_hybrid(stage)
    rewards = logged(trainer, "reward_mean")
    assert len(set(rewards)) > 1
    assert logged(trainer, "mu") == pytest.approx([max(0.0, 0.9 - reward) for reward in rewards])
    # The first step is that of a constant mu of this value.
    constant = train_hybrid(
        hybrid_stage(steps=1, schedule={"name": "constant", "mu": 0.9 - rewards[0]}, token_weight={"name": "one"})
    )
    assert logged(trainer, "loss")[0] == pytest.approx(logged(constant, "loss")[0], abs=1e-6)
    assert logged(trainer, "grad_norm")[0] == pytest.approx(logged(constant, "grad_norm")[0], rel=1e-6)


@pytest.mark.parametrize(("reward", "mu", "term", "other"), [(-1.0, 1.0, "expert", "rl"), (1.0, 0.0, "rl", "expert")])
def test_reward_driven_mu_at_its_ends_leaves_out_a_term(train_hybrid, monkeypatch, reward, mu, term, other):
    flat = tasks.Verdict(reward, False, True, "flat")
    monkeypatch.setitem(tasks.TASKS, "coin", tasks.Task("coin", lambda row, text, truncated: flat))
    trainer = train_hybrid(hybrid_stage(schedule={"name": "reward_driven", "threshold": 0.6}, steps=1))
    assert logged(trainer, "rollouts") == [16]
    assert logged(trainer, "mu") == [mu]
    assert logged(trainer, f"{term}_loss")
    assert not logged(trainer, f"{other}_loss")


def test_methods_of_a_seed_see_the_same_prompts_rows_and_noise(train_hybrid, engine_for, load):
    """Pairing: what a step is given does not depend on the method's schedule or weights."""
    seen = []
    for schedule in ({"name": "constant", "mu": 0.1}, {"name": "step", "steps": 1, "before": 0.0, "after": 0.9}):
        calls = []
        inner = engine_for(load())

        class Recorder:
            def generate(self, prompt_ids, seeds, decoding, calls=calls, inner=inner):
                calls.append((prompt_ids, seeds))
                return inner.generate(prompt_ids, seeds, decoding)

        trainer = train_hybrid(hybrid_stage(schedule=schedule), engine=Recorder())
        seen.append((calls, trainer.expert_order))
    assert seen[0] == seen[1]
    assert len({seed for _, seeds in seen[0][0] for seed in seeds}) == 3 * 16  # no noise is used twice


def test_sequences_end_like_rollouts(tokenizer, experts):
    row = encode_experts(tokenizer, experts[:1])[0]
    rendered = tokenizer.apply_chat_template(
        [*experts[0]["messages"], {"role": "assistant", "content": experts[0]["response"]}], return_dict=False
    )
    assert row.input_ids == list(rendered)
    assert row.response_ids[-1] == tokenizer.eos_token_id
    assert Sequence([1, 2], [3]).labels == [-100, -100, 3]
