"""LoRA: only adapters are trained, sampling and training use them, and what a run leaves is a whole model."""

import json
import sys

import pytest
import torch
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import PhimoeConfig, PhimoeForCausalLM, Qwen2ForCausalLM

from chord.errors import UserError
from chord.io.files import write_jsonl
from chord.io.models import load_weights
from chord.rollouts import Decoding, encode_prompts
from chord.training.scale.weights import add_adapters, full_weights, save_full
from chord.training.sequences import collate, encode_experts
from chord.training.train_spec import Lora
from tests.helpers.small_training import ADAPTER_SEED, NEVER, VALIDATION, hybrid_stage, logged, sft_stage
from tests.helpers.stock_grpo import StockGrpo
from tests.helpers.training_runs import Cut, curves, cut_behind, train_here

LORA = {"rank": 4, "alpha": 8}
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def adapters(model) -> dict[str, torch.Tensor]:
    return get_peft_model_state_dict(model)


def expert_logps(model, tokenizer, experts) -> torch.Tensor:
    """Of the first rows' tokens, from the logits."""
    padded = collate(encode_experts(tokenizer, experts[:6]), tokenizer.pad_token_id, torch.device("cpu"))
    with torch.no_grad():
        logps = model(padded["input_ids"], padded["attention_mask"]).logits[:, :-1].log_softmax(-1)
    labels = padded["labels"][:, 1:]
    return logps.gather(2, labels.clamp(min=0)[:, :, None]).squeeze(2)[labels >= 0]


