"""Command `benchmark`: the test questions of one benchmark, as <benchmark>.jsonl with a manifest beside it."""

from collections import Counter
from itertools import chain
from pathlib import Path

from chord.data.bfcl_reader import bfcl_files, bfcl_rows
from chord.data.columns_reader import column_rows
from chord.data.function_splits import choose_families, families
from chord.data.hub_folder import source_folder
from chord.data.prepare import source_files
from chord.data.reasoning_gym_rows import rows_of_each
from chord.data.references import NoReference
from chord.data.row_format import check_ids, check_rows, identity
from chord.data.rows_spec import BenchmarkSpec, BfclSource, ColumnsSource, GymSource, SkillsSource
from chord.errors import UserError
from chord.io.files import write_json, write_jsonl
from chord.io.provenance import file_sha256, manifest
from chord.io.seeds import derive_seed
from chord.tasks import fault
from chord.world.rows import skill_rows, world_rows


def run(spec: dict, out: Path) -> dict:
    """Write the rows to `out` (JSON Lines) and <stem>.manifest.json beside it; returns the manifest."""
    settings = BenchmarkSpec.model_validate(spec)
    source = settings.source
    inputs, more = {}, {}
    if isinstance(source, SkillsSource):
        rows = skill_rows(settings.name, source.groups, settings.rows_per_group, settings.seed)
        check_rows(rows, out.name)
    elif isinstance(source, GymSource):
        rows = rows_of_each(settings.name, source, settings.rows_per_group, settings.seed)
        check_rows(rows, out.name)
    elif isinstance(source, ColumnsSource | BfclSource):
        rows, inputs = _dataset_rows(settings)
        # Hub benchmarks do repeat questions here and there; they are what everybody reports on, so they stay.
        check_ids(rows, out.name)
        if faults := [problem for problem in map(fault, rows) if problem]:
            raise UserError(f"{out.name}: {len(faults)} rows by which no answer could be judged; {faults[0]}")
        more = {"read": len(rows), "repeated_questions": len(rows) - len({identity(row) for row in rows})}
        rows = _some(rows, settings)
    else:
        rows = world_rows("test", settings.name, source.k, settings.rows_per_group * len(source.k), settings.seed)
        check_rows(rows, out.name)
    write_jsonl(out, rows)
    record = manifest(
        spec=settings.specification(),
        inputs=inputs,
        files={out.name: file_sha256(out)},
        rows=len(rows),
        groups=dict(Counter(row["group"] for row in rows)),
        **more,
    )
    write_json(out.with_suffix(".manifest.json"), record)
    return record


def _dataset_rows(settings: BenchmarkSpec) -> tuple[list[dict], dict[str, Path]]:
    source = settings.source
    folder = source_folder(source.folder, source.dataset)
    if isinstance(source, BfclSource):
        rows = list(bfcl_rows(source, folder))
        used = [path for pair in bfcl_files(source, folder).values() for path in pair if path]
        inputs = {path.relative_to(folder).as_posix(): path for path in used}
    else:
        without: list[NoReference] = []
        rows = list(column_rows(source, folder, settings.name, without))
        if len(without) > 1:
            raise UserError(f"{without[0]}; so are {len(without)} of {len(rows) + len(without)} rows")
        if without:
            raise without[0]
        inputs = source_files(source)
    if not rows:
        raise UserError(f"{folder}: no rows in {', '.join(inputs)}")
    return rows, inputs


def _some(rows: list[dict], settings: BenchmarkSpec) -> list[dict]:
    """`rows_per_group` of each group, by a hash and in their own order; all where it is not given."""
    if settings.rows_per_group is None:
        return rows

    def place(row: dict) -> int:
        return derive_seed(settings.seed, "rows", settings.name, row["id"])

    by_functions = isinstance(settings.source, BfclSource) and settings.source.choose == "functions"
    units = families(rows) if by_functions else range(len(rows))
    groups: dict[str, dict[int, list[dict]]] = {}
    for row, unit in zip(rows, units, strict=True):
        groups.setdefault(row["group"], {}).setdefault(unit, []).append(row)
    ids = set()
    for group in groups.values():
        chosen = (group[unit] for unit in choose_families(group, settings.rows_per_group, place))
        ids.update(row["id"] for row in list(chain.from_iterable(chosen))[: settings.rows_per_group])
    return [row for row in rows if row["id"] in ids]
