"""The source that jobs run: a copy of the checkout's code and configuration, as it was when Snakemake planned them.

Jobs may wait for days on a cluster, and each of them parses the Snakefile and imports the package again. From the
checkout they would run its later state under the name of what was planned. The copy is named by its content, so the
jobs of a later call use the same one unless something was edited.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from chord.errors import UserError
from chord.io.files import atomic_folder, read_json, remove_partials, visible_files, write_json
from chord.io.provenance import COPY_RECORD, git_commit

PARTS = ("Snakefile", "workflow", "config", "src/chord", "environment.yml", "pyproject.toml")


class SourceCopy(NamedTuple):
    """What a copy belongs to."""

    root: Path  # the checkout: its inputs, such as models, are not copied
    study: Path  # the copied file of the study
    seeds: int | None  # as the configuration gave it


def read_copy(source: Path) -> SourceCopy | None:
    """What the copy at `source` belongs to; None if `source` is a checkout."""
    if not (source / COPY_RECORD).exists():
        return None
    record = read_json(source / COPY_RECORD)
    return SourceCopy(Path(record["root"]), source / "study" / record["study"], record["seeds"])


def copy_source(root: Path, folder: Path, study: str, seeds: int | None) -> Path:
    """Copy the source at `root` below `folder`, unless it is there already; returns the copy, as an absolute path.

    study: a name or a path, as `load_study` takes it. One process at a time: Snakemake holds the folder's lock.
    """
    shipped = root / "config" / "studies" / f"{study}.yaml"
    study_file = shipped if shipped.is_file() else Path(study)
    files = {f"study/{study_file.name}": study_file.read_bytes()}
    for part in PARTS:
        place = root / part
        if not place.exists():
            raise UserError(f"{place}: no such file or folder; expected a checkout with {', '.join(PARTS)}")
        for path in visible_files(place) if place.is_dir() else [place]:
            if "__pycache__" not in path.parts:
                files[path.relative_to(root).as_posix()] = path.read_bytes()
    record = {"root": str(root.resolve()), "study": study_file.name, "seeds": seeds, "git_commit": git_commit()}
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name, content in sorted(files.items()):
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    copy = folder.resolve() / digest.hexdigest()[:16]
    remove_partials(folder)
    if not copy.exists():
        with atomic_folder(copy) as new:
            for name, content in files.items():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).write_bytes(content)
            # Paths in the configuration start at the root, so everything else there must be reachable through the copy.
            for path in root.iterdir():
                hidden, holds_copy = path.name.startswith("."), copy.is_relative_to(path.resolve())
                if not hidden and not holds_copy and not (new / path.name).exists():
                    (new / path.name).symlink_to(path.resolve())
            write_json(new / COPY_RECORD, record)
    return copy
