"""Sampling is exact, and a sample is a function of its prompt and its own seed."""

import shutil

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chisquare
from transformers import AutoModelForCausalLM, PreTrainedModel

from chord.errors import UserError
from chord.rollouts import Decoding, encode_prompts, fixed_batches
from chord.rollouts.huggingface import HuggingFaceEngine, load_model, stop_tokens
from chord.rollouts.sampling import UNITS, choose, nucleus, uniform_noise

PAD, EOS = 0, 2
# Lengths from 3 to 9, so that every batch of them needs padding.
PROMPTS = [[7 + (3 * row + column) % 40 for column in range(3 + row % 7)] for row in range(24)]
SEEDS = [1000 + row for row in range(24)]
DECODING = Decoding(temperature=0.8, max_response_tokens=24)


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def engine(model):
    return HuggingFaceEngine(model, PAD, [EOS], batch_size=24)


@torch.no_grad()
def plain_logits(model, prompt: list[int], response: list[int]) -> torch.Tensor:
    """(tokens, vocabulary) logits before each token of the response, by one forward pass without cache or padding."""
    return model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]


def token_ids(samples) -> list[list[int]]:
    return [sample.token_ids for sample in samples]


@pytest.mark.parametrize("top_p", [1.0, 0.7])
def test_frequencies_are_those_of_the_distribution(model, top_p):
    count, prompt = 6000, PROMPTS[4]
    engine = HuggingFaceEngine(model, PAD, [EOS], batch_size=2000)
    decoding = Decoding(temperature=1.3, top_p=top_p, max_response_tokens=2)
    samples = engine.generate([prompt] * count, list(range(count)), decoding)
    first = np.array([sample.token_ids[0] for sample in samples])
    common = np.bincount(first[first != EOS]).argmax()
    second = np.array([sample.token_ids[1] for sample in samples if sample.token_ids[0] == common])
    for drawn, before in ((first, []), (second, [int(common)])):
        logits = plain_logits(model, prompt, [*before, 0])[-1:] / 1.3
        probs = (nucleus(logits, top_p) if top_p < 1 else logits).softmax(-1)[0].double().numpy()
        counts = np.bincount(drawn, minlength=len(probs))
        assert counts[probs == 0].sum() == 0
        expected = probs * len(drawn)
        often = expected >= 5
        observed = np.append(counts[often], counts[~often].sum())
        expected = np.append(expected[often], expected[~often].sum())
        kept = expected > 0
        assert chisquare(observed[kept], expected[kept] * observed.sum() / expected.sum()).pvalue > 0.001


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_logps_and_entropies_equal_a_plain_forward_pass(model, engine, top_p):
    decoding = DECODING.model_copy(update={"top_p": top_p})
    for prompt, sample in zip(PROMPTS, engine.generate(PROMPTS, SEEDS, decoding), strict=True):
        logits = plain_logits(model, prompt, sample.token_ids) / 0.8
        logps = (nucleus(logits, top_p) if top_p < 1 else logits).log_softmax(-1)
        chosen = logps.gather(1, torch.tensor(sample.token_ids)[:, None]).squeeze(1)
        torch.testing.assert_close(torch.tensor(sample.logps), chosen, atol=1e-4, rtol=1e-4)
        entropies = torch.special.entr(logps.exp()).sum(-1)
        torch.testing.assert_close(torch.tensor(sample.entropies), entropies, atol=1e-4, rtol=1e-4)


def test_greedy_takes_the_most_probable_token_and_no_noise(model, engine):
    decoding = Decoding(temperature=0, max_response_tokens=12)
    samples = engine.generate(PROMPTS, SEEDS, decoding)
    for prompt, sample in zip(PROMPTS, samples, strict=True):
        assert sample.token_ids == plain_logits(model, prompt, sample.token_ids).argmax(-1).tolist()
        assert sample.logps == sample.entropies == [0.0] * len(sample.token_ids)
    assert token_ids(samples) == token_ids(engine.generate(PROMPTS, SEEDS[::-1], decoding))


