"""Finished batches of a command that may be killed: kept beside the result, continued only by the very same job."""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from chord.files import atomic_path, read_json, write_json


class Parts:
    """A folder of one parquet file a batch. Its name starts with a dot and it goes when the result stands."""

    def __init__(self, result: Path):
        self.folder = result.parent / f".{result.name}.parts"

    def claim(self, identity: dict) -> None:
        """Before anything else. identity: all that decides the content; parts of another identity are thrown away."""
        owner = self.folder / "identity.json"
        if not (owner.exists() and read_json(owner) == identity):
            self.remove()
            write_json(owner, identity)

    def _path(self, batch: int) -> Path:
        return self.folder / f"batch-{batch:06d}.parquet"

    def has(self, batch: int) -> bool:
        return self._path(batch).exists()

    def write(self, batch: int, table: pa.Table) -> None:
        with atomic_path(self._path(batch)) as temporary:
            pq.write_table(table, temporary)

    def read(self, batches: int, schema: pa.Schema) -> pa.Table:
        """All batches one below the other."""
        return pa.concat_tables([schema.empty_table(), *(pq.read_table(self._path(batch)) for batch in range(batches))])

    def remove(self) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)
