"""The content of a local dataset or model as one hash, by which Snakemake notices edits and only edits.

Snakemake itself compares times, and for a folder only the folder's own: it misses a row that was added to a file
inside, and takes a checkout or a copy of the same bytes for new. Each file is hashed once. The manifest of a folder
keeps the hash by size, times and inode, so that later calls, and jobs that parse the Snakefile again, only read these.
"""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from chord.errors import UserError
from chord.io.files import read_json, write_json
from chord.io.locks import in_turn
from chord.io.provenance import file_sha256, json_hash

LONG_BYTES = 200_000_000  # hashing more takes so long that we say so
TICK_NS = 1_000_000_000  # two writes within one tick may leave the same time on coarse file systems
# The parts of a model folder that we read: configuration, tokenizer, chat templates, weights.
MODEL_SUFFIXES = (".safetensors", ".json", ".jinja", ".model", ".txt", ".tiktoken")
WEIGHTS = (".safetensors", ".safetensors.index.json")
RECORD = "manifest.json"  # beside the weights of our own base models, says how they were made


def model_files(folder: Path, weights: bool = True) -> list[Path]:
    """The files that make a model, or without `weights` its tokenizer; [] if there is no such folder."""
    paths = [*folder.glob("*"), *folder.glob("additional_chat_templates/*")]
    return [
        path
        for path in sorted(paths)
        if path.is_file()
        and path.suffix in MODEL_SUFFIXES
        and not path.name.startswith(".")
        and path.name != RECORD
        and (weights or not path.name.endswith(WEIGHTS))
    ]


def content(folder: Path, files: Iterable[Path], manifests: Path, say: Callable[[str], None]) -> str:
    """First 16 hex digits of a hash over names and bytes of the files below `folder`.

    manifests: the folder of manifests. say: gets a message if hashing takes long. UserError for a file that cannot be
    read or is being written.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in files}
    place = Path(os.path.realpath(folder))
    manifest = manifests / f"{place.name}-{json_hash(str(place))[:8]}.json"
    digests = _known(manifest, paths)
    if digests.keys() != paths.keys():
        with in_turn(manifest.with_suffix(".lock")):
            digests = _known(manifest, paths)  # another process may have hashed them while it had the lock
            new = {name: path for name, path in paths.items() if name not in digests}
            entries = read_json(manifest)["files"] if manifest.is_file() else {}
            entries = {name: entry for name, entry in entries.items() if name in digests or name not in paths}
            entries |= _hash(folder, new, say)
            current = {name: entry for name, entry in sorted(entries.items()) if (folder / name).is_file()}
            write_json(manifest, {"folder": str(place), "files": current})
            digests |= {name: current[name]["sha256"] for name in new}
    return json_hash(digests)


def _known(manifest: Path, paths: dict[str, Path]) -> dict[str, str]:
    """SHA-256 of the files that have not changed since they were entered into the manifest."""
    entries = read_json(manifest)["files"] if manifest.is_file() else {}
    return {
        name: entries[name]["sha256"]
        for name, path in paths.items()
        if name in entries and entries[name]["state"] == _state(path)
    }


def _hash(folder: Path, paths: dict[str, Path], say: Callable[[str], None]) -> dict[str, dict]:
    """New entries of the manifest."""
    size = sum(path.stat().st_size for path in paths.values())
    if size >= LONG_BYTES:
        say(f"{folder}: hashing {size / 1e9:,.1f} GB, once, to notice when its content changes")
    entries = {}
    for name, path in paths.items():
        try:
            state = _settled(path)
            digest = file_sha256(path)
            if _state(path) != state:
                raise UserError(f"{path}: changed while it was read; give the command again when it is written")
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}; expected a file that can be read") from None
        entries[name] = {"state": state, "sha256": digest}
    return entries


def _state(path: Path) -> list[int]:
    """Values that change when the file does, among them the time of the inode, which no program can set."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _settled(path: Path) -> list[int]:
    """The state of the file when it is old enough that another write would change it."""
    age = time.time_ns() - path.stat().st_ctime_ns
    if 0 <= age < TICK_NS:
        time.sleep((TICK_NS - age) / 1e9)
    return _state(path)
