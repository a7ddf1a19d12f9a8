"""Every completion of a benchmark by one model, kept: scoring, tables and figures never need the model again."""

from functools import partial
from pathlib import Path

import pyarrow as pa

from chord.evaluation import records
from chord.evaluation.generate_spec import GenerateSpec
from chord.io.locks import exclusive
from chord.io.provenance import file_sha256, manifest, source_sha256, utc_now
from chord.rollouts import encode_prompts
from chord.rollouts.backends import Endpoint
from chord.rollouts.completions import FinishedBatches, stream
from chord.rollouts.policy import policy_tokenizer
from chord.rollouts.workers import complete_batches, machine_record


def run(spec: dict, model: Path, rows: Path, out: Path) -> None:
    """Answer each row k times. spec: a GenerateSpec; model: a model folder; out: completions.parquet."""
    settings = GenerateSpec.model_validate(spec)
    inputs = {"model": model, "rows": rows}
    record = manifest(settings.decisive_specification(), inputs, **_identity(settings), manifest=_manifest_of(model))
    if isinstance(settings.backend, Endpoint):
        record["server"] = settings.backend.url
    questions = records.read_rows(rows)
    prompts = encode_prompts(policy_tokenizer(model, questions), questions)
    # The method is not among the parts: all methods of one seed index meet the same noise.
    noise = (settings.study_seed, settings.seed_index, "evaluate", settings.benchmark)

    parts = FinishedBatches(out)
    complete = partial(complete_batches, settings.backend, model, settings.decoding)
    with exclusive(parts.lock, "writing these completions") as check:
        parts.claim(
            {key: record[key] for key in ("spec", "inputs")}
            | {"code": source_sha256("rollouts", "evaluation")}
            | machine_record()
        )
        completions = stream(questions, prompts, settings.k, noise, settings.batch_rows, parts, complete)
        check()
        records.write(out, _table(questions, settings.k, completions), record | {"finished": utc_now()})
        parts.remove()


def _identity(spec: GenerateSpec) -> dict:
    return {"method": spec.method, "seed_index": spec.seed_index, "benchmark": spec.benchmark, "k": spec.k}


def _manifest_of(model: Path) -> str | None:
    """SHA-256 of the manifest of what made the model: in its folder, or beside it in the run's. None if it has none."""
    found = [path for path in (model / "manifest.json", model.parent / "manifest.json") if path.is_file()]
    return file_sha256(found[0]) if found else None


def _table(rows: list[dict], k: int, completions: pa.Table) -> pa.Table:
    columns = {name: completions[name] for name in completions.column_names}
    columns |= {
        "prompt_id": [row["id"] for row in rows for _ in range(k)],
        "group": [row["group"] for row in rows for _ in range(k)],
        "sample": [*range(k)] * len(rows),
    }
    return pa.table({name: columns[name] for name in records.COMPLETIONS.names}, schema=records.COMPLETIONS)