def test_only_adapters_are_trained_and_the_loss_falls(train_sft, load, tokenizer, experts):
    trainer = train_sft(sft_stage(lora={"rank": 64, "alpha": 64}))  # no layer has a higher rank
    trained = {name for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    layers = {name.rpartition(".lora_")[0].rpartition(".")[2] for name in trained}
    assert layers == set(LINEAR)
    assert len(trained) == 2 * 2 * len(LINEAR)  # A and B, two layers
    frozen = {n.replace("base_layer.", ""): w for n, w in trainer.model.get_base_model().named_parameters()}
    for name, weight in load().named_parameters():
        assert torch.equal(frozen[name], weight), name
    before, after = (expert_logps(model, tokenizer, experts).mean() for model in (load(), trainer.model))
    assert after > before + 0.5


@pytest.mark.parametrize("tied", [False, True])
def test_the_whole_model_is_the_model_with_its_adapters(load, tokenizer, experts, start, tmp_path, tied):
    plain = load()
    plain.config.tie_word_embeddings = tied
    model = Qwen2ForCausalLM(plain.config)
    model.load_state_dict(plain.state_dict(), strict=False)
    model.tie_weights()
    model.save_pretrained(tmp_path / "start")
    trained = add_adapters(model, Lora(**LORA), 1)
    start_logps = expert_logps(trained, tokenizer, experts)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in trained.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn_like(weight)
    with_adapters = expert_logps(trained, tokenizer, experts)
    assert (with_adapters - start_logps).abs().mean() > 0.1

    save_full(trained, tmp_path / "whole")
    torch.testing.assert_close(expert_logps(trained, tokenizer, experts), with_adapters, rtol=0, atol=0)
    merged = load_weights(tmp_path / "whole", torch.float32)
    # W + BA is rounded once more: a few units in the last place of log-probabilities down to about -10, by processor
    torch.testing.assert_close(expert_logps(merged, tokenizer, experts), with_adapters, rtol=5e-6, atol=1e-5)
    files = [load_file(tmp_path / folder / "model.safetensors") for folder in ("start", "whole")]
    assert files[0].keys() == files[1].keys()
    assert ("lm_head.weight" in files[1]) is not tied
    for name, weight in files[0].items():
        adapted = name.endswith(tuple(f"{layer}.weight" for layer in LINEAR))
        assert torch.equal(files[1][name], weight) is not adapted, name
    named = dict(full_weights(trained))
    assert named.keys() == plain.state_dict().keys()
    assert all(torch.equal(named[name], weight) for name, weight in files[1].items())


def test_samples_are_those_of_the_whole_model(train_hybrid, load, engine_for, tokenizer, prompts, tmp_path):
    trainer = train_hybrid(hybrid_stage(lora=LORA))
    save_full(trainer.model, tmp_path / "whole")
    ids = encode_prompts(tokenizer, prompts[:8])
    decoding = Decoding(temperature=1.0, max_response_tokens=12)
    models = (trainer.model.get_base_model(), load_weights(tmp_path / "whole", torch.float32))
    ours, merged = (engine_for(model).generate(ids, list(range(8)), decoding) for model in models)
    assert [sample.token_ids for sample in ours] == [sample.token_ids for sample in merged]
    for sample, other in zip(ours, merged, strict=True):
        assert sample.logps == pytest.approx(other.logps, abs=1e-4)
    at_start = engine_for(load()).generate(ids, list(range(8)), decoding)
    assert [sample.token_ids for sample in ours] != [sample.token_ids for sample in at_start]


@pytest.mark.filterwarnings("ignore:You are using .rollout_func.")
def test_mu_0_is_trl_grpo_with_peft(train_hybrid, load, tokenizer, prompts, engine_for, tmp_path):
    stage = hybrid_stage(schedule=NEVER, steps=5, lora=LORA)
    ours = train_hybrid(stage)
    model = load()
    config = LoraConfig(r=4, lora_alpha=8, target_modules=LINEAR, task_type="CAUSAL_LM")
    stock = StockGrpo(model, tokenizer, stage, engine_for(model), prompts, str(tmp_path / "stock"), config).trainer
    at_start = adapters(add_adapters(load(), stage.lora, ADAPTER_SEED))
    set_peft_model_state_dict(stock.model, at_start)
    stock.train()
    assert logged(ours, "reward_mean") == pytest.approx(logged(stock, "reward"))
    assert logged(ours, "loss")[:5] == pytest.approx(logged(stock, "loss")[:5], abs=1e-5)
    assert logged(ours, "grad_norm") == pytest.approx(logged(stock, "grad_norm"), rel=1e-3)
    assert adapters(ours.model).keys() == adapters(stock.model).keys()
    for name, weight in adapters(ours.model).items():
        torch.testing.assert_close(weight, adapters(stock.model)[name], rtol=0, atol=1e-5)
        assert not torch.equal(weight, at_start[name])


def test_adapters_start_alike_for_a_seed_and_draw_from_no_other_stream(load):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, same, other = (adapters(add_adapters(load(), Lora(**LORA), seed)) for seed in (5, 5, 6))
    assert torch.rand(1) == expected
    for name in one:
        assert torch.equal(one[name], same[name])
        assert torch.equal(one[name], other[name]) is name.endswith("lora_B.weight")


def test_without_peft_one_line_says_what_to_install(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"^lora: peft cannot be imported .*; install it: pip install -e '\.\[lora\]'$"):
        add_adapters(load(), Lora(**LORA), 1)


def test_weights_that_no_adapter_could_reach_are_refused():
    small = {"vocab_size": 16, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = PhimoeConfig(**small, num_attention_heads=2, num_key_value_heads=1, num_local_experts=2)
    with pytest.raises(UserError, match="expected a model of linear layers"):
        add_adapters(PhimoeForCausalLM(config), Lora(**LORA), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "scale"),
    [
        (hybrid_stage(lora=LORA, steps=4), {}),
        (
            sft_stage(lora=LORA, epochs=2, keep="best", validate_every=2),
            {"precision": "bf16", "gradient_checkpointing": True},
        ),
    ],
    ids=["hybrid", "sft"],
)
def test_a_run_goes_on_from_adapters_and_leaves_a_whole_model(
    stage, scale, start, prompts, experts, tmp_path, monkeypatch
):
    spec = {"study_seed": 3, "seed_index": 1, "stage": stage.specification(), "validation": VALIDATION, "save_every": 2}
    spec |= {"scale": scale}
    job = [json.dumps(spec), str(start)]
    for name, rows in (("prompts", prompts), ("experts", experts), ("validation", prompts[:6])):
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
        job.append(str(tmp_path / f"{name}.jsonl"))
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    train_here(job, straight)
    with monkeypatch.context() as patch:
        cut_behind(patch, 2)
        with pytest.raises(Cut):
            train_here(job, cut)
    checkpoint = cut / "checkpoints/checkpoint-2"
    assert [path.name for path in checkpoint.glob("*.safetensors")] == ["adapter_model.safetensors"]
    saved = load_file(checkpoint / "adapter_model.safetensors")
    assert all(".lora_A." in name or ".lora_B." in name for name in saved)
    moments = torch.load(checkpoint / "optimizer.pt", weights_only=True)["state"]
    assert sorted(m["exp_avg"].shape for m in moments.values()) == sorted(weight.shape for weight in saved.values())

    train_here(job, cut)
    manifest = json.loads((cut / "manifest.json").read_text())
    assert manifest["resumed_after_step"] == 2
    assert manifest["precision"] == scale.get("precision", "fp32")
    results = [load_file(out / "model/model.safetensors") for out in (straight, cut)]
    assert results[0].keys() == load_file(start / "model.safetensors").keys()
    for name, weight in results[0].items():
        assert torch.equal(weight, results[1][name]), name
    assert curves(cut) == curves(straight)
