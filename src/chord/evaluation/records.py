"""The files of evaluation: benchmark rows, and the columns of completions.parquet and scores.parquet.

Both parquet files carry a record (manifest) in their metadata.
"""

import json
from pathlib import Path

import pyarrow as pa

from chord.errors import UserError
from chord.io import parquet
from chord.io.files import read_jsonl
from chord.io.parquet import Columns

ROW_KEYS = ("id", "messages", "gold", "task", "group")
COMPLETION_COLUMNS: Columns = {
    "prompt_id": (pa.string(), "`id` of the benchmark row"),
    "group": (pa.string(), "of the benchmark row"),
    "sample": (pa.int32(), "number of the sample"),
    "text": (pa.string(), "the response"),
    "tokens": (pa.int32(), "its length with the end token"),
    "truncated": (pa.bool_(), "no end token within the limit"),
    "seed": (pa.int64(), "of this sample"),
}
SCORE_COLUMNS: Columns = {
    **{name: COMPLETION_COLUMNS[name] for name in ("prompt_id", "group", "sample", "tokens", "truncated")},
    "reward": (pa.float64(), "of its task"),
    "correct": (pa.bool_(), "the answer is right"),
    "parsed": (pa.bool_(), "the response has a readable answer"),
    "reason": (pa.string(), "why ([benchmarks.md](benchmarks.md#the-grader))"),
    "official_correct": (
        pa.bool_(),
        "the verdict by the extraction that the benchmark's authors publish; null where there is none "
        "([benchmarks.md](benchmarks.md#mmlu-pro))",
    ),
}
COMPLETIONS = parquet.schema_of(COMPLETION_COLUMNS)
SCORES = parquet.schema_of(SCORE_COLUMNS)
# The keys of a record that identify the run of its file.
IDENTITY = ("method", "seed_index", "benchmark", "k", "spec_hash", "manifest")


def read_rows(path: Path) -> list[dict]:
    """The rows in file order; UserError if there are none, or if a row lacks a key or repeats an id."""
    rows = read_jsonl(path)
    if not rows:
        raise UserError(f"{path}: no rows")
    seen = set()
    for number, row in enumerate(rows, start=1):
        missing = [key for key in ROW_KEYS if key not in row]
        if missing:
            raise UserError(f"{path}: row {number}: missing {', '.join(missing)}")
        if row["id"] in seen:
            raise UserError(f"{path}: row {number}: id {row['id']!r} is there twice")
        seen.add(row["id"])
    return rows


def write(path: Path, table: pa.Table, record: dict) -> None:
    parquet.write(path, table.replace_schema_metadata({"chord": json.dumps(record)}), compression="zstd")


def read_record(path: Path) -> dict:
    """The record of a completions file; UserError for any other file."""
    schema = parquet.read_schema(path)
    if b"chord" not in (schema.metadata or {}):
        raise UserError(f"{path}: no record in its metadata; expected a file written by `chord generate`")
    if schema.remove_metadata() != COMPLETIONS:
        raise UserError(f"{path}: columns {schema.names}; expected {COMPLETIONS.names} of the types of docs/files.md")
    return json.loads(schema.metadata[b"chord"])
