"""Command `prepare`: the prompts of a study, a file for each split (sft.jsonl, ...), with a manifest of hashes."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from chord.data.function_splits import draw_by_function
from chord.data.hub_folder import data_files, source_folder
from chord.data.pool import Pool, bfcl_pool, column_pool, openr1_pool, toolace_pool
from chord.data.reasoning_gym_rows import mixed_rows
from chord.data.row_format import check_disjoint, check_rows
from chord.data.rows_spec import (
    BfclPromptsSource,
    GymPromptsSource,
    OpenR1Source,
    Place,
    PrepareSpec,
    SplitsSource,
    ToolAceSource,
    WorldSource,
)
from chord.data.splits import PRIMING, VALIDATION, Draw, draw_splits
from chord.errors import UserError
from chord.io.files import read_jsonl, write_json, write_jsonl
from chord.io.provenance import file_sha256, manifest
from chord.world.rows import world_rows

SPLITS = ("sft", "rl", VALIDATION)
CONTAMINATION = "contamination.json"


def run(spec: dict, out: Path, benchmarks: Iterable[Path] = (), policy: Path | None = None) -> dict:
    """Write the splits and manifest.json into the folder `out` (other files in it stay); returns the manifest.

    The splits are sft, rl, validation and, where the specification has a size for it, priming.

    Of a dataset there is contamination.json besides: which rows were dropped because of which test question.
    benchmarks: rows that no split may repeat (<benchmark>.jsonl); policy: model folder whose tokenizer counts tokens.
    """
    settings = PrepareSpec.model_validate(spec)
    inputs: dict[str, Path] = {}
    more: dict = {}
    if isinstance(settings.source, WorldSource):
        splits = {
            name: world_rows(name, name, settings.source.k, getattr(settings, name), settings.seed) for name in SPLITS
        }
    elif isinstance(settings.source, GymPromptsSource):
        splits = {name: mixed_rows(name, settings.source, getattr(settings, name), settings.seed) for name in SPLITS}
    else:
        tests = {path.stem: read_jsonl(path) for path in benchmarks}
        inputs = {path.name: path for path in benchmarks} | source_files(settings.source)
        if isinstance(settings.source, OpenR1Source):
            inputs["tokenizer"] = _tokenizer_file(policy)
        pools, drawn = _draw(settings, tests, policy)
        splits = drawn.splits
        more = {
            "sources": {name: {"read": pool.rows_read, "dropped": dict(+pool.drops)} for name, pool in pools.items()},
            "drawn_from": drawn.available,
            "contamination": drawn.contamination.counts(),
        }
    for name, rows in splits.items():
        check_rows(rows, f"{name}.jsonl")
    check_disjoint(splits)
    for name, rows in splits.items():
        write_jsonl(out / f"{name}.jsonl", rows)
    files = [f"{name}.jsonl" for name in splits]
    if more:
        write_json(out / CONTAMINATION, {"dropped": drawn.contamination.counts(), "rows": drawn.contamination.pairs})
        files.append(CONTAMINATION)
    record = manifest(
        spec=settings.specification(),
        inputs=inputs,
        files={name: file_sha256(out / name) for name in files},
        rows={name: len(rows) for name, rows in splits.items()},
        groups={name: dict(Counter(row["group"] for row in rows)) for name, rows in splits.items()},
        **more,
    )
    write_json(out / "manifest.json", record)
    return record


def source_files(source: Place | SplitsSource) -> dict[str, Path]:
    """The dataset's files that a source reads, by their name in the manifest."""
    if isinstance(source, SplitsSource):
        return {
            f"{split}/{name}": path
            for split, part in (("sft", source.sft), ("rl", source.rl))
            for name, path in source_files(part).items()
        }
    folder = source_folder(source.folder, source.dataset)
    return {path.relative_to(folder).as_posix(): path for path in data_files(folder, source.globs)}


def _draw(settings: PrepareSpec, tests: dict[str, list[dict]], policy: Path | None) -> tuple[dict[str, Pool], Draw]:
    source = settings.source
    if isinstance(source, SplitsSource):
        pools = {
            name: column_pool(part, source_folder(part.folder, part.dataset), name)
            for name, part in (("sft", source.sft), ("rl", source.rl))
        }
    else:
        folder = source_folder(source.folder, source.dataset)
        if isinstance(source, OpenR1Source):
            from chord.io.models import load_tokenizer  # seconds that the other sources do not need

            pool = openr1_pool(source, folder, load_tokenizer(policy))
        elif isinstance(source, BfclPromptsSource):
            pool = bfcl_pool(source, folder)
        elif isinstance(source, ToolAceSource):
            pool = toolace_pool(source, folder)
        else:
            pool = column_pool(source, folder, "train")
        pools = {source.kind: pool}
    sizes = {name: getattr(settings, name) for name in SPLITS}
    in_order = list(pools.values())
    if isinstance(source, BfclPromptsSource):
        sizes |= {PRIMING: settings.priming} if settings.priming else {}
        return pools, draw_by_function(*in_order, sizes, tests, settings.seed, source.draw)
    return pools, draw_splits(in_order[0], in_order[-1], sizes, tests, settings.seed, source.draw)


def _tokenizer_file(policy: Path | None) -> Path:
    if policy is None:
        raise UserError("prepare: --policy: missing; the OpenR1 recipe counts tokens with the policy's tokenizer")
    path = policy / "tokenizer.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the tokenizer of the policy")
    return path
