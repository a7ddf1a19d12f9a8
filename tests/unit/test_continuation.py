"""Prompts that rows share are computed once, and the samples are those of each row alone."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from chord.rollouts import Decoding, continuation
from chord.rollouts.cache import BufferedLayer, remaining, select_in_place
from chord.rollouts.huggingface import HuggingFaceEngine
from chord.rollouts.prompt_groups import reads_prompts_together
from chord.rollouts.sampling import choose, uniform_noise
from chord.shared_prompts import share_prompts
from chord.shared_prompts.attention import PACKED_ATTENTION

VOCABULARY, PAD, ENDS, LIMIT = 40, 0, [2, *range(33, 40)], 12
# Groups of three, two, two (apart from each other) and one; lengths 5, 1, 9 and 3.
PROMPTS = [[3, 4, 5, 6, 7]] * 3 + [[8], [9, 10, 11, 12, 13, 14, 15, 16, 17]] + [[8], [20, 21, 22]]
PROMPTS += [[9, 10, 11, 12, 13, 14, 15, 16, 17]]
SEEDS = [50 + row for row in range(len(PROMPTS))]
DECODING = Decoding(temperature=0.9, max_response_tokens=LIMIT)
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "pad_token_id": PAD,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SHARING = {
    "llama": {"tie_word_embeddings": True},
    "mistral": {"sliding_window": None},
    "qwen2": {},
    "qwen3": {"head_dim": 16},
    "smollm3": {},
}
WITH_COPIES = {
    "qwen2": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},  # one layer of two
    "gemma": {"head_dim": 8},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "qwen3_next": {
        "layer_types": ["linear_attention", "full_attention"],
        "head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    },
}


def make_model(model_type: str, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = AutoConfig.for_model(model_type, **SHAPE | changes)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def model():
    return make_model("qwen2")


def sample(model, prompts=PROMPTS, seeds=SEEDS, decoding=DECODING, **settings):
    return HuggingFaceEngine(model, PAD, ENDS, len(prompts), **settings).generate(prompts, seeds, decoding)


@torch.no_grad()
def assert_equal_plain_rows(model, samples, tolerance=1e-5):
    """Each row alone, without cache and padding, gives its noise the same tokens, with the same log-probabilities."""
    noise = torch.from_numpy(uniform_noise(SEEDS, LIMIT))
    for prompt, row_noise, one in zip(PROMPTS, noise, samples, strict=True):
        ids = torch.tensor([prompt + one.token_ids])
        logits = model(ids, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
        logps = (logits / DECODING.temperature).log_softmax(-1)
        tokens = choose(logps.exp(), row_noise[: len(logps)])
        assert tokens.squeeze(1).tolist() == one.token_ids
        torch.testing.assert_close(
            torch.tensor(one.logps), logps.gather(1, tokens).squeeze(1), atol=tolerance, rtol=tolerance
        )


@pytest.mark.parametrize(("model_type", "changes"), SHARING.items(), ids=list(SHARING))
def test_rows_that_share_a_prompt_sample_as_if_alone(model_type, changes):
    model = make_model(model_type, **changes)
    assert reads_prompts_together(model)
    assert_equal_plain_rows(model, sample(model))


@pytest.mark.parametrize(("model_type", "changes"), WITH_COPIES.items(), ids=list(WITH_COPIES))
def test_rows_with_copies_of_the_prompt_sample_as_if_alone(model_type, changes):
    model = make_model(model_type, **changes)
    assert not reads_prompts_together(model)
    assert_equal_plain_rows(model, sample(model))


def test_copies_and_shared_prompts_give_the_same_samples(model, monkeypatch):
    shared = sample(model)
    monkeypatch.setattr(continuation, "reads_prompts_together", lambda _: False)  # as on a GPU
    copies = sample(model)
    assert [one.token_ids for one in copies] == [one.token_ids for one in shared]
    assert_equal_plain_rows(model, copies)


def test_the_same_call_gives_the_same_bits(model):
    assert sample(model) == sample(model)


def test_each_prompt_is_computed_once_and_rows_leave_when_they_end(model):
    shapes = []
    hook = model.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape)))
    lengths = [len(one.token_ids) for one in sample(model)]
    hook.remove()
    assert len(set(lengths)) > 2
    assert shapes[0] == (4, 9)  # the distinct prompts, and the longest one
    assert shapes[1:] == [(sum(length > step for length in lengths), 1) for step in range(1, max(lengths))]


def test_all_rows_may_end_at_once(model):
    samples = HuggingFaceEngine(model, PAD, list(range(VOCABULARY)), 8).generate(PROMPTS, SEEDS, DECODING)
    assert [(len(one.token_ids), one.truncated) for one in samples] == [(1, False)] * 8
    assert len({tuple(one.token_ids) for one in sample(model, [PROMPTS[0]] * 4, [7] * 4)}) == 1


@pytest.mark.parametrize(
    ("trained", "weights", "together"),
    [(False, torch.float32, False), (True, torch.float32, True), (False, torch.bfloat16, False)],
    ids=["autocast", "autocast of a model in training", "weights in bf16"],
)
def test_bf16_has_the_roundings_of_full_rows(trained, weights, together):
    """Another order of roundings moves log-probabilities by 0.012. Autocast leaves attention in training in fp32."""
    model = make_model("qwen2").to(weights)
    if trained:
        assert share_prompts(model) is None
    autocast = torch.bfloat16 if weights == torch.float32 else None
    samples = sample(model, autocast=autocast)
    differences = []
    for prompt, one in zip(PROMPTS, samples, strict=True):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast is not None):
            assert reads_prompts_together(model) == together
            logits = model(torch.tensor([prompt + one.token_ids])).logits[0, len(prompt) - 1 : -1].float()
        logps = (logits / DECODING.temperature).log_softmax(-1).gather(1, torch.tensor(one.token_ids)[:, None])
        differences.append((torch.tensor(one.logps) - logps.squeeze(1)).abs())
    assert torch.cat(differences).mean() < 0.006


def test_a_model_in_training_samples_what_it_samples_alone():
    model = make_model("qwen2")
    alone = sample(model)
    assert share_prompts(model) is None
    assert sample(model) == alone
    assert model.config._attn_implementation == PACKED_ATTENTION


def test_the_last_rows_take_the_places_of_those_that_leave():
    keep = torch.tensor([True, False, True, False, True, True])
    order = remaining(keep)
    assert order.tolist() == [0, 4, 2, 5]
    assert remaining(torch.tensor([False, True])).tolist() == [1]
    assert remaining(torch.tensor([False])).tolist() == []
    states = torch.arange(12.0).view(6, 2)
    kept = select_in_place(states, order)
    assert kept[:, 0].tolist() == [0, 8, 4, 10]
    assert kept.data_ptr() == states.data_ptr()


def test_a_cache_is_one_allocation_from_its_first_token_to_its_last_row():
    keys, values = torch.randn(2, 2, 1, 3, 4).unbind(0)
    layer = BufferedLayer(keys, values, torch.tensor([1, 0, 1]), capacity=5)
    storage = layer.keys.untyped_storage().data_ptr()
    added = torch.randn(3, 1, 1, 4)
    layer.update(added, 2 * added)
    layer.reorder_cache(torch.tensor([2, 1]))
    both, _ = layer.update(added[:2], added[:2])
    expected = torch.cat([keys[[1, 0]], added[[2, 1]], added[:2]], dim=2)
    assert torch.equal(both, expected)
    assert torch.equal(layer.values[:, :, :4], torch.cat([values[[1, 0]], 2 * added[[2, 1]]], dim=2))
    assert layer.get_seq_length() == 5
    assert layer.keys.untyped_storage().data_ptr() == storage
