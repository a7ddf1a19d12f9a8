"""Command `prepare`: the prompts of a study, as sft.jsonl, rl.jsonl and validation.jsonl with a manifest of hashes."""

from collections import Counter
from pathlib import Path

from chord.data.checks import check_disjoint, check_rows
from chord.data.rows import world_rows
from chord.data.spec import PrepareSpec
from chord.files import write_json, write_jsonl
from chord.provenance import file_sha256, manifest

SPLITS = ("sft", "rl", "validation")


def run(spec: dict, out: Path) -> dict:
    """Write the three splits and manifest.json into the folder `out` (other files in it stay); returns the manifest."""
    settings = PrepareSpec.model_validate(spec)
    splits = {
        name: world_rows(name, name, settings.source.k, getattr(settings, name), settings.seed) for name in SPLITS
    }
    for name, rows in splits.items():
        check_rows(rows, f"{name}.jsonl")
    check_disjoint(splits)
    for name, rows in splits.items():
        write_jsonl(out / f"{name}.jsonl", rows)
    record = manifest(
        spec=settings.model_dump(mode="json"),
        inputs={},
        files={f"{name}.jsonl": file_sha256(out / f"{name}.jsonl") for name in SPLITS},
        rows={name: len(rows) for name, rows in splits.items()},
        groups={name: dict(Counter(row["group"] for row in rows)) for name, rows in splits.items()},
    )
    write_json(out / "manifest.json", record)
    return record
