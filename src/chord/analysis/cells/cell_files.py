"""cells.parquet and differences.parquet: their columns (docs/architecture.md), and the manifest they carry."""

import json
from pathlib import Path

import pyarrow as pa

from chord.errors import UserError
from chord.io import parquet

CELL = pa.schema(
    [
        ("benchmark", pa.string()),
        ("group", pa.string()),
        ("method", pa.string()),
        ("metric", pa.string()),
        ("estimate", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("sd_decoding", pa.float64()),
        ("sd_questions", pa.float64()),
        ("sd_seeds", pa.float64()),
        ("n_questions", pa.int64()),
        ("n_seeds", pa.int64()),
        ("k", pa.int64()),
        ("seed_estimates", pa.list_(pa.float64())),
        ("runs", pa.list_(pa.string())),
        ("config_hash", pa.string()),
    ]
)
DIFFERENCE = pa.schema(
    [
        ("benchmark", pa.string()),
        ("group", pa.string()),
        ("method", pa.string()),
        ("reference", pa.string()),
        ("metric", pa.string()),
        ("estimate", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("p", pa.float64()),
        ("p_holm", pa.float64()),
        ("detectable", pa.float64()),
        ("n_questions", pa.int64()),
        ("n_seeds", pa.int64()),
        ("seeds", pa.list_(pa.int64())),
    ]
)


def read(path: Path) -> tuple[list[dict], dict]:
    """Rows and manifest of a cells or differences file."""
    table = parquet.read(path)
    metadata = table.schema.metadata or {}
    if b"chord" not in metadata:
        raise UserError(f"{path}: no manifest in its metadata; expected a file written by `chord cells`")
    return table.to_pylist(), json.loads(metadata[b"chord"])


def write(path: Path, rows: list[dict], schema: pa.Schema, record: dict) -> None:
    parquet.write(path, pa.Table.from_pylist(rows, schema=schema.with_metadata({"chord": json.dumps(record)})))
