"""A checkout whose smoke study runs on the private SLURM cluster, and how Snakemake is called for it."""

import subprocess
from pathlib import Path

import yaml

from tests.helpers.workflow import copy_checkout

RESULTS = Path("results/smoke")
STEPS = 30  # of CHORD-phi: long enough to be interrupted
PARTITIONS = {
    "cpu": {"max_runtime": 600, "max_threads": 2, "max_mem_mb": 16000},
    "gpu": {"max_runtime": 600, "max_threads": 2, "max_mem_mb": 16000, "max_gpu": 1},
}
QUICK = ["--jobs", "20", "--cores", "2", "--latency-wait", "20"]
QUICK += ["--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3"]
QUICK += ["--slurm-status-command", "squeue"]  # there is no accounting
# Runs that are killed and preempted one by one have an entry each, as long ones have.
ALONE = ["--group-components", "data=100", "evaluation=10", "analysis=100"]


def site(tmp_path_factory) -> Path:
    """A checkout in which the smoke study asks for GPUs and the profile knows the cluster's partitions."""
    folder = copy_checkout(tmp_path_factory.mktemp("repository") / "checkout")
    for old in ("train: {mem_mb: 3000, minutes: 10", "generate: {mem_mb: 3000, minutes: 5"):
        edit(folder / "config/studies/smoke.yaml", f"{old}}}", f"{old}, gpus: 1}}")
    edit(folder / "config/studies/smoke.yaml", "chord_phi: {}", f"chord_phi: {{stage: {{steps: {STEPS}}}}}")
    (folder / "profiles/slurm/partitions.yaml").write_text(yaml.safe_dump({"partitions": PARTITIONS}))
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new), encoding="utf-8")


def git(folder: Path, *command: str) -> str:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    return subprocess.run(
        ["git", *who, *command], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def newest(run: Path) -> int:
    """Step of the newest complete checkpoint of a run; 0 without one."""
    return max(
        [int(path.parent.name.split("-")[1]) for path in run.glob("checkpoints/checkpoint-*/complete")], default=0
    )
