"""A finished study: the code and configuration that it ran with, its files, and what their manifests record."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from chord.errors import UserError
from chord.io import parquet
from chord.io.files import read_json, visible_files
from chord.io.provenance import COPY_RECORD
from chord.io.source import PARTS, read_copy
from chord.study import Study, load_study
from chord.study.places import folders

# Parts of paths below results/<study> that are no results: code has a place of its own, downloads have their address
# in a manifest, and the rest is of the machine that ran the study.
NO_RESULTS = {"source", "logs", "hub", "lock", "checkpoints", "tensorboard"}
MANIFEST = "manifest.json"
WEIGHTS = "*.safetensors"


class Record(NamedTuple):
    """A manifest, and the files that its job wrote."""

    name: str  # of the manifest, or of the parquet file that has it in its metadata; relative to results/<study>
    content: dict
    outputs: list[Path]


@dataclass(frozen=True)
class FinishedStudy:
    study: Study
    root: Path  # the checkout
    source: Path  # the checkout, or the copy of it that the jobs ran
    folder: Path  # results/<study>

    @property
    def study_file(self) -> tuple[Path, str]:
        """The study's YAML, and its place relative to the source."""
        shipped = f"config/studies/{self.study.name}.yaml"
        if (self.source / shipped).is_file():
            return self.source / shipped, shipped
        place = f"study/{self.study.name}.yaml"
        return self.source / place, place

    def code(self) -> dict[str, Path]:
        """Place -> file of what makes a workflow of its own: code, configuration, and inputs that have no address.

        These are the start model and the datasets that the study names as folders of the checkout.
        """
        inputs = [path for path in folders(self.study).values() if path.is_dir() and path.is_relative_to(self.source)]
        made = self.source / "results"
        places = [self.source / part for part in PARTS] + [path for path in inputs if not path.is_relative_to(made)]
        files = [path for place in places for path in (visible_files(place) if place.is_dir() else [place])]
        kept = [path for path in files if "__pycache__" not in path.parts and ".egg-info" not in str(path)]
        path, place = self.study_file
        return {item.relative_to(self.source).as_posix(): item for item in kept} | {place: path}

    def results(self) -> list[Path]:
        """The results, without weights: those of a paper's study are gigabytes, and their hashes are in manifests."""
        files = [
            path
            for path in visible_files(self.folder)
            if not NO_RESULTS.intersection(path.relative_to(self.folder).parts) and ".partial-" not in path.name
        ]
        downloads = sorted(self.folder.glob(f"hub/*/*/*.{MANIFEST}"))
        return downloads + [path for path in files if path.name == MANIFEST or not _is_model(path.parent)]

    def records(self) -> Iterator[Record]:
        """Every manifest of the results: beside its files, or in the metadata of a parquet file."""
        results = self.results()
        for path in results:
            name = path.relative_to(self.folder).as_posix()
            if path.suffix == ".parquet":
                content = json.loads(parquet.read_schema(path).metadata[b"chord"])
                yield Record(name, content.get("score", content), [path])
            elif path.name == MANIFEST:
                content = read_json(path)
                named = [path.parent / file for file in content.get("files", [])]
                yield Record(name, content, [file for file in named if file in results])
            elif path.name.endswith(f".{MANIFEST}"):
                stem = path.name.removesuffix(MANIFEST)
                same = [file for file in results if file.parent == path.parent and file.name.startswith(stem)]
                yield Record(name, read_json(path), [file for file in same if file != path])


def finished_study(name: str, root: Path, results: Path, seeds: int | None) -> FinishedStudy:
    """name: as for `load_study`; results: the folder of all studies' results. UserError if the study has no result.

    The study is read from the newest copy of the source that its jobs ran, or, if there is none, from the checkout.
    """
    folder = results / Path(name).name.removesuffix(".yaml")
    if not (folder / "main" / "cells.parquet").is_file():
        raise UserError(f"{folder}/main/cells.parquet: no such file; expected a study that has run (snakemake main)")
    copies = sorted(folder.glob(f"source/*/{COPY_RECORD}"), key=lambda path: path.stat().st_mtime)
    if not copies:
        return FinishedStudy(load_study(name, root, seeds), root, root, folder)
    source = copies[-1].parent
    copy = read_copy(source)
    return FinishedStudy(load_study(copy.study, source, seeds or copy.seeds), root, source, folder)


def _is_model(folder: Path) -> bool:
    return any(folder.glob(WEIGHTS))
