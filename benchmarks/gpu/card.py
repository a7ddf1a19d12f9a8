"""The card and the versions that a result belongs to."""

import platform
import re
from importlib.metadata import PackageNotFoundError, version

import torch
from benchmarks.gpu.sizes import Size
from benchmarks.step.cases import ROOT

from chord.study.hardware import GPUS
from chord.study.yaml_files import read_yaml

PACKAGES = ("torch", "triton", "transformers", "accelerate", "trl", "peft", "vllm")
GIB = 2**30


def measure(size: Size) -> dict:
    """What `card` says of every result."""
    versions = {name: _version(name) for name in PACKAGES} | {"python": platform.python_version()}
    if not torch.cuda.is_available():
        return {"name": "cpu", "memory_gib": None, "used_gib": None, "bf16_tflops": None, "versions": versions}
    free, total = torch.cuda.mem_get_info()
    return {
        "name": torch.cuda.get_device_name(),
        "memory_gib": total / GIB,
        "used_gib": (total - free) / GIB,  # by this process's context, and by others
        "bf16_tflops": bf16_tflops(torch.cuda.get_device_name(), total / GIB),
        "versions": versions | {"cuda": torch.version.cuda},
    }


def bf16_tflops(name: str, memory_gib: float) -> float | None:
    """The peak of config/gpus.yaml for the card of this name whose memory is nearest; None if it has none."""
    words = set(re.split(r"[^A-Za-z0-9]+", name.upper()))
    entries = [
        values
        for entry, values in read_yaml(ROOT / GPUS, GPUS).items()
        if set(entry.upper().split("-")[:-1]) <= words  # without its last word, the memory
    ]
    if not entries:
        return None
    return min(entries, key=lambda values: abs(values["memory_gib"] - memory_gib))["bf16_tflops"]


def mfu(flops: float, seconds: float) -> float | None:
    """The share of the peak; None where the peak is unknown."""
    if not torch.cuda.is_available():
        return None
    total = torch.cuda.get_device_properties(0).total_memory
    peak = bf16_tflops(torch.cuda.get_device_name(), total / GIB)
    return None if peak is None else flops / (seconds * peak * 1e12)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
