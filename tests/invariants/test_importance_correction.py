"""Training on rollouts that an engine drew from another distribution, with the correction for it."""

import hashlib
import json
import math
from unittest.mock import Mock

import pytest
import torch

from chord import tasks
from chord.io.files import write_jsonl
from chord.io.models import load_weights
from chord.rollouts import vllm
from chord.training.curve_columns import CORRECTION_COLUMNS
from chord.training.scale.sync import Replica
from tests.helpers.hot_engine import HotEngine
from tests.helpers.small_training import GATE, NEVER, PREFIX, VALIDATION, hybrid_stage, logged, weights
from tests.helpers.stock_grpo import StockGrpo
from tests.helpers.training_runs import curves, train_here

MODES = ("token_truncate", "token_mask", "sequence_truncate", "sequence_mask")


def correction(mode: str) -> dict:
    limits = {"token": {"clip_max": 1.5, "clip_min": 0.8}, "sequence": {"clip_max": 3.0, "clip_min": 0.2}}
    return {"importance_correction": {"mode": mode, **limits[mode.split("_")[0]]}}


@pytest.fixture(autouse=True)
def _rewards_that_differ(monkeypatch):
    """No group has equal rewards, so that all rollouts are trained on."""

    def grade(row: dict, text: str, truncated: bool) -> tasks.Verdict:
        value = hashlib.sha256((row["id"] + text).encode()).digest()[0] / 255
        return tasks.Verdict(value, value > 0.5, True, "graded")

    monkeypatch.setitem(tasks.TASKS, "coin", tasks.Task("coin", grade))


@pytest.fixture
def engine_for(tokenizer):
    """In place of the engine that draws what the model in training says."""
    return lambda model, rows=16: HotEngine(model, tokenizer.pad_token_id, [tokenizer.eos_token_id], rows)


@pytest.mark.filterwarnings("ignore:You are using .rollout_func.")
@pytest.mark.parametrize("mode", MODES)
def test_mu_0_with_a_correction_is_trl_grpo_with_it(mode, train_hybrid, load, tokenizer, prompts, engine_for, tmp_path):
    stage = hybrid_stage(schedule=NEVER, **correction(mode))
    ours = train_hybrid(stage)
    model = load()
    stock = StockGrpo(model, tokenizer, stage, engine_for(model), prompts, str(tmp_path / "stock")).trainer
    # Its correction, which it has for rollouts by vLLM only.
    stock.use_vllm, stock.vllm_importance_sampling_mode = True, mode
    stock.vllm_importance_sampling_clip_max = stage.importance_correction.clip_max
    stock.vllm_importance_sampling_clip_min = stage.importance_correction.clip_min
    stock.vllm_generation, stock._last_loaded_step = Mock(), -1
    stock.train()
    assert logged(ours, "loss")[:3] == pytest.approx(logged(stock, "loss")[:3], abs=1e-5)
    assert logged(ours, "grad_norm") == pytest.approx(logged(stock, "grad_norm"), rel=1e-3)
    torch.testing.assert_close(weights(ours), weights(stock), rtol=0, atol=1e-5)
    assert logged(ours, "rollout_drift") == pytest.approx(
        logged(stock, "sampling/sampling_logp_difference/mean"), rel=1e-4
    )
    if mode.startswith("token"):  # in the other modes TRL's mean is over responses
        assert logged(ours, "importance_weight_mean") == pytest.approx(
            logged(stock, "sampling/importance_sampling_ratio/mean"), rel=1e-4
        )
    assert all(0.0 < share < 1.0 for share in logged(ours, "importance_clipped"))


@pytest.mark.parametrize("mode", ["token_mask", "sequence_truncate"])
def test_micro_batches_change_nothing(mode, train_hybrid):
    whole, split = (train_hybrid(hybrid_stage(micro_batch_tokens=n, **correction(mode))) for n in (10_000, 1))
    torch.testing.assert_close(weights(split), weights(whole), rtol=0, atol=1e-5)
    for key in ("rl_loss", "expert_loss", *CORRECTION_COLUMNS):
        assert logged(split, key) == pytest.approx(logged(whole, key), abs=1e-5)


