"""Command `croissant`: the data of a finished study as Croissant 1.1 (https://docs.mlcommons.org/croissant).

Each file of rows (JSON Lines) is a FileObject with its SHA-256 and a RecordSet with its fields. `meta`, a free object,
is in the files only.
"""

import os
import tomllib
from datetime import datetime
from pathlib import Path

import mlcroissant as mlc
import yaml

from chord.analysis.report.run_records import fetched
from chord.archive.finished import MANIFEST, FinishedStudy
from chord.data.row_format import EXPERT_KEYS, KEYS
from chord.errors import UserError
from chord.io.files import read_json, read_jsonl, write_json
from chord.io.provenance import input_sha256

VERSION = "http://mlcommons.org/croissant/1.1"
# Keys that are objects, or lists of them -> the keys inside.
NESTED = {"messages": ("role", "content"), "verdict": ("reward", "correct", "parsed", "reason")}
OTHER_TYPES = {
    "tokens": mlc.DataType.INTEGER,
    "verdict/reward": mlc.DataType.FLOAT,
    "verdict/correct": mlc.DataType.BOOL,
    "verdict/parsed": mlc.DataType.BOOL,
}


def run(finished: FinishedStudy, out: Path) -> None:
    """Write the file `out`, whose addresses are relative to it. UserError if the rows are not there."""
    write_json(out, metadata(finished, out.parent).to_json())


def metadata(finished: FinishedStudy, beside: Path) -> mlc.Metadata:
    """beside: the folder in which the metadata will be."""
    data = finished.folder / "data"
    if not (data / MANIFEST).is_file():
        raise UserError(f"{data / MANIFEST}: no such file; expected the data of the study (snakemake main)")
    project = tomllib.loads((finished.source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((finished.root / "CITATION.cff").read_text(encoding="utf-8"))
    (paper,) = citation["references"]
    ctx = mlc.Context(conforms_to=VERSION)
    files = sorted(data.rglob("*.jsonl"))
    return mlc.Metadata(
        ctx=ctx,
        conforms_to=[VERSION],
        name=f"chord-{finished.study.name}",
        description=f"Prompts, expert trajectories and benchmark rows of the study {finished.study.name} "
        f"({finished.study.title}), a replication of {paper['identifiers'][0]['value']}.",
        cite_as=f"{paper['title']}, {paper['identifiers'][0]['value']}",
        creators=[mlc.Organization(ctx=ctx, name=author["name"]) for author in citation["authors"]],
        license=_licences(finished, project["license"]),
        date_published=datetime.fromisoformat(read_json(data / MANIFEST)["finished"]),
        version=project["version"],
        distribution=[_file(ctx, path, data, beside) for path in files],
        record_sets=[_records(ctx, path, data) for path in files],
    )


def _licences(finished: FinishedStudy, own: str) -> list[str]:
    """Those of the datasets that the rows come from; of generated rows the project's own."""
    datasets = [item for item in fetched(finished.folder) if item["kind"] == "dataset"]
    return [item["licence"] or f"not stated: {item['address']}" for item in datasets] or [
        f"https://spdx.org/licenses/{own}"
    ]


def _name(path: Path, data: Path) -> str:
    return path.relative_to(data).as_posix().removesuffix(".jsonl")


def _file(ctx: mlc.Context, path: Path, data: Path, beside: Path) -> mlc.FileObject:
    return mlc.FileObject(
        ctx=ctx,
        id=path.relative_to(data).as_posix(),
        name=path.name,
        content_url=Path(os.path.relpath(path, beside)).as_posix(),
        content_size=f"{path.stat().st_size} B",
        encoding_formats=[mlc.EncodingFormat.JSON_LINES],
        sha256=input_sha256(path),
    )


def _records(ctx: mlc.Context, path: Path, data: Path) -> mlc.RecordSet:
    """The fields of a file: those of its first row."""
    first, *_ = read_jsonl(path)
    name, meanings = _name(path, data), KEYS | EXPERT_KEYS
    fields = [_field(ctx, path, data, key, meanings[key]) for key in meanings if key in first and key != "meta"]
    return mlc.RecordSet(ctx=ctx, id=name, name=name, fields=fields)


def _field(ctx: mlc.Context, path: Path, data: Path, key: str, meaning: str) -> mlc.Field:
    name = f"{_name(path, data)}/{key}"
    if key not in NESTED:
        source = _source(ctx, path, data, key)
        return mlc.Field(ctx=ctx, id=name, name=key, description=meaning, data_types=[_type(key)], source=source)
    inside = [
        mlc.Field(
            ctx=ctx,
            id=f"{name}/{part}",
            name=part,
            data_types=[_type(f"{key}/{part}")],
            source=_source(ctx, path, data, key, part),
        )
        for part in NESTED[key]
    ]
    is_list = {"is_array": True, "array_shape": "-1"} if key == "messages" else {}
    return mlc.Field(ctx=ctx, id=name, name=key, description=meaning, sub_fields=inside, **is_list)


def _type(key: str) -> str:
    return OTHER_TYPES.get(key, mlc.DataType.TEXT)


def _source(ctx: mlc.Context, path: Path, data: Path, column: str, part: str | None = None) -> mlc.Source:
    return mlc.Source(
        ctx=ctx,
        file_object=path.relative_to(data).as_posix(),
        extract=mlc.Extract(ctx=ctx, column=column),
        transforms=[mlc.Transform(ctx=ctx, json_path=part)] if part else [],
    )
