"""Verdicts on stored completions: from the file and the benchmark rows alone, without a model and without torch."""

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chord.errors import UserError
from chord.evaluation import records
from chord.io import parquet
from chord.io.progress_bar import progress_bar
from chord.io.provenance import manifest
from chord.plugins import plugin_records
from chord.tasks import GROUP, Verdict, grading_record, official_correct, task_hashes, tasks_of, verdicts
from chord.tasks.task import UNDECIDED

log = logging.getLogger(__name__)

CHUNK_ROWS = 65536


def run(completions: Path, rows: Path, out: Path) -> None:
    """Judge each completion by the task of its row; there is nothing to configure. out: scores.parquet.

    The record counts the verdicts by reason. If a task cannot judge, it raises GraderError and writes nothing.
    """
    record = records.read_record(completions)
    by_id = {row["id"]: row for row in records.read_rows(rows)}
    _check_complete(completions, rows, set(by_id), record["k"])
    table = pa.Table.from_batches(_scored(completions, by_id), schema=records.SCORES)
    reasons = {item["values"]: item["counts"] for item in pc.value_counts(table["reason"]).to_pylist()}
    if undecided := {reason: count for reason, count in reasons.items() if reason in UNDECIDED}:
        log.warning("%s: answers that could not be judged count as wrong: %s", completions, undecided)
    tasks = tasks_of(by_id.values())
    scoring = manifest(
        {},
        {"completions": completions, "rows": rows},
        tasks_sha256=task_hashes(tasks),
        plugins=plugin_records((GROUP, task) for task in tasks),
        graders=grading_record(tasks),
        reasons=reasons,
    )
    identity = {key: record[key] for key in records.IDENTITY}
    records.write(out, table, identity | {"generate": record, "score": scoring})


def _check_complete(completions: Path, rows: Path, ids: set[str], k: int) -> None:
    """Check that each row has the samples 0 to k-1 once, and that there is nothing else."""
    table = parquet.read(completions, columns=["prompt_id", "sample"])
    number = pc.index_in(table["prompt_id"], pa.array(sorted(ids))).to_numpy()  # NaN: an unknown id
    sample = table["sample"].to_numpy()
    if len(table) == len(ids) * k and not np.isnan(number).any() and ((sample >= 0) & (sample < k)).all():
        places = number.astype(np.int64) * k + sample
        if np.bincount(places, minlength=len(table)).all():
            return
    _explain(completions, rows, table, ids, k)


def _explain(completions: Path, rows: Path, table: pa.Table, ids: set[str], k: int) -> None:
    """Raise UserError about the first missing or superfluous completion."""
    items = list(zip(table["prompt_id"].to_pylist(), table["sample"].to_pylist(), strict=True))
    have = set(items)
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
    if len(items) > len(have):
        prompt_id, sample = _first_double(items)
        raise UserError(f"{completions}: {prompt_id!r}: sample {sample} is there twice")


def _first_double(items: list[tuple[str, int]]) -> tuple[str, int]:
    seen = set()
    return next(item for item in items if item in seen or seen.add(item))


def _scored(completions: Path, by_id: dict[str, dict]) -> Iterator[pa.RecordBatch]:
    # Models repeat themselves: a million completions may have ten thousand different texts, and a grader may be slow.
    known: dict[tuple[str, bytes, bool], tuple[Verdict, bool | None]] = {}
    for chunk in parquet.read_batches(completions, CHUNK_ROWS):
        first, again = _distinct(chunk)
        picked = chunk.take(pa.array(first))
        columns = [picked.column(name).to_pylist() for name in ("prompt_id", "text", "truncated")]
        keys = [
            (prompt_id, hashlib.blake2b(text.encode(), digest_size=16).digest(), truncated)
            for prompt_id, text, truncated in zip(*columns, strict=True)
        ]
        new = [place for place, key in enumerate(keys) if key not in known]
        items = ((by_id[columns[0][place]], columns[1][place], columns[2][place]) for place in new)
        judged = progress_bar(verdicts(items), "judging", "responses", len(new))
        for place, verdict in zip(new, judged, strict=True):
            known[keys[place]] = verdict, official_correct(by_id[columns[0][place]], columns[1][place])
        passed = [chunk.column(name) for name in ("prompt_id", "group", "sample", "tokens", "truncated")]
        values = zip(*((*verdict, official) for verdict, official in map(known.get, keys)), strict=True)
        kinds = [field.type for field in records.SCORES][len(passed) :]
        verdict_columns = [
            pa.array(column, kind).take(pa.array(again)) for column, kind in zip(values, kinds, strict=True)
        ]
        yield pa.RecordBatch.from_arrays([*passed, *verdict_columns], schema=records.SCORES)


def _distinct(chunk: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """(the first row of each distinct (prompt, text, truncated), the number of its distinct triple for every row)."""
    prompt, text = (chunk.column(name).dictionary_encode() for name in ("prompt_id", "text"))
    number = prompt.indices.to_numpy().astype(np.int64) * len(text.dictionary) + text.indices.to_numpy()
    number = 2 * number + chunk.column("truncated").to_numpy(zero_copy_only=False)
    _, first, again = np.unique(number, return_index=True, return_inverse=True)
    return first, again
