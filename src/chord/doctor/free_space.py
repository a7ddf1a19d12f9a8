"""Examines whether the results can be written, and whether the disk has room for them."""

import json
import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from chord.data.download_spec import folder_name
from chord.doctor.finding import Finding
from chord.plan import bytes_needed
from chord.study import Study


def findings(study: Study, results: Path, at_once: int) -> Iterator[Finding]:
    """at_once: number of training jobs that have checkpoints at the same time."""
    out = results / study.name
    folder = next(path for path in (out, *out.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        remedy = "snakemake --directory FOLDER puts the results elsewhere"
        yield Finding("missing", "results", f"{folder}: cannot be written ({error.strerror})", remedy)
        return
    yield Finding("ok", "results", f"{out} can be written")
    free = shutil.disk_usage(folder).free
    parameters = model_parameters(start_model(study, results))
    if parameters is None:
        yield Finding("note", "disk", f"{_gb(free)} free; the need is unknown until the model exists")
        return
    needed = bytes_needed(study, parameters, at_once)
    if needed > free:
        yield Finding("missing", "disk", f"about {_gb(needed)} needed, {_gb(free)} free", f"make room in {folder}")
    else:
        yield Finding("ok", "disk", f"about {_gb(needed)} needed, {_gb(free)} free")


def start_model(study: Study, results: Path) -> Path:
    fetched = results / study.name / "hub/models" / folder_name(study.model)
    return fetched if study.model_is_fetched else study.root / study.model


def model_parameters(folder: Path) -> int | None:
    """The parameters of a model, from the headers of its safetensors files; None if there are none."""
    count = 0
    for path in folder.glob("*.safetensors"):
        with open(path, "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        count += sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    return count or None


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
