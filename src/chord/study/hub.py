"""What a study needs from the hub, the lock that pins it, and `chord fetch`, which gets it once for all.

The lock, config/locks/<study>.json, says of each repository the commit and the SHA-256 of every file. Nobody can know
these without the hub, so `chord fetch` writes them down where they are missing, and the file is to be committed: from
then on every machine gets the same bytes or an error. It belongs to the study, whose numbers it is a part of, and
lies beside the configuration and not among the results, which come and go.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field, ValidationError

from chord.data.rows_spec import Commit, DownloadSpec, Place
from chord.errors import UserError
from chord.experts.experts_spec import DatasetSource
from chord.io.files import read_json, write_json
from chord.settings import Settings
from chord.study.study import Study


@dataclass(frozen=True)
class Repository:
    """A repository as the study asks for it."""

    kind: str  # dataset or model
    name: str
    revision: str | None  # commit; None: the lock says which
    globs: tuple[str, ...]  # the files

    @property
    def key(self) -> str:
        """Its name in the lock, and its folder below results/<study>/hub."""
        return f"{self.kind}s/{self.name}"


class LockEntry(Settings):
    """One repository in the lock."""

    revision: Commit
    globs: tuple[str, ...] = Field(description="what the files were chosen by")
    files: dict[str, str] = Field(description="path -> SHA-256")


def repositories(study: Study) -> dict[str, Repository]:
    """Key -> repository, without those that a local folder replaces."""
    places = [benchmark.data.source for benchmark in study.benchmarks.values()]
    places += [study.data.source, getattr(study.data.source, "sft", None), getattr(study.data.source, "rl", None)]
    if isinstance(study.experts.source, DatasetSource):
        places.append(study.experts.source)
    wanted = [
        Repository("dataset", place.dataset, place.revision, place.globs)
        for place in places
        if isinstance(place, Place) and place.folder is None
    ]
    if study.model_is_on_hub:
        from chord.data.download import MODEL_FILES

        wanted.append(Repository("model", study.model, study.settings.model_revision, MODEL_FILES))
    found: dict[str, Repository] = {}
    for one in wanted:
        other = found.setdefault(one.key, one)
        if one.revision and other.revision and one.revision != other.revision:
            raise UserError(f"study {study.name}: {one.key} is asked for at two commits: "
                            f"{other.revision} and {one.revision}")  # fmt: skip
        globs = tuple(dict.fromkeys([*other.globs, *one.globs]))
        found[one.key] = replace(other, revision=other.revision or one.revision, globs=globs)
    return found


def lock_path(study: Study) -> Path:
    return study.root / "config" / "locks" / f"{study.name}.json"


def read_lock(study: Study) -> dict[str, LockEntry]:
    """Key -> entry; empty where there is no lock yet."""
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
            first = error.errors()[0]
            raise UserError(f"{path}: {key}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return lock


def download_spec(repository: Repository, lock: dict[str, LockEntry]) -> dict:
    """Specification of the job that gets a repository; without a commit where the lock does not have what is asked."""
    entry = lock.get(repository.key)
    if entry and (set(entry.globs) != set(repository.globs) or repository.revision not in (None, entry.revision)):
        entry = None
    return DownloadSpec(
        kind=repository.kind,
        repository=repository.name,
        revision=entry.revision if entry else None,
        files=entry.files if entry else {},
    ).specification()


def fetch(study: Study, results: Path, say: Callable[[str], None]) -> None:
    """Get everything that the study needs from the hub into results/<study>/hub, and complete its lock.

    results: the folder that holds the study's results. A repository whose commit the lock knows is fetched at that
    commit, also when the hub has moved on.
    """
    from chord.data import download

    lock = read_lock(study)
    wanted = repositories(study)
    if not wanted:
        say(f"{study.name}: nothing of it is on the hub")
    for key, repository in wanted.items():
        out = results / study.name / "hub" / key
        spec = download_spec(repository, lock)
        if spec["revision"] is None:
            locked = lock.get(key)
            if locked and repository.revision not in (None, locked.revision):
                raise UserError(
                    f"{lock_path(study)}: {key}: locked at {locked.revision}, but the configuration says "
                    f"{repository.revision}; remove the entry to take the other commit"
                )
            # An entry of other globs keeps its commit: the study asks for more files of the same state.
            asked = repository.revision or (locked.revision if locked else None)
            commit, files = download.resolve(repository.kind, repository.name, asked, repository.globs)
            digests = download.obtain(repository.kind, repository.name, commit, files, download.staging_of(out, commit))
            lock[key] = LockEntry(revision=commit, globs=repository.globs, files=digests)
            write_json(lock_path(study), {name: entry.model_dump(mode="json") for name, entry in sorted(lock.items())})
            say(f"{key}: wrote commit {commit} to {lock_path(study)}; commit that file")
            spec = download_spec(repository, lock)
        there = download.is_complete(DownloadSpec.model_validate(spec), out)
        record = download.run(spec, out)
        size = sum(record["bytes"].values()) / 1e6
        say(f"{key}: {'there already' if there else 'fetched'}, {len(record['files'])} files, {size:,.1f} MB, in {out}")
