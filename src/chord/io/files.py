"""Files that are either complete or absent: write beside, flush, rename. A disk error becomes a message of one line.

Libraries hide a full disk behind errors of their own, so `explain_disk_errors` tries to write to the disk itself.
"""

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chord.errors import UserError

_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")  # also matches the halves of complete pairs
PARTIAL = ".partial-"  # the prefix of unfinished files, also of those whose process has died
REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
PROBE_BYTES = 2**16


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` only if the block ends without an error.

    The suffixes are kept, because writers such as matplotlib and pandas choose the format by them.
    """
    path = Path(path)
    with explain_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL, suffix="".join(path.suffixes))
    os.close(handle)
    temporary = Path(name)
    try:
        with explain_disk_errors(path):
            yield temporary
            os.chmod(temporary, 0o644)  # mkstemp gives 0600, which a group on a shared file system cannot read
            _sync(temporary)
            os.replace(temporary, path)
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it replaces `path` as a whole.

    An old folder is first renamed, since the system replaces only empty ones, and deleted when the new one is in place.
    A kill between the two renames leaves no `path` at all, never a part of one.
    """
    path = Path(path)
    with explain_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=PARTIAL))
    aside = temporary.with_name(temporary.name.replace(PARTIAL, f"{PARTIAL}old-", 1))
    try:
        with explain_disk_errors(path):
            yield temporary
            os.chmod(temporary, 0o755)  # noqa: S103 - mkdtemp gives 0700, which a group could not read
            for item in [*temporary.rglob("*"), temporary]:
                if not item.is_symlink():
                    _sync(item)
        if os.path.lexists(path):
            os.replace(path, aside)
        try:
            os.replace(temporary, path)
        except OSError:
            if os.path.lexists(aside):
                os.replace(aside, path)
            raise
        _sync(path.parent)
        remove(aside)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_partials(folder: str | Path) -> None:
    """Delete the unfinished files of killed processes directly in `folder`. No other process may write there."""
    for item in Path(folder).glob(f"{PARTIAL}*"):
        remove(item)


def visible_files(folder: str | Path) -> list[Path]:
    """Every file below a folder, in order; hidden ones (.cache, .gitattributes ...) are not part of its content."""
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return sorted(path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _sync(path: Path) -> None:
    """Force a file's content, or the names in a folder, onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Delete a file, a link, or a folder with its content, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Human-readable JSON. NaN and infinity are refused: they are not JSON and hide failures."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error


def write_jsonl(path: str | Path, rows: Iterable[dict]) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


def read_jsonl(path: str | Path) -> list[dict]:
    """All rows of a JSON Lines file; an invalid line is named by its number."""
    rows = []
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}:{number}: not valid JSON ({error})") from error
            if not isinstance(row, dict):
                raise UserError(f"{path}:{number}: expected a JSON object, got {type(row).__name__}")
            if _HALF_PAIR.search(line):
                refuse_half_pairs(f"{path}:{number}", row)
            rows.append(row)
    return rows


def refuse_half_pairs(place: str, row: dict) -> None:
    """UserError for a text that is not Unicode: JSON can spell one half of a surrogate pair, which no file can hold."""
    for key, value in row.items():
        try:
            json.dumps({key: value}, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            half = json.dumps(error.object[error.start])
            message = f"expected text, got {half}, which is half of a surrogate pair"
            raise UserError(f"{place}: column {json.dumps(key)[1:-1]}: {message}") from None


@contextmanager
def explain_disk_errors(out: Path) -> Iterator[None]:
    """Wraps writing to `out`, before anything is cleaned up: UserError if writing failed because of the disk.

    Writers of weights report a full disk with errors of their own, so this tries to write as well.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        refused = error if isinstance(error, OSError) and error.errno in REFUSALS else _probe(out)
        if refused is None:
            raise
        place = refused.filename
        if place is None or Path(place).absolute().is_relative_to(out.absolute().parent):
            place = out  # a place beside `out` has a temporary name
        raise UserError(
            f"{place}: {os.strerror(refused.errno)}; no half-written file counts as a result: make room or give "
            "access, then give the same command again"
        ) from error


def _probe(out: Path) -> OSError | None:
    """The error, if any, of writing a small file into `out` or the nearest folder above it."""
    out = out.absolute()
    folder = next(folder for folder in (out, *out.parents) if folder.is_dir())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error if error.errno in REFUSALS else None
    return None
