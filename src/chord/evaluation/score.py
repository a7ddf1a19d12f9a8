"""Verdicts on stored completions: from the file and the benchmark rows alone, without a model and without torch."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from chord.errors import GraderError, UserError
from chord.evaluation import columns
from chord.evaluation.rows import read_rows
from chord.evaluation.spec import ScoreSpec
from chord.provenance import manifest, source_sha256
from chord.tasks import Verdict, grading_record, verdict

CHUNK_ROWS = 65536


def run(spec: dict, completions: Path, rows: Path, out: Path) -> None:
    """Judge each completion by the task its row names. spec: a ScoreSpec; out: scores.parquet."""
    settings = ScoreSpec.model_validate(spec)
    record = columns.read_record(completions)
    by_id = {row["id"]: row for row in read_rows(rows)}
    _check_complete(completions, rows, set(by_id), record["k"])
    table = pa.Table.from_batches(_scored(completions, by_id), schema=columns.SCORES)
    scoring = manifest(
        settings.model_dump(mode="json"),
        {"completions": completions, "rows": rows},
        tasks_sha256=source_sha256("tasks"),
        graders=grading_record(row["task"] for row in by_id.values()),
    )
    identity = {key: record[key] for key in columns.IDENTITY}
    columns.write(out, table, identity | {"generate": record, "score": scoring})


def _check_complete(completions: Path, rows: Path, ids: set[str], k: int) -> None:
    """Each row has the samples 0 to k-1 once, and there is nothing else."""
    table = pq.read_table(completions, columns=["prompt_id", "sample"])
    found = list(zip(table["prompt_id"].to_pylist(), table["sample"].to_pylist(), strict=True))
    have = set(found)
    answered = {prompt_id for prompt_id, _ in have}
    if answered != ids:
        unknown, missing = sorted(answered - ids), sorted(ids - answered)
        problem = f"{unknown[0]!r} is not among the rows" if unknown else f"{missing[0]!r} has no completion"
        raise UserError(
            f"{completions}: other questions than in {rows}: {problem} ({len(unknown) + len(missing)} in all)"
        )
    for prompt_id in sorted(ids):
        missing = [sample for sample in range(k) if (prompt_id, sample) not in have]
        if missing:
            raise UserError(f"{completions}: {prompt_id!r}: sample {missing[0]} of {k} is missing")
    if len(have) > len(ids) * k:
        prompt_id, sample = min(item for item in have if not 0 <= item[1] < k)
        raise UserError(f"{completions}: {prompt_id!r}: sample {sample}, but k is {k}")
    if len(found) > len(have):
        prompt_id, sample = _first_double(found)
        raise UserError(f"{completions}: {prompt_id!r}: sample {sample} is there twice")


def _first_double(items: list[tuple[str, int]]) -> tuple[str, int]:
    seen = set()
    return next(item for item in items if item in seen or seen.add(item))


def _scored(completions: Path, by_id: dict[str, dict]) -> Iterator[pa.RecordBatch]:
    # Models repeat themselves: of a million completions some ten thousand may differ, and a grader may be slow.
    known: dict[tuple[str, str, bool], Verdict] = {}
    for chunk in pq.ParquetFile(completions).iter_batches(CHUNK_ROWS):
        verdicts = []
        judged = (chunk.column(name).to_pylist() for name in ("prompt_id", "sample", "text", "truncated"))
        for prompt_id, sample, text, truncated in zip(*judged, strict=True):
            key = (prompt_id, text, truncated)
            if key not in known:
                known[key] = _judge(by_id[prompt_id], sample, text, truncated)
            verdicts.append(known[key])
        passed = [chunk.column(name) for name in ("prompt_id", "group", "sample", "tokens", "truncated")]
        found = [pa.array(values) for values in zip(*verdicts, strict=True)]
        yield pa.RecordBatch.from_arrays([*passed, *found], schema=columns.SCORES)


def _judge(row: dict, sample: int, text: str, truncated: bool) -> Verdict:
    try:
        return verdict(row, text, truncated)
    except UserError:
        raise
    except Exception as error:
        raise GraderError(f"row {row['id']!r}, sample {sample}: the grader of task {row['task']!r} failed") from error
