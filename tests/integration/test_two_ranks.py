"""A study whose training jobs have two ranks, through Snakemake: nothing else about it changes."""

import json

import pytest
import yaml

from tests.helpers.workflow import ROOT, snakemake

pytestmark = pytest.mark.slow


def test_a_study_trains_on_two_ranks(tmp_path):
    study = {
        "base": "smoke",
        "title": "Smoke test on two ranks",
        "training": {
            "scale": {"ranks": 2, "sharding": "fsdp2", "cpu_offload": True},
            "hybrid": {"steps": 1, "validate_every": 1},
        },
        "resources": {"train": {"threads": 2}},
    }
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    folder = tmp_path / "results/two/runs/rl/seed-0"
    snakemake(
        ROOT, "--cores", "2", "--directory", str(tmp_path), "--config", f"study={path}", "--",
        str((folder / "manifest.json").relative_to(tmp_path)),
    )  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["ranks"] == 2
    assert manifest["spec"]["scale"]["sharding"] == "fsdp2"
    assert "model/model.safetensors" in manifest["files"]
    assert manifest["result"]["rollouts"] == 16  # of both ranks together
