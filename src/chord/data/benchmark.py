"""Command `benchmark`: the test questions of one benchmark, as <benchmark>.jsonl with a manifest beside it."""

from collections import Counter
from pathlib import Path

from chord.data.checks import check_rows
from chord.data.rows import skill_rows, world_rows
from chord.data.spec import BenchmarkSpec, SkillsSource
from chord.files import write_json, write_jsonl
from chord.provenance import file_sha256, manifest


def run(spec: dict, out: Path) -> dict:
    """Write the rows to `out` (JSON Lines) and <stem>.manifest.json beside it; returns the manifest."""
    settings = BenchmarkSpec.model_validate(spec)
    source = settings.source
    if isinstance(source, SkillsSource):
        rows = skill_rows(settings.name, source.groups, settings.rows_per_group, settings.seed)
    else:
        rows = world_rows("test", settings.name, source.k, settings.rows_per_group * len(source.k), settings.seed)
    check_rows(rows, out.name)
    write_jsonl(out, rows)
    record = manifest(
        spec=settings.model_dump(mode="json"),
        inputs={},
        files={out.name: file_sha256(out)},
        rows=len(rows),
        groups=dict(Counter(row["group"] for row in rows)),
    )
    write_json(out.with_suffix(".manifest.json"), record)
    return record
