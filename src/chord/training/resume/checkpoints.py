"""Checkpoints that are complete or do not count, whose they are, and the one that SIGTERM asks for."""

import logging
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from transformers import TrainerCallback

from chord.errors import UserError
from chord.io.continuation import clear_unless_identical
from chord.io.files import read_json, write_json
from chord.io.provenance import folder_sha256

log = logging.getLogger(__name__)
COMPLETE = "complete"  # written last: hashes of the checkpoint's files and of the best weights that it counts on


class MarkComplete(TrainerCallback):
    """The trainer writes a checkpoint file by file; the marker says that all of them, of all ranks, are on disk."""

    def __init__(self, check: Callable[[], None]):
        """check: raises when the folder is not this process's any more."""
        self.check = check

    def on_save(self, args, state, control, **_):
        PartialState().wait_for_everyone()
        if not state.is_world_process_zero:
            return
        self.check()
        folder = Path(args.output_dir)
        checkpoint = folder / f"checkpoint-{state.global_step}"
        for file in checkpoint.rglob("*"):
            if file.is_file():
                _sync(file)
        best = max(folder.glob("best-*"), key=step_of, default=None)
        parts = [checkpoint, best] if best else [checkpoint]
        write_json(checkpoint / COMPLETE, {part.name: _hashes(part) for part in parts})
        # Best weights go when no checkpoint counts on them; the one before this may be needed if this gets damaged.
        named = {name for marker in folder.glob(f"checkpoint-*/{COMPLETE}") for name in read_json(marker)}
        for other in folder.glob("best-*"):
            if other.name not in named:
                shutil.rmtree(other)


class StopAfterStep(TrainerCallback):
    """Saves and stops at the end of the step in which any rank got SIGTERM; `stopped` says that it did.

    Schedulers send the signal some time before they kill.
    """

    def __init__(self):
        self.asked = False
        self.stopped = False

    def on_train_begin(self, *_, **__):
        signal.signal(signal.SIGTERM, self._ask)

    def on_step_end(self, args, state, control, **_):
        # The signal need not reach all ranks in the same step, and a rank that stops alone leaves the others waiting.
        asked = reduce(torch.tensor(float(self.asked), device=args.device), reduction="sum").item() > 0
        if asked and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = self.stopped = True

    def on_train_end(self, *_, **__):
        # What is left is to write the result and to end. A process that dies of the signal on the way out has failed,
        # and Snakemake deletes the results of a failed job.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def _ask(self, *_):
        self.asked = True


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _hashes(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in folder_sha256(folder).items() if name != COMPLETE}


def step_of(folder: Path) -> int:
    """Step in the name of a folder such as checkpoint-50."""
    return int(folder.name.rsplit("-", 1)[1])


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint, if there is one."""
    complete = (path for path in folder.glob("checkpoint-*") if (path / COMPLETE).exists())
    return max(complete, key=step_of, default=None)


def clear_checkpoints(folder: Path, identity: dict) -> None:
    """Make the newest checkpoint in `folder` a complete one of the run with this identity.

    identity: what decides the run's numbers (spec, inputs, code). Checkpoints of another identity are deleted, and so
    are newer ones that a kill left incomplete or that were damaged since, and best weights from later steps.
    """
    clear_unless_identical(folder, identity)
    reached = 0
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=step_of, reverse=True):
        if (checkpoint / COMPLETE).exists():
            if not (damaged := _damaged(checkpoint)):
                reached = step_of(checkpoint)
                break
            log.warning("%s: damaged since it was written; starts from an earlier step", damaged)
        shutil.rmtree(checkpoint)
    for best in folder.glob("best-*"):
        if step_of(best) > reached:
            shutil.rmtree(best)


def remove_incomplete(folder: Path) -> None:
    """Delete what a failed save left: on a full disk there is then room to say so."""
    for checkpoint in folder.glob("checkpoint-*"):
        if not (checkpoint / COMPLETE).exists():
            shutil.rmtree(checkpoint)


def _damaged(checkpoint: Path) -> Path | None:
    """A file that is not what the marker says, the marker itself included; None if all are."""
    try:
        marker = read_json(checkpoint / COMPLETE)
        for part, hashes in marker.items():
            folder = checkpoint.with_name(part)
            digests = _hashes(folder) if folder.is_dir() else {}
            for name in hashes | digests:
                if digests.get(name) != hashes.get(name):
                    return folder / name
    except (UserError, AttributeError):  # no JSON, no object, or a folder without files
        return checkpoint / COMPLETE
    return None
