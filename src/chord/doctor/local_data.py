"""Examines models and data: jobs use no network, so everything that the study names must exist before they run."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from chord.doctor.finding import Finding
from chord.io.files import read_json
from chord.rollouts.backends import Endpoint
from chord.study import Study, places
from chord.study.hub import download_spec, read_lock, repositories


def findings(study: Study, results: Path) -> Iterator[Finding]:
    for keys, folder in places.folders(study).items():
        key = ".".join(keys)
        if folder.is_dir():
            yield Finding("ok", "data", f"{key}: {folder}")
        else:
            yield Finding("missing", "data", f"{key}: {folder}: no such folder", "put it there, or name another one")
    lock = read_lock(study)
    for key, repository in repositories(study).items():
        spec = download_spec(repository, lock)
        if spec["pin"] is None:
            problem = "not in the study's lock"
        elif not is_fetched(spec, results / study.name / "hub" / key):
            problem = "not fetched, or incomplete"
        else:
            yield Finding("ok", "data", f"{key}: fetched")
            continue
        yield Finding("missing", "data", f"{key}: {problem}", f"chord fetch {study.name}, with a network")
    yield from map(_server, dict.fromkeys(engine.url for engine in study.engines if isinstance(engine, Endpoint)))


def is_fetched(spec: dict, folder: Path) -> bool:
    """Whether the folder has the files of a download, with their sizes.

    The job that downloads them compares hashes, which would take minutes for a large model.
    """
    record = folder.with_name(f"{folder.name}.manifest.json")
    if not record.is_file():
        return False
    fetched = read_json(record)
    return fetched["spec"] == spec and all(
        (folder / path).is_file() and (folder / path).stat().st_size == size for path, size in fetched["bytes"].items()
    )


def _server(url: str) -> Finding:
    parts = urlsplit(url)
    address = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError as error:
        return Finding("missing", "server", f"{url}: {error.strerror or error}", "start it, or correct its url")
    return Finding("ok", "server", f"{url}: answers")
