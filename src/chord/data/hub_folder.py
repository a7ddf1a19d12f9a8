"""Reads rows of a local folder in the hub's format: parquet or JSON Lines files, ordered by name, with subfolders."""

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from chord.errors import UserError
from chord.io.files import read_json, read_jsonl, refuse_half_pairs, visible_files

BATCH_ROWS = 256  # this many rows of long reasoning traces are a few MB
# JSON Lines may be called .json, but so are descriptions such as dataset_infos.json: .json needs the name of a split.
DATA_FILE = re.compile(r".+\.(jsonl|parquet)|(train|validation|test)(?![a-z]).*\.json")


def source_folder(folder: str | None, dataset: str | None) -> Path:
    """Returns the folder of a source; raises UserError if there is none, as the dataset has not been fetched."""
    if folder is None:
        raise UserError(
            f"source.folder: missing; expected where `chord fetch` put {dataset}, which the workflow fills in"
        )
    return Path(folder)


def data_files(folder: Path, globs: Sequence[str] = ()) -> list[Path]:
    """The files of rows below `folder`, in order: those whose relative path matches one of `globs`, or all of them.

    A glob has the same meaning as on the hub (`*` matches slashes), so that it chooses the same files there and here.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a folder of .jsonl or .parquet files")
    files = visible_files(folder)
    if globs:
        paths = [path for path in files if matches(path.relative_to(folder).as_posix(), globs)]
        paths = [path for path in paths if path.suffix in (".jsonl", ".parquet", ".json")]
        if not paths:
            patterns = " or ".join(globs)
            raise UserError(f"{folder}: none of its {len(files)} files is parquet or JSON Lines and matches {patterns}")
        return paths
    paths = [path for path in files if DATA_FILE.fullmatch(path.name)]
    if not paths:
        raise UserError(f"{folder}: expected a .jsonl or .parquet file (or a .json named after a split, as train.json)")
    return paths


def matches(path: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(path, glob) for glob in globs)


def listing(names: Iterable[str]) -> str:
    """The first of the names, for a message that says which files there are."""
    ordered = sorted(names)
    return ", ".join(ordered[:20]) + (" ..." if len(ordered) > 20 else "") or "none"


def read_folder(folder: Path, globs: Sequence[str] = ()) -> Iterator[tuple[str, dict]]:
    """Yield (place, row); the place "<file>:<row number from 1>" is for messages. Parquet is read in small batches."""
    for path in data_files(folder, globs):
        yield from read_data_file(path)


def read_data_file(path: Path) -> Iterator[tuple[str, dict]]:
    """Yield (place, row) of one file, as `read_folder` does."""
    if path.suffix == ".parquet":
        rows = _read_parquet(path)
    elif path.suffix == ".json" and _is_list(path):
        rows = _read_list(path)
    else:
        rows = read_jsonl(path)
    for number, row in enumerate(rows, start=1):
        yield f"{path}:{number}", row


def _is_list(path: Path) -> bool:
    """Whether a .json file is one list, as ToolACE's is, and not JSON Lines, as BFCL's are."""
    with open(path, encoding="utf-8") as file:
        return file.read(1) == "["


def _read_list(path: Path) -> list[dict]:
    rows = read_json(path)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise UserError(f"{path}:{number}: expected a JSON object, got {type(row).__name__}")
        refuse_half_pairs(f"{path}:{number}", row)
    return rows


def _read_parquet(path: Path) -> Iterator[dict]:
    from chord.io import parquet  # takes half a second, which JSON Lines do not need

    for batch in parquet.read_batches(path, BATCH_ROWS):
        try:
            rows = batch.to_pylist()
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: expected UTF-8 in a column of text, got other bytes ({error.reason})") from None
        for row in rows:
            yield {name: _without_padding(value) for name, value in row.items()}


def _without_padding(value: object) -> object:
    """Drop null keys: Arrow gives each struct the keys of all rows, and null for those that a row does not have."""
    if isinstance(value, dict):
        return {key: _without_padding(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_padding(inner) for inner in value]
    return value
