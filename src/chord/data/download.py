"""Command `download`: fetch the files of one address, with known hashes, into a folder.

`chord.study.hub` writes a pin for each address of a study into its lock, and this command trusts only the pin. What
`run` needs of a source of files is in two modules, `hub_client` and `wheel`: `pin` and `obtain`.
"""

import logging
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from chord.data import hub_client, wheel
from chord.data.download_spec import DownloadSpec, Pin, is_wheel
from chord.errors import UserError
from chord.io.files import read_json, write_json
from chord.io.provenance import file_sha256, manifest

log = logging.getLogger(__name__)


def run(spec: dict, out: Path) -> dict:
    """Fill the folder `out` and write <folder>.manifest.json next to it; returns the manifest.

    If the folder already has exactly these files, nothing happens and the network is not used. The folder gets its
    name `out` only once every file is there and has its hash; a later attempt resumes an earlier one.
    """
    settings = DownloadSpec.model_validate(spec)
    name = f"{settings.kind} {settings.address}"
    if settings.pin is None:
        raise UserError(f"{name}: not in the lock of the study; `chord fetch STUDY`, with a network, writes it")
    record = record_of(out)
    if is_complete(settings, out):
        log.info("%s: already downloaded", name)
        return read_json(record)
    staging = staging_of(out, settings.pin.revision)
    _client(settings.address).obtain(settings, staging)
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(staging / ".cache", ignore_errors=True)  # the hub client's own records
    staging.replace(out)
    for other in out.parent.glob(f".fetch-{out.name}-*"):  # of revisions that are no longer needed
        shutil.rmtree(other)
    files = settings.pin.files
    sizes = {path: (out / path).stat().st_size for path in files}
    result = manifest(settings.specification(), {}, licence=settings.pin.licence, files=files, bytes=sizes)
    write_json(record, result)
    return result


def pin(kind: str, address: str, revision: str | None, globs: Sequence[str], out: Path) -> Pin:
    """Ask the source what the address stands for now, and download it to where `run` looks for it.

    revision: a commit of the hub in place of the current one. globs: patterns of the files.
    """
    return _client(address).pin(kind, address, revision, globs, partial(staging_of, out))


def is_complete(settings: DownloadSpec, out: Path) -> bool:
    """Whether the folder has the files with their hashes, and its manifest is for the same pin."""
    record = record_of(out)
    if not out.is_dir() or not record.is_file() or read_json(record)["spec"] != settings.specification():
        return False
    return all((out / path).is_file() and file_sha256(out / path) == sha for path, sha in settings.pin.files.items())


def record_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.manifest.json")


def staging_of(out: Path, revision: str) -> Path:
    """The folder that collects files until all are there.

    It is hidden, so that nothing takes it for data. There is one per revision, because the hub's client accepts the
    files that it finds there if the hub does not answer.
    """
    return out.with_name(f".fetch-{out.name}-{revision}")


def _client(address: str):
    return wheel if is_wheel(address) else hub_client
