"""A run's result, stored in place of its checkpoints until the workflow has recorded it.

Snakemake deletes what a job made if the job does not end well: if it is killed after its last line, if Snakemake itself
is killed, or if another job of its group fails. The next attempt then delivers the stored result and trains nothing.
"""

import logging
import os
import shutil
from pathlib import Path

from chord.errors import UserError
from chord.io.continuation import IDENTITY
from chord.io.files import atomic_folder, read_json, remove
from chord.io.provenance import file_sha256, folder_sha256

log = logging.getLogger(__name__)
FINISHED = "finished"
RESULT = ("model", "curves.csv", "manifest.json")  # the manifest last: it says that the others are there


def store(out: Path, checkpoints: Path) -> None:
    """Replace the checkpoints of the run in `out`, which is complete, by its result: hard links, which take no room."""
    with atomic_folder(checkpoints / FINISHED) as folder:
        _place(out, folder)
    for old in checkpoints.iterdir():
        if old.name not in (FINISHED, IDENTITY):
            remove(old)


def result_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a result but its manifest, which holds them."""
    hashes = {f"model/{name}": digest for name, digest in folder_sha256(folder / "model").items()}
    return hashes | {"curves.csv": file_sha256(folder / "curves.csv")}


def is_stored(checkpoints: Path, spec: dict) -> bool:
    """Whether the checkpoints' folder holds a complete result of this specification. Another one is deleted."""
    result = checkpoints / FINISHED
    if not result.exists():
        return False
    try:
        manifest = read_json(result / "manifest.json")
        complete = manifest["files"] == result_hashes(result)
    except (UserError, FileNotFoundError):  # no JSON, no weights
        complete = False
    if complete and manifest["spec"] == spec:
        return True
    log.warning("%s: %s; starts anew", result, "of another layout" if complete else "damaged since it was written")
    shutil.rmtree(result)
    return False


def deliver(checkpoints: Path, out: Path) -> None:
    """Put the stored result back into the run's folder `out`."""
    log.info("%s: was finished before; delete %s to train it again", out, checkpoints)
    for name in RESULT:
        remove(out / name)
    _place(checkpoints / FINISHED, out)


def forget_recorded(study: Path) -> None:
    """Delete the stored results of a study's runs whose workflow has ended and has recorded their results."""
    for result in study.glob(f"*/**/checkpoints/{FINISHED}"):
        if (result.parents[1] / "manifest.json").exists():
            shutil.rmtree(result.parent)


def _place(source: Path, target: Path) -> None:
    shutil.copytree(source / "model", target / "model", copy_function=_link)
    for name in RESULT[1:]:
        _link(source / name, target / name)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)
