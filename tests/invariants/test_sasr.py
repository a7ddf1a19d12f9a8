"""The switch between SFT and GRPO that looks at gradient norms: what it saw, and that a resumed run saw the same."""

from random import Random

import torch
from transformers import AutoModelForCausalLM

from chord.io.seeds import derive_seed
from chord.training.hybrid_trainer import HybridTrainer
from chord.training.sequences import encode_experts
from tests.helpers.small_training import COMMON, SEED_PARTS, hybrid_stage, logged, weights

STAGE = hybrid_stage(
    steps=8, schedule={"name": "sasr", "warmup": 2, "gamma": 1.0}, optimizer={"lr": 0.1}, token_weight={"name": "one"}
)


def test_each_step_is_sft_or_grpo_by_the_norms_before_it(trained):
    trainer = trained(STAGE)
    mu, norms = logged(trainer, "mu"), logged(trainer, "grad_norm")
    assert mu[:2] == [1.0, 1.0]
    assert set(mu[2:]) == {0.0, 1.0}, "both kinds must occur"
    for step in range(3, 9):
        last = [norm for norm, was in zip(norms[: step - 1], mu, strict=False) if was == 1.0][-1]
        chance = last / (last + norms[1])
        draw = Random(derive_seed(*SEED_PARTS, "schedule", step)).random()
        assert mu[step - 1] == float(draw < chance)
    assert len(logged(trainer, "rollouts")) == mu.count(0.0)  # no rollouts where a step is SFT
    assert len(logged(trainer, "expert_rows")) == mu.count(1.0)


def test_a_resumed_run_continues_as_a_straight_one(trained, load, tokenizer, prompts, experts, engine_for, tmp_path):
    """Resumed after step 5, where the norms of the warm-up and of a later SFT step decide."""

    def train(steps: int, resume: str | None = None) -> HybridTrainer:
        model = load() if resume is None else AutoModelForCausalLM.from_pretrained(resume, dtype=torch.float32)
        common = COMMON | {"save_strategy": "steps", "save_steps": 5, "output_dir": str(tmp_path)}
        args = HybridTrainer.config(STAGE, 1, **common)
        args.max_steps = steps
        rows = encode_experts(tokenizer, experts)
        trainer = HybridTrainer(model, tokenizer, args, STAGE, engine_for(model), prompts, rows, SEED_PARTS)
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    train(5)
    resumed, straight = train(8, str(tmp_path / "checkpoint-5")), trained(STAGE)
    assert 1.0 in logged(straight, "mu")[2:5]
    assert torch.equal(weights(resumed), weights(straight))
    assert logged(resumed, "mu") == logged(straight, "mu")
    assert logged(resumed, "grad_norm") == logged(straight, "grad_norm")
