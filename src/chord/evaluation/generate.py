"""Every completion of a benchmark by one model, kept: scoring, tables and figures never need the model again."""

import logging
from pathlib import Path

import pyarrow as pa
import torch
from transformers import AutoTokenizer

from chord.evaluation import columns
from chord.evaluation.parts import Parts
from chord.evaluation.rows import read_rows
from chord.evaluation.spec import GenerateSpec
from chord.evaluation.workers import Batch, Completion, complete_batches
from chord.provenance import environment, file_sha256, manifest, source_sha256, utc_now
from chord.rollouts import encode_prompts, fixed_batches
from chord.seeds import derive_seed

log = logging.getLogger(__name__)


def run(spec: dict, model: Path, rows: Path, out: Path) -> None:
    """Answer each row k times. spec: a GenerateSpec; model: a model folder; out: completions.parquet."""
    settings = GenerateSpec.model_validate(spec)
    inputs = {"model": model, "rows": rows}
    record = manifest(settings.content(), inputs, **_identity(settings), manifest=_manifest_of(model))
    questions = read_rows(rows)
    items = [(row, sample) for row in questions for sample in range(settings.k)]
    # The method is not among the parts: all methods of one seed index meet the same noise.
    seeds = [
        derive_seed(settings.study_seed, settings.seed_index, "evaluate", settings.benchmark, row["id"], sample)
        for row, sample in items
    ]
    prompts = encode_prompts(AutoTokenizer.from_pretrained(model), questions)
    prompt_ids = [ids for ids in prompts for _ in range(settings.k)]
    places = fixed_batches(prompt_ids, settings.batch_rows)

    decisive = {key: record[key] for key in ("spec", "inputs")} | {
        "code": source_sha256("rollouts", "evaluation"),
        "environment": environment(),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }
    parts = Parts(out, decisive)
    batches = [
        Batch(number, [prompt_ids[i] for i in members], [seeds[i] for i in members])
        for number, members in enumerate(places)
        if not parts.has(number)
    ]
    log.info("%d completions, %d of %d batches to do", len(items), len(batches), len(places))
    ready = complete_batches(model, settings.decoding, batches, settings.workers)
    for done, (batch, completions) in enumerate(ready, start=len(places) - len(batches) + 1):
        parts.write(batch.number, _table([items[i] for i in places[batch.number]], batch.seeds, completions))
        log.info("%d of %d batches done", done, len(places))

    order = [index for members in places for index in members]
    back = sorted(range(len(order)), key=order.__getitem__)
    columns.write(out, parts.read(len(places)).take(back), record | {"finished": utc_now()})
    parts.remove()


def _identity(spec: GenerateSpec) -> dict:
    return {"method": spec.method, "seed_index": spec.seed_index, "benchmark": spec.benchmark, "k": spec.k}


def _manifest_of(model: Path) -> str | None:
    """SHA-256 of the manifest of what made the model: in its folder, or beside it in the run's. None if it has none."""
    found = [path for path in (model / "manifest.json", model.parent / "manifest.json") if path.is_file()]
    return file_sha256(found[0]) if found else None


def _table(items: list[tuple[dict, int]], seeds: list[int], completions: list[Completion]) -> pa.Table:
    return pa.table(
        {
            "prompt_id": [row["id"] for row, _ in items],
            "group": [row["group"] for row, _ in items],
            "sample": [sample for _, sample in items],
            "text": [completion.text for completion in completions],
            "tokens": [completion.tokens for completion in completions],
            "truncated": [completion.truncated for completion in completions],
            "seed": seeds,
        },
        schema=columns.COMPLETIONS,
    )
