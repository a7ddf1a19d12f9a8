"""The training command in this process, in a fork or as several ranks, and how a test ends it."""

import csv
import json
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chord.training.curve_columns import CLOCK
from chord.training.resume.checkpoints import MarkComplete
from chord.training.run import run
from tests.helpers import run_worker

# Its server imports torch and TRL once; each run is a fork of it, which saves the seconds of the imports.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["tests.helpers.run_worker", "tests.helpers.ranks_worker", "tests.helpers.gradient_ranks_worker"]
)


class ForkedRun:
    """The part of `subprocess.Popen` that the tests use, for a run that is a fork."""

    def __init__(self, function: Callable, arguments: list, errors: Path, environment: dict[str, str] | None = None):
        self.errors = errors
        call = (errors, environment or {}, function, arguments)
        self.process = FORKS.Process(target=run_worker.quietly, args=call)
        self.process.start()

    def poll(self) -> int | None:
        return self.process.exitcode

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.process.join(timeout)
        return "", self.errors.read_text() if self.errors.exists() else ""


def start_run(job: list[str], out: Path, rows: str = "experts") -> ForkedRun:
    """Start a run as a fork, with the environment and the installed packages of the first one."""
    return ForkedRun(run_worker.train, [*job, str(out), rows], out.with_name(f"{out.name}.errors"))


def start_ranks(ranks: int, function: Callable, arguments: list, folder: Path) -> list[ForkedRun]:
    """Start the function as several ranks, in the environment that a launcher such as torchrun gives them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    size = {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
    return [
        ForkedRun(
            function,
            arguments,
            folder / f"rank-{rank}.errors",
            rendezvous | size | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(ranks)
    ]


def finish(process: ForkedRun) -> str:
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
