"""The optimizer that the specification asks for is the one that runs."""

import pytest
import torch

from chord.training.build import build_trainer
from chord.training.sequences import encode_experts
from chord.training.train_spec import TrainSpec
from tests.helpers.small_training import VALIDATION, hybrid_stage, logged, sft_stage

OPTIMIZER = {"lr": 3e-3, "warmup_steps": 2, "betas": [0.8, 0.95], "weight_decay": 0.03, "max_grad_norm": 0.01}
STAGES = {
    "hybrid": hybrid_stage(steps=4, optimizer=OPTIMIZER),
    "sft": sft_stage(optimizer=OPTIMIZER, expert_rows_per_step=6),  # 24 rows: 4 steps
}


@pytest.fixture(params=STAGES)
def trainer(request, load, tokenizer, prompts, experts, tmp_path):
    spec = TrainSpec(study_seed=1, seed_index=0, stage=STAGES[request.param], validation=VALIDATION, save_every=100)
    built = build_trainer(spec, load(), tokenizer, prompts, encode_experts(tokenizer, experts), tmp_path)
    built.train()
    return built


def test_optimizer_and_rate_are_those_of_the_spec(trainer):
    optimizer = trainer.optimizer.optimizer  # accelerate wraps it
    assert isinstance(optimizer, torch.optim.AdamW)
    by_decay = {group["weight_decay"]: group for group in optimizer.param_groups}
    assert sorted(by_decay) == [0.0, 0.03]
    for group in optimizer.param_groups:
        assert group["betas"] == (0.8, 0.95)
        assert group["eps"] == 1e-8
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    for parameter in by_decay[0.0]["params"]:  # no decay of biases and norms
        assert parameter.ndim == 1, names[id(parameter)]
    assert logged(trainer, "learning_rate") == pytest.approx([0.0, 1.5e-3, 3e-3, 3e-3])
    # every parameter is updated: the groups hold all of them
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(names)


def test_gradients_are_clipped_at_the_norm_of_the_spec(trainer):
    """The logged norm is before clipping; Adam's first moment tells what went in after it."""
    assert min(logged(trainer, "grad_norm")) > 0.01
    moments = [state["exp_avg"] for state in trainer.optimizer.optimizer.state.values()]
    # exp_avg is a mean of clipped gradients, so its norm is at most the clip
    assert 0 < torch.cat([moment.flatten() for moment in moments]).norm() <= 0.01 * 1.001
