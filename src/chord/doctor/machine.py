"""Examines the memory and GPUs of this machine, if the jobs of a study run on it."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping

from chord.doctor.finding import Finding
from chord.io.devices import available_cores
from chord.jobs import RESOURCE_KEYS
from chord.study import Study
from chord.study.resources import Resources

BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")  # the last one on Arm


def findings(study: Study, profile: dict) -> Iterator[Finding]:
    yield memory(study, jobs_at_once(study, profile), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20)
    yield gpus(largest(study, "gpus")[1])
    if study.settings.training.scale.precision == "bf16" and not study.resources("train").gpus:
        import torch

        yield bf16(torch.cpu.get_capabilities())


def jobs_at_once(study: Study, profile: dict) -> int:
    """The number of the largest jobs that the profile's cores can run together."""
    cores = profile.get("cores")
    if not isinstance(cores, int):  # `all`
        cores = available_cores()
    return max(1, cores // largest(study, "threads")[1])


def resources(study: Study) -> dict[str, Resources]:
    """Job -> the resources that it requests, except for `pretrain`, whose result the study starts from."""
    return {job: study.resources(job) for job in RESOURCE_KEYS if job != "pretrain"}


def largest(study: Study, resource: str) -> tuple[str, int]:
    """The job that requests the most of a resource (threads, mem_mb, gpus), and the amount."""
    amounts = {job: getattr(request, resource) for job, request in resources(study).items()}
    job = max(amounts, key=amounts.get)
    return job, amounts[job]


def memory(study: Study, together: int, total_mb: int) -> Finding:
    job, mem_mb = largest(study, "mem_mb")
    detail = f"{mem_mb:,} MB for a job of {job}, {together} at once; this machine has {total_mb:,} MB"
    if mem_mb > total_mb:
        return Finding("missing", "memory", detail, f"another machine, or a lower resources.{job}.mem_mb in the study")
    if mem_mb * together > total_mb:
        remedy = f"snakemake --resources mem_mb={total_mb * 9 // 10}, which starts only jobs that fit"
        return Finding("note", "memory", detail, remedy)
    return Finding("ok", "memory", detail)


def gpus(count: int) -> Finding:
    if not count:
        return Finding("ok", "GPU", "none requested")
    import torch

    usable = torch.cuda.device_count()
    if usable >= count:
        return Finding("ok", "GPU", f"{count} for a job; {usable} x {torch.cuda.get_device_name(0)}")
    present = _listed_by_driver()
    detail = f"{count} for a job; the driver shows {present}, torch {torch.__version__} can use {usable}"
    if present >= count and torch.version.cuda is None:
        remedy = "this torch is a build without CUDA: install PyPI's, or run with --use-conda (workflow/envs/gpu.yml)"
        return Finding("missing", "GPU", detail, remedy)
    return Finding("missing", "GPU", detail, "another machine, or gpus: 0 in the study's resources")


def bf16(capabilities: Mapping[str, object]) -> Finding:
    """capabilities: torch's, of this CPU."""
    if has := [name for name in BF16_INSTRUCTIONS if capabilities.get(name)]:
        return Finding("ok", "bf16", f"the CPU has {', '.join(has)}")
    detail = "the CPU has no instructions for it, so training takes ten times as long as in fp32"
    return Finding("note", "bf16", detail, "training: {scale: {precision: fp32}} in the study")


def _listed_by_driver() -> int:
    """GPUs that NVIDIA's driver shows; 0 without a driver, or when it fails."""
    if not shutil.which("nvidia-smi"):
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return len(listed.stdout.splitlines()) if listed.returncode == 0 else 0
