"""Checkpoints that are complete or do not count, whose they are, and the lock that keeps a second process out."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import PartialState
from transformers import TrainerCallback

from chord.errors import UserError
from chord.files import read_json, write_json

COMPLETE = "complete"  # marker file, written last
IDENTITY = "identity.json"


class MarkComplete(TrainerCallback):
    """The trainer writes a checkpoint file by file; the marker says that all of them, of all ranks, are on disk."""

    def on_save(self, args, state, control, **_):
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            for file in folder.rglob("*"):
                if file.is_file():
                    _sync(file)
            (folder / COMPLETE).touch()
            _sync(folder / COMPLETE)


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def step_of(folder: Path) -> int:
    """Step in the name of a folder such as checkpoint-50."""
    return int(folder.name.rsplit("-", 1)[1])


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint, if there is one."""
    complete = (path for path in folder.glob("checkpoint-*") if (path / COMPLETE).exists())
    return max(complete, key=step_of, default=None)


def clear_checkpoints(folder: Path, identity: dict) -> None:
    """Make `folder` hold nothing but complete checkpoints of the run with this identity.

    identity: what decides the run's numbers (spec, inputs, code). Checkpoints of another identity are deleted: to go on
    from them would give weights that no configuration describes. So are incomplete ones, left by a kill during a save.
    """
    if folder.exists() and (not (folder / IDENTITY).exists() or read_json(folder / IDENTITY) != identity):
        shutil.rmtree(folder)
    if not folder.exists():
        folder.mkdir(parents=True)
        write_json(folder / IDENTITY, identity)
    for checkpoint in folder.glob("checkpoint-*"):
        if not (checkpoint / COMPLETE).exists():
            shutil.rmtree(checkpoint)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the operating system frees it when the process dies, however it dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: another process is training into this folder") from None
        yield
