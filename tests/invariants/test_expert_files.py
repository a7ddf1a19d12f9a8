"""SFT on the expert trajectories of the SFT prompts and of the RL prompts is SFT on one file with the rows of both."""

import json
from pathlib import Path

import pytest
import torch

from chord.errors import UserError
from chord.io.files import write_jsonl
from chord.training.run import run
from tests.helpers.small_training import VALIDATION, sft_stage
from tests.helpers.training_runs import curves


@pytest.mark.slow
def test_traces_follow_the_expert_rows(start, prompts, experts, tmp_path):
    torch.set_num_threads(1)
    rows = {"all": experts, "experts": experts[:10], "traces": experts[10:], "validation": prompts[:6]}
    files = {name: tmp_path / f"{name}.jsonl" for name in rows}
    for name, path in files.items():
        write_jsonl(path, rows[name])

    def train(out: Path, also_traces: bool, **given: Path) -> None:
        stage = sft_stage(epochs=1, also_traces=also_traces).model_dump(mode="json")
        spec = {"study_seed": 3, "seed_index": 1, "validation": VALIDATION, "save_every": 9, "stage": stage}
        run(spec, Path(start), files["validation"], out, **given)

    one, two = tmp_path / "one", tmp_path / "two"
    train(one, False, experts=files["all"])
    train(two, True, experts=files["experts"], traces=files["traces"])
    weights = [(folder / "model/model.safetensors").read_bytes() for folder in (one, two)]
    assert weights[0] == weights[1]
    assert curves(one) == curves(two)
    assert json.loads((two / "manifest.json").read_text())["result"]["expert_set"] == len(experts)
    with pytest.raises(UserError, match="--traces: missing"):
        train(tmp_path / "three", True, experts=files["experts"])
