"""Gradient checkpointing changes no bit; bf16 changes how passes are rounded, in sampling as in training."""

import logging
from pathlib import Path

import pytest
import torch

from chord.io.files import read_json, write_jsonl
from chord.io.models import load_weights
from chord.rollouts import Decoding, encode_prompts
from chord.rollouts.parity import ParityError
from chord.training.build import build_trainer, precision_drift
from chord.training.run import run
from chord.training.scale.weights import save_full
from chord.training.sequences import Sequence, encode_experts
from chord.training.train_spec import TrainSpec
from tests.helpers.small_training import VALIDATION, hybrid_stage, logged, sft_stage, weights

pytestmark = pytest.mark.slow
WORLD = Path(__file__).parents[2] / "models/world-base"
LORA = {"rank": 4, "alpha": 8}
RATE = {"optimizer": {"lr": 1e-3}}  # the optimizer is AdamW here
STAGES = {
    "hybrid": hybrid_stage(**RATE),
    "sft": sft_stage(**RATE),
    "hybrid with adapters": hybrid_stage(**RATE, lora=LORA),
}


@pytest.fixture
def build(load, tokenizer, prompts, experts, tmp_path):
    def build(stage, **scale):
        parts = {"stage": stage, "validation": VALIDATION, "save_every": 100, "scale": scale}
        spec = TrainSpec.model_validate({"study_seed": 1, "seed_index": 0, **parts})
        return build_trainer(spec, load(), tokenizer, prompts, encode_experts(tokenizer, experts), tmp_path)

    return build


def layer_calls(trainer) -> list[int]:
    """Trains. Length of the rows that the first layer saw at each of its calls."""
    plain = next(module for module in trainer.model.modules() if hasattr(module, "layers"))
    seen = []
    plain.layers[0].register_forward_pre_hook(lambda _layer, args: seen.append(args[0].shape[1]))
    trainer.train()
    return seen


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_gradient_checkpointing_changes_no_bit(build, stage, caplog):
    usual, checkpointed = build(stage), build(stage, gradient_checkpointing=True)
    calls = layer_calls(usual)
    with caplog.at_level(logging.WARNING, logger="transformers"):
        again = layer_calls(checkpointed)
    assert "gradient checkpointing" not in caplog.text
    assert torch.equal(weights(usual), weights(checkpointed))
    for key in ("loss", "grad_norm", "reward_mean", "entropy"):
        assert logged(usual, key) == logged(checkpointed, key)
    # A rollout's steps are the calls with one token, by the key-value cache; they are as many as ever. All other calls
    # are prompts, which are computed once, and training passes, which are computed twice.
    assert again.count(1) == calls.count(1)
    assert (calls.count(1) > 0) is (stage.kind == "hybrid")
    prompts = 3 if stage.kind == "hybrid" else 0  # one batch of rollouts a step
    passes = len(calls) - calls.count(1) - prompts
    assert len(again) - again.count(1) - prompts == 2 * passes


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_bf16_is_the_precision_of_passes_and_not_of_weights(build, stage):
    fp32, bf16 = build(stage), build(stage, precision="bf16")
    fp32.train()
    bf16.train()
    assert {weight.dtype for weight in bf16.model.parameters()} == {torch.float32}
    assert weights(bf16).isfinite().all()
    ours, theirs = logged(bf16, "expert_nll"), logged(fp32, "expert_nll")
    assert ours != theirs
    assert ours == pytest.approx(theirs, rel=0.01)


@pytest.mark.parametrize("lora", [None, LORA], ids=["all weights", "adapters"])
def test_rollouts_come_from_the_distribution_that_is_updated(build, engine_for, prompts, tokenizer, tmp_path, lora):
    """Where passes are in bf16, log-probs of samples in bf16 are nearer to the trainer's than those of fp32 are."""
    trainer = build(hybrid_stage(**RATE, lora=lora), precision="bf16")
    trainer.train()
    save_full(trainer.model, tmp_path / "whole")
    ids = [row for row in encode_prompts(tokenizer, prompts[:8]) for _ in range(4)]
    errors = []
    for engine in (trainer.engine, engine_for(load_weights(tmp_path / "whole", torch.float32))):
        samples = engine.generate(ids, list(range(len(ids))), Decoding(temperature=1.0, max_response_tokens=12))
        rows = [Sequence(prompt, sample.token_ids) for prompt, sample in zip(ids, samples, strict=True)]
        with torch.no_grad():
            outputs = trainer.forward(trainer.model, rows)
        assert outputs.logp.dtype == torch.float32
        sampled = torch.tensor([logp for sample in samples for logp in sample.logps])
        errors.append((outputs.logp[outputs.mask] - sampled).abs().mean())
    assert errors[0] < errors[1] / 4, errors


def test_a_run_in_bf16_records_how_far_it_is_from_fp32(load, start, tokenizer, experts, tmp_path):
    """By the log-probabilities of the first texts under the start model, computed here from its whole logits."""
    for name in ("experts", "validation"):
        write_jsonl(tmp_path / f"{name}.jsonl", experts)
    parts = {"stage": sft_stage(**RATE), "validation": VALIDATION, "save_every": 100}
    for precision in ("bf16", "fp32"):
        spec = TrainSpec.model_validate(
            {"study_seed": 1, "seed_index": 0, **parts, "scale": {"precision": precision}}
        ).specification()
        files = [tmp_path / f"{name}.jsonl" for name in ("validation", "experts")]
        run(spec, start, files[0], tmp_path / precision, experts=files[1])
    records = {precision: read_json(tmp_path / precision / "manifest.json") for precision in ("bf16", "fp32")}
    assert "precision_drift" not in records["fp32"]

    model = load().eval()
    texts = dict.fromkeys(tuple(expert.input_ids) for expert in encode_experts(tokenizer, experts))
    differences = []
    for text in list(texts)[:4]:
        ids = torch.tensor([text])
        with torch.no_grad():
            exact = model(ids).logits[0, :-1].log_softmax(-1)
            with torch.autocast("cpu", torch.bfloat16):
                rounded = model(ids).logits[0, :-1].float().log_softmax(-1)
        differences.append((rounded - exact).gather(1, ids[0, 1:, None]).abs())
    differences = torch.cat(differences)
    drift = records["bf16"]["precision_drift"]
    assert 1e-4 < drift["mean"] < 0.05
    assert drift["mean"] == pytest.approx(differences.mean().item(), rel=1e-3)
    assert drift["maximum"] == pytest.approx(differences.max().item(), rel=1e-3)


@pytest.mark.parametrize(("scale", "borne"), [(1.6, True), (8, False)])
def test_rounded_weights_are_no_fault_of_computing_in_bf16(tokenizer, scale, borne):
    """Every weight lies just below the middle between two bf16 values, so that all are rounded down."""
    model = load_weights(WORLD, torch.float32)
    model.lm_head.weight.data *= scale
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.weight.data = layer.weight.data.bfloat16().float() * (1 + 0.99 * 2**-9)
    generator = torch.Generator().manual_seed(0)
    texts = torch.randint(5, model.config.vocab_size, (4, 40), generator=generator).tolist()
    if borne:
        assert 0.055 < precision_drift(model, tokenizer, texts)["mean"] < 0.075
        return
    with pytest.raises(ParityError, match=r"expected at most 0.05 .* Train this model with scale.precision: fp32"):
        precision_drift(model, tokenizer, texts)
