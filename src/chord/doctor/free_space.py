"""Whether the results can be written, and whether there is room for them."""

import json
import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from chord.doctor.finding import Finding
from chord.plan import jobs, questions
from chord.study import Study

RUN_BYTES = 200_000  # curves, events, manifest and scores of a run
TOKEN_BYTES = 2  # of a completion, compressed; measured 1.4 to 4.5, and few responses are as long as they may be


def findings(study: Study, results: Path, at_once: int) -> Iterator[Finding]:
    """at_once: training jobs that have checkpoints at the same time."""
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
    needed = bytes_needed(study, model_parameters(start_model(study, results)), at_once)
    if needed is None:
        yield Finding("note", "disk", f"{_gb(free)} free; how much is needed is known when the model is there")
    elif needed > free:
        yield Finding("missing", "disk", f"about {_gb(needed)} needed, {_gb(free)} free", f"make room in {folder}")
    else:
        yield Finding("ok", "disk", f"about {_gb(needed)} needed, {_gb(free)} free")


def start_model(study: Study, results: Path) -> Path:
    return results / study.name / "hub/models" / study.model if study.model_is_on_hub else study.root / study.model


def model_parameters(folder: Path) -> int | None:
    """Parameters of a model folder, from the headers of its safetensors files; None where there are none."""
    count = 0
    for path in folder.glob("*.safetensors"):
        with open(path, "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        count += sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    return count or None


def bytes_needed(study: Study, parameters: int | None, at_once: int) -> int | None:
    """About what every comparison leaves behind, and beside it the checkpoints of the jobs under way.

    Weights are float32. A job has two checkpoints of weights and Adam's two moments, and a copy of the best weights.
    """
    if parameters is None:
        return None
    planned = jobs(study, study.regular)
    weights = 4 * parameters
    runs, evaluated = len(planned["train"]), len(planned["generate"]) // len(study.benchmarks)
    tokens = sum(
        questions(benchmark) * benchmark.k * benchmark.decoding.max_response_tokens
        for benchmark in study.benchmarks.values()
    )
    checkpoints = min(at_once, runs) * (2 * 3 + 1) * weights
    return runs * (weights + RUN_BYTES) + checkpoints + evaluated * tokens * TOKEN_BYTES


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"
