"""Parquet files with checksums: a file that was cut off or changed on disk is an error that names it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from chord.errors import UserError
from chord.io.files import atomic_path

# Name -> type, and the meaning that docs/files.md shows.
Columns = Mapping[str, tuple[pa.DataType, str]]


def schema_of(columns: Columns) -> pa.Schema:
    return pa.schema({name: kind for name, (kind, _) in columns.items()})


def write(path: Path, table: pa.Table, compression: str = "snappy") -> None:
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression=compression, write_page_checksum=True)


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    with refuse_damage(path):
        return pq.read_table(path, columns=columns, page_checksum_verification=True)


def read_schema(path: Path) -> pa.Schema:
    with refuse_damage(path):
        return pq.read_schema(path)


def read_batches(path: Path, rows: int) -> Iterator[pa.RecordBatch]:
    with refuse_damage(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        yield from file.iter_batches(rows)


@contextmanager
def refuse_damage(path: Path) -> Iterator[None]:
    """Wraps reading `path`: UserError if it is damaged, or not a parquet file."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        # errors of the system are not about the content
        if isinstance(error, FileNotFoundError) or (isinstance(error, OSError) and error.errno is not None):
            raise
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{path}: not a whole parquet file ({reason}); if it is a result, delete it and give the command again"
        ) from error
