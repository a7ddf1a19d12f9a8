"""Checkpoints: which are complete, which belong to this run, and the one that SIGTERM requests."""

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
COMPLETE = "complete"  # written last: hashes of the checkpoint's files and of the best weights on which it depends


class MarkComplete(TrainerCallback):
    """Marks a checkpoint when all its files, of all ranks, are on disk: the trainer writes them one by one."""

    def __init__(self, check: Callable[[], None]):
        """check: raises if the folder no longer belongs to this process."""
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
        # Delete best weights on which no checkpoint depends. The previous one is needed if this one gets damaged.
        needed = {name for marker in folder.glob(f"checkpoint-*/{COMPLETE}") for name in read_json(marker)}
        for other in folder.glob("best-*"):
            if other.name not in needed:
                shutil.rmtree(other)


class StopAfterStep(TrainerCallback):
    """Saves and stops at the end of the step in which any rank got SIGTERM; then `stopped` is True.

    Schedulers send the signal some time before they kill.
    """

    def __init__(self):
        self.requested = False
        self.stopped = False

    def on_train_begin(self, *_, **__):
        signal.signal(signal.SIGTERM, self._request)

    def on_step_end(self, args, state, control, **_):
        # The signal need not reach all ranks in the same step, and a rank that stops alone leaves the others waiting.
        requests = reduce(torch.tensor(float(self.requested), device=args.device), reduction="sum").item()
        if requests and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = self.stopped = True

    def on_train_end(self, *_, **__):
        # Only the result is left to be written. If the signal ended the process now, the job would have failed, and
        # Snakemake would delete its results.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def _request(self, *_):
        self.requested = True


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _hashes(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in folder_sha256(folder).items() if name != COMPLETE}


def step_of(folder: Path) -> int:
    """Step in the name of a folder such as checkpoint-50."""
    return int(folder.name.rsplit("-", 1)[1])


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint; None if there is none."""
    complete = (path for path in folder.glob("checkpoint-*") if (path / COMPLETE).exists())
    return max(complete, key=step_of, default=None)


def clear_checkpoints(folder: Path, identity: dict) -> None:
    """Delete what the run with this identity cannot resume from, so that the newest checkpoint in `folder` is complete.

    identity: what decides the run's numbers (spec, inputs, code). It deletes checkpoints of another identity, newer
    ones that a kill left incomplete or that were damaged since, and best weights from later steps.
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
    """Delete what a failed save has left, so that a full disk has room to report it."""
    for checkpoint in folder.glob("checkpoint-*"):
        if not (checkpoint / COMPLETE).exists():
            shutil.rmtree(checkpoint)


def _damaged(checkpoint: Path) -> Path | None:
    """A file that differs from what the marker says, or the marker itself; None if all files are right."""
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
