"""Rows that share prompts have the log-probabilities and gradients of plain rows, in every model that can share."""

import re
from pathlib import Path
from random import Random

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
from transformers.integrations.flex_attention import flex_attention_forward
from trl.trainer.utils import add_fused_lm_head

from chord.shared_prompts import response_values, share_prompts, shared_prompt_logps
from chord.shared_prompts.attention import attention, block_mask, flex
from chord.shared_prompts.layout import pack
from chord.shared_prompts.model import TOLERANCE
from chord.training.micro_batches import passes
from chord.training.sequences import Sequence
from tests.helpers.small_training import LUFFY, hybrid_stage, logged, weights
from tests.helpers.stock_grpo import StockGrpo

PAGE = Path(__file__).parents[2] / "docs" / "shared-prompts.md"
SMALL = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.1,
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 0),
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
SHARE = {
    "Qwen2": {},
    "Qwen2 tied": {"tie_word_embeddings": True},
    "Llama": {},
    "Llama one head of keys": {"num_key_value_heads": 1},
    "Qwen3": {"head_dim": 16},
    "Qwen3Moe": {"head_dim": 16, **EXPERTS},
    "SmolLM3": {},
    "Mistral": {"sliding_window": None},
    "Phi3": {},
    "Olmo2": {},
    "Granite": {},
    "GPTNeoX": {},
}
DO_NOT = {
    "Mistral": ({"sliding_window": 64}, "sliding window"),
    "Phimoe": ({"sliding_window": 64, "num_local_experts": 2}, "sliding window"),  # in its mask alone
    "Qwen2": ({"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}, "sliding_attention"),
    "Gemma2": ({"head_dim": 8}, "sliding_attention"),
    "Gemma3Text": ({"head_dim": 8}, "sliding_attention"),
    "Mamba": ({}, "linear_attention"),
    "GptOss": ({"head_dim": 8, "num_local_experts": 4}, "sliding_attention"),
    "Qwen3Next": ({"head_dim": 16, **EXPERTS}, "linear_attention"),
    "GPT2": ({}, "dropout"),
    "Bloom": ({}, "exchanged"),
    "OPT": ({"word_embed_proj_dim": 32, "dropout": 0.0}, "other states"),
    "DeepseekV3": ({"kv_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}, "another size"),
}


def random_model(family: str, changes: dict):
    torch.manual_seed(0)
    config = getattr(transformers, f"{family.split()[0]}Config")
    model = AutoModelForCausalLM.from_config(config(**SMALL | changes)).float()
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    return model


def rows() -> list[tuple[list[int], list[int]]]:
    """Groups of several sizes, not in order, prompts of one token and more, responses of unequal lengths."""
    draw = Random(0)
    prompts = [[draw.randrange(64) for _ in range(length)] for length in (7, 1, 12, 5)]
    sizes = (3, 4, 1, 2)
    pairs = [(prompt, [draw.randrange(64) for _ in range(draw.randint(1, 9))]) for prompt in prompts for _ in range(4)]
    kept = [pair for place, pair in enumerate(pairs) if place % 4 < sizes[place // 4]]
    draw.shuffle(kept)
    return kept


def plain_values(model, pairs) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """(log-probabilities, entropies) of each response, by itself, from the logits."""
    logps, entropies = [], []
    for prompt, response in pairs:
        logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        logps.append(logits[torch.arange(len(response)), torch.tensor(response)])
        entropies.append(-(logits.exp() * logits).sum(-1).detach())
    return logps, entropies


def check(model, plain_model) -> None:
    """Both have the same log-probabilities to 2e-6, entropies and gradients to 1e-5."""
    pairs = rows()
    logp, entropy = response_values(model, pairs, torch.device("cpu"))
    expected, expected_entropies = plain_values(plain_model, pairs)
    assert logp.shape == entropy.shape == (len(pairs), max(len(response) for _, response in pairs))
    for i, (values, entropies) in enumerate(zip(expected, expected_entropies, strict=True)):
        torch.testing.assert_close(logp[i, : len(values)], values, rtol=0, atol=2e-6)
        torch.testing.assert_close(entropy[i, : len(values)], entropies, rtol=0, atol=1e-5)
        assert not logp[i, len(values) :].any()
    factors = torch.randn(logp.shape, generator=torch.Generator().manual_seed(1))
    (logp * factors).sum().backward()
    sum((values * factors[i, : len(values)]).sum() for i, values in enumerate(expected)).backward()
    for (name, one), two in zip(model.named_parameters(), plain_model.parameters(), strict=True):
        if two.grad is not None:
            assert (one.grad - two.grad).norm() <= 1e-5 * two.grad.norm().clamp(min=1e-3), name


@pytest.mark.parametrize("family", SHARE)
def test_a_model_that_shares_computes_what_it_computes_row_by_row(family):
    model, plain = random_model(family, SHARE[family]), random_model(family, SHARE[family])
    assert share_prompts(model) is None
    check(model.train(), plain.train())


def test_with_recomputed_layers():
    model, plain = random_model("Llama", {}), random_model("Llama", {})
    assert share_prompts(model) is None
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    check(model.train(), plain.train())


def test_with_adapters():
    models = [random_model("Qwen2", {}) for _ in range(2)]
    assert share_prompts(models[0]) is None
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    adapted = []
    for model in models:
        torch.manual_seed(1)
        adapted.append(get_peft_model(model, config))
    check(*adapted)


@pytest.mark.parametrize("family", DO_NOT)
def test_a_model_that_cannot_share_says_why_and_stays_as_it_was(family):
    changes, reason = DO_NOT[family]
    model = random_model(family, changes)
    before = model.config._attn_implementation
    assert reason in share_prompts(model)
    assert reason in share_prompts(model)  # nor does it remember the first time
    assert model.config._attn_implementation == before
    assert not model.base_model._forward_hooks


def test_a_model_whose_packed_rows_differ_cannot_share(monkeypatch):
    monkeypatch.setitem(TOLERANCE, torch.float32, 0.0)
    assert "between packed and plain rows" in share_prompts(random_model("Llama", {}))


def test_other_calls_of_the_model_stay_as_they_are():
    model, plain = random_model("Qwen2", {}), random_model("Qwen2", {})
    assert share_prompts(model) is share_prompts(model) is None
    ids, mask = torch.arange(12).view(2, 6), torch.ones(2, 6, dtype=torch.long)
    mask[0, :2] = 0
    assert torch.equal(model(ids, attention_mask=mask).logits, plain(ids, attention_mask=mask).logits)
    options = {"attention_mask": mask, "max_new_tokens": 5, "do_sample": False}
    assert torch.equal(model.generate(ids, **options), plain.generate(ids, **options))


@pytest.mark.parametrize("training", [True, False])
def test_no_segment_sees_another(training):
    """Nor with a cache asked for by the configuration, where stock models let packed sequences see each other."""
    model = random_model("Llama", {})
    assert share_prompts(model) is None
    model.config.use_cache = True
    model.train(training)
    pairs = rows()
    before, _ = response_values(model, pairs, torch.device("cpu"))
    for changed, (prompt, response) in enumerate(pairs):
        other = [(token + 1) % 64 for token in response]
        after, _ = response_values(
            model, [*pairs[:changed], (prompt, other), *pairs[changed + 1 :]], torch.device("cpu")
        )
        rest = [i for i in range(len(pairs)) if i != changed]
        torch.testing.assert_close(after[rest], before[rest], rtol=0, atol=1e-6)
        assert not torch.allclose(after[changed], before[changed])


def tokens_read(model) -> list[int]:
    """Gets the number of tokens of each forward pass."""
    seen = []
    model.get_input_embeddings().register_forward_hook(lambda _, ids, __: seen.append(ids[0].numel()))
    return seen


def test_each_prompt_is_computed_once():
    """10 rows of 4 prompts: prompts without their last tokens, and as many tokens as responses have."""
    model, pairs = random_model("Llama", {}), rows()
    assert share_prompts(model) is None
    seen = tokens_read(model)
    response_values(model, pairs, torch.device("cpu"))
    assert seen == [(6 + 0 + 11 + 4) + sum(len(response) for _, response in pairs)]


def test_a_trace_shares_the_prompt_of_its_group(train_hybrid, traces, load):
    """The 4 groups of a step in one pass: each prompt once for 4 rollouts and the expert's trace."""
    seen = []
    stage = hybrid_stage(steps=1, micro_batch_tokens=10_000, **LUFFY)
    watch = torch.nn.modules.module.register_module_forward_hook(
        lambda module, args, _: seen.append(args[0].numel()) if isinstance(module, torch.nn.Embedding) else None
    )
    try:
        trainer = train_hybrid(stage, experts=traces[::-1])
    finally:
        watch.remove()
    prompts = sum(len(trainer.experts[i].prompt_ids) - 1 for i in trainer.train_dataset["row"][:4])
    responses = logged(trainer, "response_tokens_mean")[0] * 16 + logged(trainer, "expert_tokens")[0]
    assert seen[-1] == prompts + responses


def test_a_response_without_tokens_is_left_out():
    row = pack([([1, 2, 3], [[4, 5], []]), ([6, 7, 8], [[], []])])
    assert row.input_ids == [1, 2, 3, 4]
    assert (row.labels, row.lengths) == ([4, 5], [2, 0, 0, 0])
    assert (row.layout.lengths, row.layout.continued) == ([4], [])


def test_masked_responses_have_zeros_with_a_gradient():
    """As TRL masks all tokens of truncated responses."""
    model = random_model("Llama", {})
    assert share_prompts(model) is None
    ids, mask = torch.randint(64, (2, 9), generator=torch.Generator().manual_seed(0)), torch.ones(2, 9)
    mask[:, 5:] = 0
    logps, entropies = shared_prompt_logps(model, ids, mask, 4)
    assert logps.shape == entropies.shape == (2, 4)
    assert not logps.any()
    logps.sum().backward()
    assert not any(weight.grad is not None and weight.grad.any() for weight in model.parameters())


def test_a_packed_row_worked_out_by_hand():
    row = pack([([1, 2, 3], [[4, 5], [6]]), ([7, 8], [[9, 10]])])
    assert row.input_ids == [1, 2, 3, 4, 3, 7, 8, 9]
    assert row.position_ids == [0, 1, 2, 3, 2, 0, 1, 2]
    assert row.labels == [4, 5, 6, 9, 10]
    assert row.layout.response_tokens == [2, 3, 4, 6, 7]
    assert row.layout.lengths == [2, 2, 1, 3]
    assert row.layout.continued == [(slice(2, 5), slice(0, 2))]


def test_the_block_mask_of_gpus_allows_what_the_two_parts_compute():
    draw = torch.Generator().manual_seed(0)
    layout = pack([([1] * 6, [[2] * 3, [2] * 5]), ([1], [[2] * 4, [2]]), ([1] * 4, [[2] * 2])]).layout
    n = len(layout)
    query, key, value = (torch.randn(1, heads, n, 8, generator=draw) for heads in (4, 2, 2))
    allowed = block_mask(layout, torch.device("cpu")).mask_mod
    index = torch.arange(n)
    dense = allowed(0, 0, index[:, None], index[None])
    repeated = [states.repeat_interleave(2, 1) for states in (key, value)]
    expected = torch.nn.functional.scaled_dot_product_attention(query, *repeated, attn_mask=dense).transpose(1, 2)
    output, _ = attention(torch.nn.Module(), query, key, value, None, layout)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)
    assert dense.sum() == (15 + 21 + 40) + (10 + 1) + 15  # of the three groups, by hand


def test_the_kernel_of_gpus_gets_one_precision_in_autocast(monkeypatch):
    """Models hand over queries and keys in fp32, from rotary embeddings, and values in bf16, from a linear layer."""
    received = []

    def watched(module, *states, **kwargs):
        received.append([one.dtype for one in states[:3]])
        return flex_attention_forward(module, *states, **kwargs)

    monkeypatch.setattr("chord.shared_prompts.attention.flex_attention_forward", watched)
    draw = torch.Generator().manual_seed(0)
    layout = pack([([1] * 6, [[2] * 3, [2] * 5]), ([1] * 4, [[2] * 2])]).layout
    query, key, value = (torch.randn(1, heads, len(layout), 16, generator=draw) for heads in (4, 2, 2))
    expected, _ = attention(torch.nn.Module(), query, key, value, None, layout)
    # Without its compiler FlexAttention computes the same in plain operations, which a CPU has, too.
    with torch.compiler.set_stance("force_eager"), torch.no_grad():
        plain, _ = flex(torch.nn.Module(), query, key, value, layout, None)
        with torch.autocast("cpu", torch.bfloat16):
            output, _ = flex(torch.nn.Module(), query, key, value.bfloat16(), layout, None)
    assert received == [[torch.float32] * 3, [torch.bfloat16] * 3]
    torch.testing.assert_close(plain, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(output.float(), expected, rtol=0, atol=0.03)


def test_a_model_that_cannot_share_trains_the_same_from_padded_rows(train_hybrid, monkeypatch):
    shared = train_hybrid(hybrid_stage())
    monkeypatch.setattr("chord.training.response_passes.share_prompts", lambda model: "asked not to")
    padded = train_hybrid(hybrid_stage())
    assert shared.shares_prompts
    assert not padded.shares_prompts
    torch.testing.assert_close(weights(padded), weights(shared), rtol=0, atol=1e-5)
    assert logged(padded, "train_tokens") == logged(shared, "train_tokens")


def test_the_lines_of_the_page_train_what_stock_trl_trains(load, tokenizer, prompts, engine_for, tmp_path):
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    names = {}
    exec(code, names)
    trainers = []
    for options in ({}, {"trainer_class": names["SharedPromptTrainer"]}):
        model = load()
        trainer = StockGrpo(
            model, tokenizer, hybrid_stage(steps=2), engine_for(model), prompts, str(tmp_path), **options
        ).trainer
        trainer.train()
        trainers.append(trainer)
    stock, shared = trainers
    assert any(logged(stock, "grad_norm"))
    torch.testing.assert_close(weights(shared), weights(stock), rtol=0, atol=1e-5)


def test_passes_hold_as_many_tokens_as_they_may():
    a, b = [1] * 10, [2] * 30
    sequences = [Sequence(a, [3] * 5), Sequence(b, [3] * 5), Sequence(a, [4] * 5), Sequence(a, [5] * 15)]
    assert passes(sequences, 20, shares_prompts=True) == [[0, 2], [3], [1]]  # 10 + 5 + 5, 10 + 15, 30 + 5
    assert passes(sequences, 35, shares_prompts=True) == [[0, 2, 3], [1]]
    assert passes(sequences, 1000, shares_prompts=True) == [[0, 2, 3, 1]]
    assert passes(sequences, 50, shares_prompts=False) == [[1], [3, 0], [2]]  # 35; 2 x 25; 15
    assert passes(sequences, 1, shares_prompts=False) == [[1], [3], [0], [2]]
