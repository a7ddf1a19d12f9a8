"""Fetches files of one repository of the Hugging Face hub, at one commit and with known hashes.

The client is huggingface_hub: it honours HF_ENDPOINT, resumes partial downloads, and uses the token of a login, which
never appears in our messages or files. Only weights in safetensors are fetched, and no code of a repository is run.
"""

import glob
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
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

from chord.data.download_spec import DownloadSpec, Files, Pin
from chord.data.hub_folder import listing, matches
from chord.errors import UserError
from chord.io.files import read_json
from chord.io.provenance import file_sha256


def pin(kind: str, repository: str, revision: str | None, globs: Sequence[str], staging: Callable[[str], Path]) -> Pin:
    """Download the files that match the globs, at `revision` (None: the current state of the hub).

    staging: revision -> the folder for the files.
    """
    with _in_one_line(kind, repository, revision):
        info = _api().repo_info(repository, repo_type=kind, revision=revision, files_metadata=True)
    # The hub has a SHA-256 for large files, and None for others.
    names = {item.rfilename: item.lfs.sha256 if item.lfs else None for item in info.siblings or []}
    files = {name: names[name] for name in sorted(names) if matches(name, globs)}
    for pattern in globs if kind == "dataset" else ["*.safetensors", "config.json"]:
        if not any(matches(name, [pattern]) for name in files):
            raise UserError(f"{kind} {repository}: no file matches {pattern} at {info.sha}; there are {listing(names)}")
    digests = download(kind, repository, info.sha, files, staging(info.sha))
    return Pin(revision=info.sha, licence=_licence(info.card_data or {}), files=digests)


def obtain(settings: DownloadSpec, folder: Path) -> None:
    """Download the files of the pin into `folder` unless they are there."""
    download(settings.kind, settings.address, settings.pin.revision, settings.pin.files, folder)


def download(kind: str, repository: str, revision: str, files: Mapping[str, str | None], folder: Path) -> Files:
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


def _licence(card: Mapping) -> str | None:
    """The licence that the card of a repository states; some state several."""
    stated = card.get("license")
    return ", ".join(stated) if isinstance(stated, list) else stated


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
