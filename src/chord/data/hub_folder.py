"""Rows of a local folder in the hub's format: parquet or JSON Lines files, ordered by name, in subfolders too."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from chord.errors import UserError
from chord.io.files import read_json, read_jsonl, refuse_half_pairs, visible_files

BATCH_ROWS = 256  # rows of long reasoning traces: a few MB
# JSON Lines are also called .json, but so are descriptions such as dataset_infos.json: those need a split's name.
DATA_FILE = re.compile(r".+\.(jsonl|parquet)|(train|validation|test)(?![a-z]).*\.json")


def located(folder: str | None, dataset: str | None) -> Path:
    """The folder of a source; without one the dataset has not been fetched."""
    if folder is None:
        raise UserError(
            f"source.folder: missing; expected where `chord fetch` put {dataset}, which the workflow fills in"
        )
    return Path(folder)


def data_files(folder: Path, globs: Sequence[str] = ()) -> list[Path]:
    """The files of rows below `folder`, in order: those whose path in it matches one of `globs`, or all.

    A glob has the hub's meaning (`*` crosses slashes), so that it chooses the same files there and here.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a folder of .jsonl or .parquet files")
    found = visible_files(folder)
    if globs:
        paths = [path for path in found if matches(path.relative_to(folder).as_posix(), globs)]
        paths = [path for path in paths if path.suffix in (".jsonl", ".parquet", ".json")]
        if not paths:
            wanted = " or ".join(globs)
            raise UserError(f"{folder}: none of its {len(found)} files is parquet or JSON Lines and matches {wanted}")
        return paths
    paths = [path for path in found if DATA_FILE.fullmatch(path.name)]
    if not paths:
        raise UserError(f"{folder}: holds no .jsonl or .parquet file (nor .json with a split's name, as train.json)")
    return paths


def matches(path: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(path, glob) for glob in globs)


def read_folder(folder: Path, globs: Sequence[str] = ()) -> Iterator[tuple[str, dict]]:
    """Yield (place, row); place is "<file>:<row number from 1>" for messages. Parquet is read in small batches."""
    for path in data_files(folder, globs):
        yield from read_data_file(path)


def read_data_file(path: Path) -> Iterator[tuple[str, dict]]:
    """As `read_folder`, of one file."""
    if path.suffix == ".parquet":
        rows = _read_parquet(path)
    elif path.suffix == ".json" and _is_list(path):
        rows = _read_list(path)
    else:
        rows = read_jsonl(path)
    for number, row in enumerate(rows, start=1):
        yield f"{path}:{number}", row


def _is_list(path: Path) -> bool:
    """Whether a .json file holds one list, as ToolACE's does, and not JSON Lines, as BFCL's do."""
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
    from chord.io import parquet  # half a second that JSON Lines do not need

    for batch in parquet.read_batches(path, BATCH_ROWS):
        try:
            rows = batch.to_pylist()
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: a column of text holds bytes that are no UTF-8 ({error.reason})") from None
        for row in rows:
            yield {name: _without_padding(value) for name, value in row.items()}


def _without_padding(value: object) -> object:
    """Arrow gives each struct the keys of all rows; those that a row did not have are null, and go."""
    if isinstance(value, dict):
        return {key: _without_padding(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_padding(inner) for inner in value]
    return value
