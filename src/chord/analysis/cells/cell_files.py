"""cells.parquet and differences.parquet: their columns (docs/files.md), and the manifest they carry."""

import json
from pathlib import Path

import pyarrow as pa

from chord.errors import UserError
from chord.io import parquet
from chord.io.parquet import Columns

CELL_COLUMNS: Columns = {
    "benchmark": (pa.string(), "what was measured"),
    "group": (pa.string(), "a group of the benchmark; `all` is the unweighted mean over the questions of every group"),
    "method": (pa.string(), "whose runs were measured"),
    "metric": (
        pa.string(),
        "`accuracy` (avg@k), `pass@k`, `response_tokens`, `truncated`, `unparsed`, `reward`; where there are such "
        "verdicts also `undecided` and `official_agreement`",
    ),
    "estimate": (pa.float64(), "mean over seeds and questions"),
    "low": (pa.float64(), "lower end of its 95 % interval"),
    "high": (pa.float64(), "upper end"),
    "sd_decoding": (pa.float64(), "uncertainty by the draw of the k samples; empty where it cannot be estimated"),
    "sd_questions": (pa.float64(), "by the draw of the questions; likewise"),
    "sd_seeds": (pa.float64(), "by the training runs; likewise"),
    "n_questions": (pa.int64(), "number of questions"),
    "n_seeds": (pa.int64(), "number of runs"),
    "k": (pa.int64(), "samples of each question"),
    "seed_estimates": (pa.list_(pa.float64()), "one for each seed"),
    "runs": (pa.list_(pa.string()), "run folders"),
    "config_hash": (pa.string(), "hash of the methods, seed indices and specifications of these runs"),
}
DIFFERENCE_COLUMNS: Columns = {
    "benchmark": (pa.string(), "what was measured"),
    "group": (pa.string(), "as in `cells.parquet`"),
    "method": (pa.string(), "the method that is compared"),
    "reference": (pa.string(), "what it is compared with; the difference is method minus reference"),
    "metric": (pa.string(), "as in `cells.parquet`"),
    "estimate": (pa.float64(), "the difference"),
    "low": (pa.float64(), "lower end of its 95 % interval"),
    "high": (pa.float64(), "upper end"),
    "p": (pa.float64(), "p-value"),
    "p_holm": (pa.float64(), "p-value after Holm's correction"),
    "detectable": (pa.float64(), "smallest true difference that is found with 80 % power at the 5 % level"),
    "n_questions": (pa.int64(), "number of questions"),
    "n_seeds": (pa.int64(), "number of pairs of runs"),
    "seeds": (pa.list_(pa.int64()), "the seed indices that both methods have"),
}
CELL = parquet.schema_of(CELL_COLUMNS)
DIFFERENCE = parquet.schema_of(DIFFERENCE_COLUMNS)


def read(path: Path) -> tuple[list[dict], dict]:
    """Rows and manifest of a cells or differences file."""
    table = parquet.read(path)
    metadata = table.schema.metadata or {}
    if b"chord" not in metadata:
        raise UserError(f"{path}: no manifest in its metadata; expected a file written by `chord cells`")
    return table.to_pylist(), json.loads(metadata[b"chord"])


def write(path: Path, rows: list[dict], schema: pa.Schema, record: dict) -> None:
    parquet.write(path, pa.Table.from_pylist(rows, schema=schema.with_metadata({"chord": json.dumps(record)})))