def test_columns_are_means_over_tokens(train_hybrid, load, engine_for):
    trainer = train_hybrid(hybrid_stage(steps=1, **correction("sequence_mask")))
    scorer, total, beyond, tokens = engine_for(load()), 0.0, 0, 0
    for prompt, sample in trainer.engine.drawn:
        n = len(sample.token_ids)
        (logps,) = scorer.score([prompt + sample.token_ids])
        ratio = torch.tensor(logps[-n:]).sub(torch.tensor(sample.logps)).sum().exp().item()
        kept = 0.2 <= ratio <= 3.0
        total, beyond, tokens = total + n * ratio * kept, beyond + n * (not kept), tokens + n
    assert logged(trainer, "importance_weight_mean") == pytest.approx([total / tokens], rel=1e-4)
    assert logged(trainer, "importance_clipped") == pytest.approx([beyond / tokens])
    assert 0 < beyond < tokens


def test_expert_tokens_are_not_weighed(train_hybrid):
    """In the first step, before which nothing was updated."""
    corrected, plain = (train_hybrid(hybrid_stage(steps=1, **more)) for more in (correction("token_truncate"), {}))
    for key in ("expert_loss", "expert_nll", "token_weight_mean", "reward_mean"):
        assert logged(corrected, key) == logged(plain, key)
    assert abs(logged(corrected, "rl_loss")[0] - logged(plain, "rl_loss")[0]) > 1e-3
    assert not any(logged(plain, column) for column in CORRECTION_COLUMNS)


@pytest.mark.parametrize("more", [{}, GATE, PREFIX], ids=["separate", "gate", "prefix"])
def test_an_engine_that_is_right_is_not_corrected(more, train_hybrid, traces, monkeypatch):
    """Also where a router drops rollouts, and where they continue a trace."""
    monkeypatch.setattr(HotEngine, "temperature", 1.0)
    rows = {"experts": traces[::-1]} if more else {}
    corrected, plain = (
        train_hybrid(hybrid_stage(**more, **changes), **rows) for changes in (correction("sequence_mask"), {})
    )
    torch.testing.assert_close(weights(corrected), weights(plain), rtol=0, atol=1e-5)
    assert logged(corrected, "importance_weight_mean") == pytest.approx([1.0] * 3, abs=1e-4)
    assert logged(corrected, "importance_clipped") == [0.0] * 3


class StandIn(HotEngine, Replica):
    """For vLLM in the process, with its arguments."""

    def __init__(self, folder, eos_token_ids, dtype, settings, in_training):
        super().__init__(load_weights(folder, torch.float32), eos_token_ids[0], eos_token_ids, 16)


def test_a_run_with_rollouts_by_vllm_writes_the_columns(start, prompts, experts, tmp_path, monkeypatch):
    monkeypatch.setattr(vllm, "VllmEngine", StandIn)
    for name, rows in {"prompts": prompts, "experts": experts, "validation": prompts[:2]}.items():
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    files = [str(tmp_path / f"{name}.jsonl") for name in ("prompts", "experts", "validation")]
    parts = {"validation": VALIDATION, "save_every": 9, "scale": {"rollouts": {"kind": "vllm", "kv_cache_gib": 1}}}
    for name, more in {"corrected": correction("token_mask"), "plain": {}}.items():
        stage = hybrid_stage(steps=1, **more).model_dump(mode="json")
        spec = {"study_seed": 3, "seed_index": 0, "stage": stage, **parts}
        train_here([json.dumps(spec), str(start), *files], tmp_path / name)
    corrected, plain = (curves(tmp_path / name) for name in ("corrected", "plain"))
    assert [set(row) - set(plain[0]) for row in corrected] == [set(CORRECTION_COLUMNS)] * 2
    first, second = ([float(row[name] or "nan") for name in CORRECTION_COLUMNS] for row in corrected)
    assert all(map(math.isnan, first))  # before any step
    assert all(0.0 < value < 1.0 for value in second)
