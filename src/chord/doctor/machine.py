"""This machine, where the jobs of a study run on it: memory and GPUs."""

import os
import shutil
import subprocess
from collections.abc import Iterator

from chord.doctor.finding import Finding
from chord.jobs import RESOURCE_KEYS
from chord.study import Study
from chord.study.study_file import Resources


def findings(study: Study, profile: dict) -> Iterator[Finding]:
    yield memory(study, jobs_at_once(study, profile), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20)
    yield gpus(largest(study, "gpus")[1])


def jobs_at_once(study: Study, profile: dict) -> int:
    """As many of the largest jobs as the profile's cores can run."""
    cores = profile.get("cores")
    if not isinstance(cores, int):  # `all`
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, cores // largest(study, "threads")[1])


def resources(study: Study) -> dict[str, Resources]:
    """Job -> what one of them asks for. Without `pretrain`, whose result the study starts from."""
    return {job: study.resources(job) for job in RESOURCE_KEYS if job != "pretrain"}


def largest(study: Study, resource: str) -> tuple[str, int]:
    """The job that asks for the most of a resource (threads, mem_mb, gpus), and how much."""
    asked = {job: getattr(one, resource) for job, one in resources(study).items()}
    job = max(asked, key=asked.get)
    return job, asked[job]


def memory(study: Study, together: int, total_mb: int) -> Finding:
    rule, asked = largest(study, "mem_mb")
    found = f"{asked:,} MB for a job of {rule}, {together} at once; this machine has {total_mb:,} MB"
    if asked > total_mb:
        return Finding("missing", "memory", found, f"another machine; or lower resources.{rule}.mem_mb of the study")
    if asked * together > total_mb:
        remedy = f"snakemake --resources mem_mb={total_mb * 9 // 10}, which starts only what fits"
        return Finding("note", "memory", found, remedy)
    return Finding("ok", "memory", found)


def gpus(asked: int) -> Finding:
    if not asked:
        return Finding("ok", "GPU", "none asked for")
    import torch

    usable = torch.cuda.device_count()
    if usable >= asked:
        return Finding("ok", "GPU", f"{asked} for a job; {usable} x {torch.cuda.get_device_name(0)}")
    present = _listed_by_driver()
    found = f"{asked} for a job; the driver shows {present}, torch {torch.__version__} can use {usable}"
    if present >= asked and torch.version.cuda is None:
        remedy = "this torch is a build without CUDA: install PyPI's, or run with --use-conda (workflow/envs/gpu.yml)"
        return Finding("missing", "GPU", found, remedy)
    return Finding("missing", "GPU", found, "another machine, or gpus: 0 in the study's resources")


def _listed_by_driver() -> int:
    """GPUs that NVIDIA's driver shows; 0 without a driver, or when it fails."""
    if not shutil.which("nvidia-smi"):
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return len(listed.stdout.splitlines()) if listed.returncode == 0 else 0