@pytest.mark.parametrize("batch_size", [1, 5, 16])
def test_a_sample_does_not_depend_on_batch_order_or_padding(model, engine, batch_size):
    samples = engine.generate(PROMPTS, SEEDS, DECODING)
    order = np.random.default_rng(0).permutation(len(PROMPTS))
    small = HuggingFaceEngine(model, PAD, [EOS], batch_size)
    shuffled = small.generate([PROMPTS[i] for i in order], [SEEDS[i] for i in order], DECODING)
    assert token_ids(shuffled) == [samples[i].token_ids for i in order]
    assert [sample.truncated for sample in shuffled] == [samples[i].truncated for i in order]


def test_seeds_decide_and_a_longer_limit_continues_the_same_sample(engine):
    prompts = [PROMPTS[3]] * 16
    short = engine.generate(prompts, SEEDS[:16], DECODING)
    assert len({tuple(ids) for ids in token_ids(short)}) == 16
    assert token_ids(engine.generate(prompts, [SEEDS[0]] * 16, DECODING)) == [short[0].token_ids] * 16
    long = engine.generate(prompts, SEEDS[:16], DECODING.model_copy(update={"max_response_tokens": 40}))
    assert [ids[:24] for ids in token_ids(long)] == token_ids(short)


def test_end_token_and_truncation(model):
    logits = plain_logits(model, PROMPTS[0], [0])[-1]
    likely = logits.argsort(descending=True)[:6].tolist()
    engine = HuggingFaceEngine(model, PAD, likely, batch_size=64)
    samples = engine.generate([PROMPTS[0]] * 200, list(range(200)), Decoding(temperature=1.0, max_response_tokens=3))
    for sample in samples:
        ends = [token in likely for token in sample.token_ids]
        assert True not in ends[:-1]  # nothing comes after an end token, and it is kept
        assert sample.truncated == (not ends[-1])
        assert len(sample.token_ids) == 3 or not sample.truncated
        assert len(sample.logps) == len(sample.entropies) == len(sample.token_ids)
    lengths = {(len(sample.token_ids), sample.truncated) for sample in samples}
    assert lengths == {(1, False), (2, False), (3, False), (3, True)}  # an end in the last place is not a truncation


def test_probability_zero_is_never_chosen():
    probs = torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]]).repeat(4, 1)
    uniform = torch.tensor([0.0, 0.25 - 2.0**-53, 0.25, 1 - 2.0**-53], dtype=torch.float64)
    assert choose(probs, uniform).squeeze(1).tolist() == [1, 1, 3, 3]
    many = torch.zeros(1, 200_000).index_fill_(1, torch.arange(50_000, 150_000), 1e-5)
    ends = torch.cat([choose(many, torch.tensor([u], dtype=torch.float64)) for u in (0.0, 1 - 2.0**-53)])
    assert ends.squeeze(1).tolist() == [50_000, 149_999]


def test_probabilities_become_exact_shares():
    assert UNITS * torch.tensor(2.0**-28 * (1 + 2.0**-23), dtype=torch.float32).double() % 1 == 0
    third = torch.full((1, 3), 1 / 3)
    picks = [choose(third, torch.tensor([u], dtype=torch.float64)).item() for u in np.arange(0, 1, 1 / 64)]
    assert picks == sorted(picks)
    assert np.bincount(picks).tolist() == [22, 21, 21]


def test_nucleus_is_the_smallest_set_that_reaches_top_p():
    logits = torch.tensor([[0.5, 0.1, 0.3, 0.1], [0.97, 0.01, 0.01, 0.01]]).log()
    kept = nucleus(logits, 0.75).isfinite()
    assert kept.tolist() == [[True, False, True, False], [True, False, False, False]]
    assert nucleus(logits, 1e-6).isfinite().sum(-1).tolist() == [1, 1]


def test_noise_is_a_philox_stream_of_each_seed():
    seeds = [0, 5, 2**63 - 1]
    noise = uniform_noise(seeds, 7)
    for row, seed in zip(noise, seeds, strict=True):
        assert row.tolist() == np.random.Generator(np.random.Philox(key=seed)).random(7).tolist()
    assert uniform_noise([5], 3).tolist() == noise[1:2, :3].tolist()


