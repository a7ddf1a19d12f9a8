"""The largest log-probabilities beside those of the labels: as from the whole logits, and chunk by chunk."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, CohereConfig, LlamaConfig, Qwen2Config
from trl.trainer.utils import add_fused_lm_head

from chord.errors import UserError
from chord.shared_prompts import PackedBatch, share_prompts
from chord.training import distributions
from chord.training.distributions import add_distributions
from chord.training.sequences import PaddedBatch, Sequence

CPU = torch.device("cpu")
SMALL = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "initializer_range": 0.5,
}
# Two rows share a prompt, and are not neighbours.
ROWS = [
    Sequence([5, 6, 7], [8, 9, 10, 11]),
    Sequence([1], [2, 3]),
    Sequence([5, 6, 7], [12]),
    Sequence([4, 4, 4, 4, 9], [1, 2, 3]),
]
READ = [0, 3]


def small_model(config=Qwen2Config, **changes):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config(**SMALL | changes)).float()


def with_distributions(model):
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    add_distributions(model)
    return model


def batch_of(model, packed: bool):
    if not packed:
        return PaddedBatch(ROWS, pad_token_id=0)
    assert share_prompts(model) is None
    return PackedBatch([(row.prompt_ids, row.response_ids) for row in ROWS])


def whole_logits(model, row: Sequence) -> torch.Tensor:
    return model(torch.tensor([row.input_ids])).logits[0, len(row.prompt_ids) - 1 : -1].log_softmax(-1)


@pytest.mark.parametrize("chunk", [distributions.CHUNK_VALUES, 64, 3 * 64])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("config", "changes"),
    [(Qwen2Config, {"tie_word_embeddings": False}), (LlamaConfig, {"tie_word_embeddings": True})],
    ids=["own output layer", "tied"],
)
def test_they_are_those_of_the_whole_logits_at_the_rows_that_are_read(config, changes, packed, chunk, monkeypatch):
    monkeypatch.setattr(distributions, "CHUNK_VALUES", chunk)
    plain, model = small_model(config, **changes), with_distributions(small_model(config, **changes))
    batch = batch_of(model, packed)
    outputs = model(**batch.inputs(CPU), fused_lm_head=True, at=batch.at_rows(READ, CPU), top=5)
    found = batch.by_row(outputs.top_logps)
    assert found.shape == (4, 4, 5)
    assert not found.requires_grad
    assert outputs.log_probs.requires_grad
    for place, row in enumerate(ROWS):
        logps = whole_logits(plain, row).detach()
        expected = torch.zeros(4, 5)
        if place in READ:
            expected[: len(logps)] = logps.sort(descending=True).values[:, :5]
        torch.testing.assert_close(found[place], expected, rtol=0, atol=1e-5)
        chosen = logps[torch.arange(len(logps)), torch.tensor(row.response_ids)]
        torch.testing.assert_close(batch.by_row(outputs.log_probs)[place, : len(logps)], chosen, rtol=0, atol=1e-5)


def test_with_adapters_and_recomputed_layers():
    settings = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    plain, model = small_model(), with_distributions(small_model())
    torch.manual_seed(1)
    plain = get_peft_model(plain, settings)
    torch.manual_seed(1)
    model = get_peft_model(model, settings).train()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    batch = PaddedBatch(ROWS, pad_token_id=0)
    outputs = model(**batch.inputs(CPU), fused_lm_head=True, at=batch.at_rows(READ, CPU), top=2)
    outputs.log_probs.sum().backward()
    found = batch.by_row(outputs.top_logps)[3, :3]
    torch.testing.assert_close(found, whole_logits(plain, ROWS[3]).topk(2).values, rtol=0, atol=1e-5)


def test_a_call_that_reads_nothing_is_trls():
    model, plain = with_distributions(small_model()), small_model()
    add_fused_lm_head(plain, outputs=("log_probs", "entropy"))
    inputs = PaddedBatch(ROWS, pad_token_id=0).inputs(CPU)
    found, expected = model(**inputs, fused_lm_head=True), plain(**inputs, fused_lm_head=True)
    assert type(found) is type(expected)
    assert torch.equal(found.log_probs, expected.log_probs)
    ids = torch.tensor([[5, 6, 7]])
    options = {"attention_mask": torch.ones_like(ids), "max_new_tokens": 4, "do_sample": False}
    assert torch.equal(model.generate(ids, **options), plain.generate(ids, **options))
    assert not model.base_model._forward_hooks


def test_a_model_that_scales_its_logits_is_refused():
    model = small_model(CohereConfig, logit_scale=0.25)
    with pytest.raises(UserError, match="cohere changes its logits behind its output layer"):
        add_distributions(model)
