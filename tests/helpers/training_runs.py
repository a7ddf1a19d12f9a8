"""The training command in this process or in one of its own, and how a test ends it."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from chord.training.resume.checkpoints import MarkComplete
from chord.training.run import run
from chord.training.step_log import CLOCK


def start_run(job: list[str], out: Path, ranks: int = 1, rows: str = "experts") -> subprocess.Popen:
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "-m"] if ranks > 1 else []
    return subprocess.Popen(
        [sys.executable, "-m", *torchrun, "tests.helpers.run_worker", *job, str(out), rows],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    """What it said on standard error."""
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return errors


def curves(out: Path) -> list[dict]:
    with open(out / "curves.csv", newline="") as file:
        return [{key: value for key, value in row.items() if key not in CLOCK} for row in csv.DictReader(file)]


class Cut(Exception):
    """Ends a run in this process behind a checkpoint."""


def train_here(job: list[str], out: Path) -> None:
    torch.set_num_threads(1)
    spec, start, prompts, experts, validation = job
    run(json.loads(spec), Path(start), Path(validation), out, Path(prompts), Path(experts))


def cut_behind(patch: pytest.MonkeyPatch, step: int) -> None:
    save = MarkComplete.on_save

    def on_save(self, args, state, control, **rest):
        save(self, args, state, control, **rest)
        if state.global_step == step:
            raise Cut

    patch.setattr(MarkComplete, "on_save", on_save)
