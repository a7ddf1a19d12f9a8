"""Models and data: what the study names has to be there before the jobs run, which look for no network."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from chord.data.rows_spec import Place
from chord.doctor.finding import Finding
from chord.experts.experts_spec import ModelSource
from chord.io.files import read_json
from chord.rollouts.backends import Endpoint
from chord.study import Study
from chord.study.hub import download_spec, read_lock, repositories


def findings(study: Study, results: Path) -> Iterator[Finding]:
    for key, folder in local_folders(study).items():
        if folder.is_dir():
            yield Finding("ok", "data", f"{key}: {folder}")
        else:
            yield Finding("missing", "data", f"{key}: {folder}: no such folder", "put it there, or name another one")
    lock = read_lock(study)
    for key, repository in repositories(study).items():
        spec = download_spec(repository, lock)
        if spec["revision"] is None:
            lacks = "not in the study's lock"
        elif not is_fetched(spec, results / study.name / "hub" / key):
            lacks = "not fetched, or not whole"
        else:
            yield Finding("ok", "data", f"{key}: fetched")
            continue
        yield Finding("missing", "data", f"{key}: {lacks}", f"chord fetch {study.name}, with a network")
    for engine in (study.settings.generation, study.experts.source):
        if isinstance(engine, Endpoint):
            yield _server(engine.url)


def local_folders(study: Study) -> dict[str, Path]:
    """Key of the study -> the folder that it names in place of something on the hub."""
    source = study.data.source
    places = {"data": source, "data.sft": getattr(source, "sft", None), "data.rl": getattr(source, "rl", None)}
    places |= {f"benchmarks.{name}": benchmark.data.source for name, benchmark in study.benchmarks.items()}
    places["experts"] = study.experts.source
    folders = {key: place.folder for key, place in places.items() if isinstance(place, Place | ModelSource)}
    if not study.model_is_on_hub:
        folders["model"] = study.model
    return {key: study.root / folder for key, folder in folders.items() if folder is not None}


def is_fetched(spec: dict, folder: Path) -> bool:
    """Whether the folder has the files of a download, by their sizes: hashing a large model would take minutes, and
    the job that downloads it does so."""
    record = folder.with_name(f"{folder.name}.manifest.json")
    if not record.is_file():
        return False
    found = read_json(record)
    return found["spec"] == spec and all(
        (folder / path).is_file() and (folder / path).stat().st_size == size for path, size in found["bytes"].items()
    )


def _server(url: str) -> Finding:
    parts = urlsplit(url)
    address = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError as error:
        return Finding("missing", "server", f"{url}: {error.strerror or error}", "start it, or correct its url")
    return Finding("ok", "server", f"{url}: answers")
