"""Command `download`: fetch files of one repository of the hub, at one commit and with known hashes, into a folder.

`chord.study.hub` writes the commits and hashes for a study into its lock, and this command trusts only the lock. The
client is huggingface_hub: it honours HF_ENDPOINT, resumes partial downloads, and uses the token of a login, which never
appears in our messages or files. Only weights in safetensors are fetched, and no code of a repository is ever run.
"""

import glob
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import disable_progress_bars

from chord.data.hub_folder import matches
from chord.data.rows_spec import DownloadSpec
from chord.errors import UserError
from chord.io.files import read_json, write_json
from chord.io.provenance import file_sha256, manifest

log = logging.getLogger(__name__)

# The files of a model: weights without pickles, configuration, tokenizer, chat template.
MODEL_FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.*",
)


def run(spec: dict, out: Path) -> dict:
    """Fill the folder `out` and write <folder>.manifest.json next to it; returns the manifest.

    If the folder already has exactly these files, nothing happens and the network is not used. The folder gets its
    name `out` only once every file is there and has its hash; a later attempt resumes an earlier one.
    """
    settings = DownloadSpec.model_validate(spec)
    name = f"{settings.kind} {settings.repository}"
    if settings.revision is None:
        raise UserError(f"{name}: not in the lock of the study; `chord fetch STUDY`, with a network, writes it")
    record = out.with_name(f"{out.name}.manifest.json")
    if is_complete(settings, out):
        log.info("%s: already downloaded", name)
        return read_json(record)
    staging = staging_of(out, settings.revision)
    digests = obtain(settings.kind, settings.repository, settings.revision, settings.files, staging)
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(staging / ".cache")  # the client's own records
    staging.replace(out)
    for other in out.parent.glob(f".fetch-{out.name}-*"):  # of commits that are no longer needed
        shutil.rmtree(other)
    result = manifest(
        settings.specification(),
        {},
        files=digests,
        bytes={path: (out / path).stat().st_size for path in digests},
    )
    write_json(record, result)
    return result


def is_complete(settings: DownloadSpec, out: Path) -> bool:
    """Whether the folder has the files with their hashes, and its manifest is for the same commit."""
    record = out.with_name(f"{out.name}.manifest.json")
    if not out.is_dir() or not record.is_file() or read_json(record)["spec"] != settings.specification():
        return False
    return all((out / path).is_file() and file_sha256(out / path) == digest for path, digest in settings.files.items())


def staging_of(out: Path, revision: str) -> Path:
    """The folder that collects files until all are there.

    It is hidden, so that nothing takes it for data. There is one per commit, because the client accepts the files that
    it finds there if the hub does not answer.
    """
    return out.with_name(f".fetch-{out.name}-{revision}")


def resolve(kind: str, repository: str, revision: str | None, globs: Sequence[str]) -> tuple[str, dict]:
    """Returns the commit of `revision` (None: the current state of the hub) and its files that match the globs.

    The files come with the SHA-256 that the hub has for them. It has one for large files, and None for others.
    """
    with _in_one_line(kind, repository, revision):
        info = _api().repo_info(repository, repo_type=kind, revision=revision, files_metadata=True)
    names = {item.rfilename: item.lfs.sha256 if item.lfs else None for item in info.siblings or []}
    files = {name: names[name] for name in sorted(names) if matches(name, globs)}
    for pattern in globs if kind == "dataset" else ["*.safetensors", "config.json"]:
        if not any(matches(name, [pattern]) for name in files):
            listing = ", ".join(sorted(names)[:20]) + (" ..." if len(names) > 20 else "")
            raise UserError(
                f"{kind} {repository}: no file matches {pattern} at {info.sha}; there are {listing or 'none'}"
            )
    return info.sha, files


def obtain(kind: str, repository: str, revision: str, files: Mapping[str, str | None], folder: Path) -> dict[str, str]:
    """Download the files into `folder` unless they are there; returns path -> SHA-256.

    files: path -> the SHA-256 that the file must have, or None if it is not known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    disable_progress_bars()  # a log has no use for them
    with _in_one_line(kind, repository, revision):
        snapshot_download(
            repository,
            repo_type=kind,
            revision=revision,
            allow_patterns=[glob.escape(path) for path in files],
            local_dir=folder,
            endpoint=_endpoint(),
        )
    digests = {path: file_sha256(folder / path) for path in files if (folder / path).is_file()}
    for path, digest in files.items():
        if path not in digests:
            raise UserError(f"{kind} {repository}: {path}: no such file on the hub at {revision}")
        if digest not in (None, digests[path]):
            shutil.rmtree(folder)  # otherwise the next attempt would accept this file
            raise UserError(
                f"{kind} {repository}: {path}: expected SHA-256 {digest}, got {digests[path]}: "
                f"damaged on its way, or changed on the hub under the same commit {revision}"
            )
    if kind == "model" and read_json(folder / "config.json").get("auto_map"):
        raise UserError(f"model {repository}: config.json names its own code (auto_map), which is never run here")
    return digests


def _endpoint() -> str | None:
    """HF_ENDPOINT at the time of the call, whereas huggingface_hub reads it when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None


def _api() -> HfApi:
    return HfApi(endpoint=_endpoint())


@contextmanager
def _in_one_line(kind: str, repository: str, revision: str | None) -> Iterator[None]:
    """Replace the hub's errors, which come with pages of advice, by one line that says what to do."""
    name = f"{kind} {repository}"
    try:
        yield
    except GatedRepoError:
        raise UserError(
            f"{name}: access is restricted; accept its terms on its page, then `hf auth login` or set HF_TOKEN"
        ) from None
    except RepositoryNotFoundError:
        raise UserError(f"{name}: not on the hub, or private; check the id, or `hf auth login`") from None
    except RevisionNotFoundError:
        raise UserError(f"{name}: the hub has no commit {revision}") from None
    except OfflineModeIsEnabled:
        raise UserError(f"{name}: HF_HUB_OFFLINE is set; fetching needs the network") from None
    except HfHubHTTPError as error:
        raise UserError(f"{name}: the hub answered {error.response.status_code}; try again later") from None
    except (httpx.HTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{name}: not fetched ({reason}); the same command will resume the download") from None