def test_batches_are_by_length_longest_first_and_stable():
    assert fixed_batches([[1], [1, 2], [1], [1, 2, 3], [1, 2]], 2) == [[3, 1], [4, 0], [2]]
    assert fixed_batches([], 4) == []


def test_the_model_comes_back_as_it_was_and_its_decoding_defaults_are_ignored(tiny_model_dir, engine):
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32, attention_dropout=0.5)
    model.config.use_cache = False
    model.gradient_checkpointing_enable()
    model.generation_config.update(repetition_penalty=1.5, suppress_tokens=[9, 10, 11], top_k=3)
    defaults = model.generation_config
    model.train()
    samples = HuggingFaceEngine(model, PAD, [EOS], batch_size=24).generate(PROMPTS, SEEDS, DECODING)
    assert token_ids(samples) == token_ids(engine.generate(PROMPTS, SEEDS, DECODING))
    assert model.training
    assert model.generation_config is defaults
    assert model.config.use_cache is False


def test_broken_weights_are_an_error_not_a_text(tiny_model_dir):
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32)
    model.lm_head.weight.data.fill_(float("nan"))
    for temperature in (0, 1):
        decoding = Decoding(temperature=temperature, max_response_tokens=4)
        with pytest.raises(FloatingPointError, match="NaN"):
            HuggingFaceEngine(model, PAD, [EOS], 4).generate(PROMPTS[:2], SEEDS[:2], decoding)


def test_impossible_requests_are_refused(model, engine):
    with pytest.raises(UserError, match="need 309 positions, the model has 256"):
        engine.generate(PROMPTS, SEEDS, Decoding(temperature=1, max_response_tokens=300))
    with pytest.raises(UserError, match="prompt 1 has no tokens"):
        engine.generate([[5], []], [1, 2], DECODING)
    with pytest.raises(ValueError, match="24 prompts, but 23 seeds"):
        engine.generate(PROMPTS, SEEDS[1:], DECODING)
    with pytest.raises(UserError, match="eos_token_ids is empty"):
        HuggingFaceEngine(model, PAD, [], 4)
    assert engine.generate([], [], DECODING) == []


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"max_response_tokens": 0}, {"top_k": 5}]
)
def test_decoding_refuses_what_it_does_not_know(wrong):
    with pytest.raises(ValidationError):
        Decoding.model_validate({"temperature": 1.0, "max_response_tokens": 4} | wrong)


def test_prompts_end_where_the_answer_begins(tiny_tokenizer):
    ids = encode_prompts(tiny_tokenizer, [{"messages": [{"role": "user", "content": "answer 1 2"}]}])
    assert tiny_tokenizer.convert_ids_to_tokens(ids[0]) == ["<bos>", "<user>", "answer", "1", "2", "<assistant>"]


def test_stop_tokens_join_tokenizer_and_generation_configuration(tiny_model_dir, tiny_tokenizer):
    model = AutoModelForCausalLM.from_pretrained(tiny_model_dir)
    assert stop_tokens(model, tiny_tokenizer) == (PAD, [EOS])
    model.generation_config.eos_token_id = [5, 2]
    assert stop_tokens(model, tiny_tokenizer) == (PAD, [2, 5])


def test_models_to_generate_with_are_loaded_on_the_gpu_where_there_is_one(tiny_model_dir, monkeypatch):
    devices = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(PreTrainedModel, "to", lambda self, device: devices.append(device) or self)
    model, tokenizer = load_model(tiny_model_dir)
    assert devices == ["cuda"]
    assert not model.training
    assert tokenizer.eos_token_id == EOS


def test_pickled_weights_are_refused(tiny_model_dir, tmp_path):
    shutil.copytree(tiny_model_dir, tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    torch.save(
        AutoModelForCausalLM.from_pretrained(tiny_model_dir).state_dict(), weights.with_name("pytorch_model.bin")
    )
    weights.unlink()
    with pytest.raises(UserError, match="safetensors"):
        load_model(tmp_path / "model")
    with pytest.raises(UserError, match="nowhere: no such folder"):
        load_model(tmp_path / "nowhere")
