"""Two ranks (gloo, real processes) train what one rank trains, whatever they share of the model."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.helpers import ranks_worker
from tests.helpers.small_training import (
    BUFFERED,
    GATE,
    GRADIENT_NOISE,
    LUFFY,
    PLATEAU,
    PREFIX,
    SRFT,
    hybrid_stage,
    sft_stage,
)
from tests.helpers.training_runs import finish, start_ranks

STAGES = {
    "hybrid": hybrid_stage(steps=3),
    # every group of one rank may be without gradient while the other's has one
    "few groups": hybrid_stage(steps=3, prompts_per_step=2, schedule={"name": "constant", "mu": 0.0}),
    "trinity": hybrid_stage(steps=2, normalisation="trinity", micro_batch_rows=1),
    "importance correction": hybrid_stage(
        steps=2, importance_correction={"mode": "sequence_mask", "clip_max": 3.0, "clip_min": 0.2}
    ),
    "reward driven": hybrid_stage(schedule={"name": "reward_driven", "threshold": 0.8}),
    "entropy top": hybrid_stage(steps=2, token_weight={"name": "entropy_top", "share": 0.05}),
    "eaft at equal mass": hybrid_stage(
        steps=2, token_weight={"name": "equal_mass", "of": {"name": "eaft", "normalisation": "paper"}, "mean": 0.1}
    ),
    "eaft": hybrid_stage(steps=2, token_weight={"name": "eaft", "normalisation": "paper"}),
    "luffy": hybrid_stage(**LUFFY),
    # likewise, while its traces have one
    "few joined groups": hybrid_stage(steps=6, prompts_per_step=2, rollouts_per_prompt=2, **LUFFY),
    "srft": hybrid_stage(**LUFFY | SRFT),
    # a rank may keep no rollouts, or have no trace to learn
    "gate": hybrid_stage(**GATE | {"steps": 4, "prompts_per_step": 2, "rollouts_per_prompt": 2}),
    "buffered": hybrid_stage(**BUFFERED | {"steps": 5}),
    "prefix": hybrid_stage(**PREFIX | {"steps": 2, "prompts_per_step": 2}),
    "sasr": hybrid_stage(steps=4, schedule={"name": "sasr", "warmup": 1, "gamma": 1.0}),
    "gradient noise": hybrid_stage(steps=2, schedule=GRADIENT_NOISE),
    "gradient norms, joined": hybrid_stage(steps=2, **LUFFY | {"schedule": {"name": "gradient_norms"}}),
    "plateau": hybrid_stage(schedule=PLATEAU),
    "sft, partial last step": sft_stage(expert_rows_per_step=10),  # 24 rows: 10, 10, 4
}
SHARDED = ("hybrid", "few groups", "eaft at equal mass", "eaft", "gradient noise", "plateau", "sft, partial last step")


@pytest.fixture(scope="module")
def outputs(start, prompts, experts, traces, tmp_path_factory):
    """(number of ranks, sharding) -> folder with the results of all stages."""

    @cache
    def train(ranks: int, sharding: str = "none") -> Path:
        folder = tmp_path_factory.mktemp(f"ranks-{ranks}-{sharding}")
        job = {
            "sharding": sharding,
            "start": str(start),
            "prompts": prompts,
            "experts": experts,
            "traces": traces[::-1],  # in the order of the prompts
            "stages": {
                name: stage.model_dump(mode="json")
                for name, stage in STAGES.items()
                if sharding == "none" or name in SHARDED
            },
            "out": str(folder),
        }
        (folder / "job.json").write_text(json.dumps(job))
        for rank in start_ranks(ranks, ranks_worker.main, [str(folder / "job.json")], folder):
            finish(rank)
        return folder

    return train


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sharding"),
    [*((name, "none") for name in STAGES), *((name, "fsdp2") for name in SHARDED)],
)
def test_two_ranks_equal_one(name, sharding, outputs):
    folders = outputs(1), outputs(2, sharding)
    one, two = (load_file(folder / name / "model.safetensors") for folder in folders)
    for weight in one:
        torch.testing.assert_close(two[weight], one[weight], rtol=0, atol=1e-5)
    one_log, two_log = (json.loads((folder / f"{name}.json").read_text()) for folder in folders)
    for line_one, line_two in zip(one_log, two_log, strict=True):
        assert line_two == pytest.approx(line_one, abs=1e-4)
