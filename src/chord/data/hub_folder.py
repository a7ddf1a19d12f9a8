"""Rows of a local folder in the hub's format: parquet or JSON Lines files, ordered by name, in subfolders too."""

import re
from collections.abc import Iterator
from pathlib import Path

from chord.errors import UserError
from chord.files import read_jsonl, visible_files

BATCH_ROWS = 256  # rows of long reasoning traces: a few MB
# JSON Lines are also called .json, but so are descriptions such as dataset_infos.json: those need a split's name.
DATA_FILE = re.compile(r".+\.(jsonl|parquet)|(train|validation|test)(?![a-z]).*\.json")


def read_folder(folder: Path) -> Iterator[tuple[str, dict]]:
    """Yield (place, row); place is "<file>:<row number from 1>" for messages. Parquet is read in small batches."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a folder of .jsonl or .parquet files")
    paths = [path for path in visible_files(folder) if DATA_FILE.fullmatch(path.name)]
    if not paths:
        raise UserError(f"{folder}: holds no .jsonl or .parquet file (nor .json with a split's name, as train.json)")
    for path in paths:
        rows = _read_parquet(path) if path.suffix == ".parquet" else read_jsonl(path)
        for number, row in enumerate(rows, start=1):
            yield f"{path}:{number}", row


def _read_parquet(path: Path) -> Iterator[dict]:
    import pyarrow.parquet  # half a second that JSON Lines do not need

    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            yield from batch.to_pylist()
