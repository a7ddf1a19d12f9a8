"""A training on two nodes, of which one is lost, and which then goes on with only one, ends like one process."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from chord.io.files import read_json
from tests.slurm.cluster import Cluster, wait_for
from tests.slurm.site import ALONE, QUICK, newest, site

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
STEPS = 8
STUDY = {
    "base": "smoke",
    "title": "Smoke test on two nodes",
    "save_every": 1,
    "training": {
        "scale": {"ranks": 4, "nodes": 2, "sharding": "hsdp"},
        "hybrid": {"validate_every": 4},
    },
    "methods": {"chord_phi": {"stage": {"steps": STEPS}}},
    "resources": {"train": {"threads": 2, "gpus": 1}},
}
RUN = Path("results/nodes/runs/chord_phi/seed-0")


def write_study(folder: Path, scale: dict) -> None:
    study = STUDY | {"training": STUDY["training"] | {"scale": scale}}
    (folder / "config/studies/nodes.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = site(tmp_path_factory)
    write_study(folder, STUDY["training"]["scale"])
    return folder


def test_a_run_loses_a_node_comes_back_and_ends_on_one_node(cluster: Cluster, folder: Path, tmp_path: Path):
    before = len(cluster.queue())
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", *QUICK, *ALONE]
    command += ["--config", "study=nodes", "--", str(RUN / "manifest.json")]
    # The nodes have names only.
    environment = cluster.environment | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}

    def attempts():
        return [job for job in cluster.queue()[before:] if job.comment.startswith("rule_train")]

    with open(folder / "output", "w+") as said:
        snakemake = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        try:
            wait_for(lambda: newest(folder / RUN) >= 2, snakemake)
            (first,) = attempts()
            asked = cluster.details(first)
            assert (asked["NumNodes"], asked["NumTasks"], asked["CPUs/Task"]) == ("2", "2", "2")
            assert asked["TresPerNode"] == "gres:gpu:1"
            cluster.lose("node2")
            lost, reached = time.monotonic(), newest(folder / RUN)
            log = folder / "results/nodes/logs/train/chord_phi-seed-0.log"
            wait_for(lambda: "chord: error: " in log.read_text(errors="replace"), snakemake, seconds=60)
            print(f"the first node ended {time.monotonic() - lost:.0f} s after the second one was lost")
            cluster("scontrol", "update", "NodeName=node2", "State=DOWN", "Reason=lost")  # SLURM says so after minutes
            wait_for(lambda: attempts()[0].state not in ("RUNNING", "COMPLETING"), snakemake, seconds=120)
            print(f"the job was {attempts()[0].state} after {time.monotonic() - lost:.0f} s")
            cluster.restore("node2")
            wait_for(lambda: newest(folder / RUN) >= reached + 1, snakemake)
            snakemake.kill()
            snakemake.wait()
            cluster("scancel", *[job.id for job in attempts()])
            wait_for_end(cluster, attempts)
            reached = newest(folder / RUN)
            assert reached < STEPS

            write_study(folder, {})
            snakemake = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
            assert snakemake.wait(1800) == 0
        except BaseException:
            said.seek(0)
            print(said.read()[-6000:])
            raise
        finally:
            snakemake.kill()

    manifest = read_json(folder / RUN / "manifest.json")
    assert manifest["resumed_after_step"] >= reached
    assert [item["layout"]["nodes"] for item in manifest["layouts"]] == [2, 1]

    alone = tmp_path / "alone"
    data = folder / "results/nodes/data"
    rows = {"prompts": "rl.jsonl", "experts": "experts.jsonl", "validation": "validation.jsonl"}
    options = [text for name, file in rows.items() for text in (f"--{name}", str(data / file))]
    start = ["--start", str(folder / "models/world-base"), "--out", str(alone)]
    train = [sys.executable, "-m", "chord", "train", "--spec", json.dumps(manifest["spec"]), *start, *options]
    subprocess.run(train, cwd=folder, env=environment, check=True, capture_output=True)
    one, other = (load_file(out / "model/model.safetensors") for out in (alone, folder / RUN))
    for name in one:
        torch.testing.assert_close(other[name], one[name], rtol=0, atol=1e-5)


def wait_for_end(cluster: Cluster, attempts) -> None:
    deadline = time.monotonic() + 120
    while any(job.state in ("RUNNING", "COMPLETING", "PENDING") for job in attempts()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
