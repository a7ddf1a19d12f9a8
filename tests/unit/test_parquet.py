"""A parquet file that is not what was written is refused by name, whichever of its bytes changed."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from chord.analysis.cells import cell_files, scores
from chord.errors import UserError
from chord.evaluation import records
from chord.io import parquet

TABLE = pa.table({"text": [f"answer {n}" for n in range(500)], "number": list(range(500))})


@pytest.fixture
def path(tmp_path) -> Path:
    parquet.write(tmp_path / "table.parquet", TABLE)
    return tmp_path / "table.parquet"


def read_all(path: Path) -> list[pa.Table]:
    return [parquet.read(path), pa.Table.from_batches(parquet.read_batches(path, 100))]


def test_a_whole_file_comes_back(path):
    assert read_all(path) == [TABLE, TABLE]
    assert parquet.read_schema(path) == TABLE.schema
    assert parquet.read(path, ["number"]) == TABLE.select(["number"])


@pytest.mark.parametrize("size", [0, 3, 200, -200, -4])
def test_a_file_that_was_cut_off(path, size):
    os.truncate(path, size if size >= 0 else path.stat().st_size + size)
    for read in (parquet.read, parquet.read_schema, lambda path: list(parquet.read_batches(path, 100))):
        with pytest.raises(UserError, match=rf"^{path}: not a whole parquet file \(.*delete it") as caught:
            read(path)
        assert "\n" not in str(caught.value)


def test_no_changed_byte_gives_other_values(path):
    """Of the data, by the pages' checksums; of the rest of the file, other values are not all that may come out."""
    content = path.read_bytes()
    refused = 0
    for place in range(4, len(content) - 8, 37):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            found = parquet.read(path)
        except UserError:
            refused += 1
            continue
        assert found.columns == TABLE.columns, place
    assert refused > 20


@pytest.mark.parametrize("read", [cell_files.read, scores.read_scores, records.read_record])
def test_every_reader_of_results_refuses_it(path, read):
    os.truncate(path, 100)
    with pytest.raises(UserError, match=f"^{path}: not a whole parquet file"):
        read(path)


def test_an_absent_file_is_no_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        parquet.read(tmp_path / "absent.parquet")
