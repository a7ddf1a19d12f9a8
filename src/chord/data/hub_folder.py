"""Rows of a local folder in the hub's format: JSON Lines (.jsonl, .json) or parquet files, ordered by name."""

from collections.abc import Iterator
from pathlib import Path

from chord.errors import UserError
from chord.files import read_jsonl

BATCH_ROWS = 256  # rows of long reasoning traces: a few MB


def read_folder(folder: Path) -> Iterator[tuple[str, dict]]:
    """Yield (place, row); place is "<file>:<row number from 1>" for messages. Parquet is read in small batches."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a folder of .jsonl, .json or .parquet files")
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".jsonl", ".json", ".parquet"))
    if not paths:
        raise UserError(f"{folder}: holds no .jsonl, .json or .parquet file")
    for path in paths:
        rows = _read_parquet(path) if path.suffix == ".parquet" else read_jsonl(path)
        for number, row in enumerate(rows, start=1):
            yield f"{path}:{number}", row


def _read_parquet(path: Path) -> Iterator[dict]:
    import pyarrow.parquet  # half a second that JSON Lines do not need

    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            yield from batch.to_pylist()
