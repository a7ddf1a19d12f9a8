"""Finished batches of a command that may be killed: kept beside the result, continued only by the very same job."""

import logging
import shutil
from pathlib import Path

import pyarrow as pa

from chord.errors import UserError
from chord.io import parquet
from chord.io.files import read_json, write_json

log = logging.getLogger(__name__)


class Parts:
    """A folder of one parquet file a batch. Its name starts with a dot and it goes when the result stands."""

    def __init__(self, result: Path):
        self.folder = result.parent / f".{result.name}.parts"
        self.lock = result.parent / f".{result.name}.lock"  # to be held by whoever writes the result

    def claim(self, identity: dict) -> None:
        """Before anything else. identity: all that decides the content; parts of another identity are thrown away."""
        owner = self.folder / "identity.json"
        try:
            same = read_json(owner) == identity
        except (FileNotFoundError, UserError):
            same = False
        if not same:
            self.remove()
            write_json(owner, identity)

    def _path(self, batch: int) -> Path:
        return self.folder / f"batch-{batch:06d}.parquet"

    def has(self, batch: int) -> bool:
        """Whether it is there and whole; a damaged one is deleted, to be made again."""
        if not self._path(batch).exists():
            return False
        try:
            parquet.read(self._path(batch))
        except UserError as error:
            log.warning("%s", error)
            self._path(batch).unlink()
            return False
        return True

    def write(self, batch: int, table: pa.Table) -> None:
        parquet.write(self._path(batch), table)

    def read(self, batches: int, schema: pa.Schema) -> pa.Table:
        """All batches one below the other."""
        return pa.concat_tables([schema.empty_table(), *(parquet.read(self._path(batch)) for batch in range(batches))])

    def remove(self) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)
