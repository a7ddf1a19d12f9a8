"""Examines a SLURM cluster to which the profile submits jobs: its programs, and nodes for every kind of job."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from chord.doctor.finding import Finding
from chord.doctor.machine import resources
from chord.plan import jobs
from chord.study import Study
from chord.study.resources import Resources

PROGRAMS = ("sbatch", "squeue", "scancel", "sinfo", "srun")  # Snakemake starts a job's steps with srun
NODE = re.compile(r"(\d+)\+?\s+(\d+)\+?\s+(\S.*)")
SINFO_SECONDS = 10  # without a limit, sinfo tries to reach a controller for about a minute
ASK = "ask the administrators of the cluster"


@dataclass(frozen=True)
class Node:
    cpus: int
    memory_mb: int
    gpus: int


def jobs_at_once(study: Study, profile: dict) -> int:
    """The number of runs that the profile allows in the queue."""
    runs = len(jobs(study, study.regular)["train"])
    limit = profile.get("jobs")
    return min(runs, limit) if isinstance(limit, int) else runs


def findings(study: Study, profile: dict) -> Iterator[Finding]:
    programs = PROGRAMS if profile.get("slurm-status-command") == "squeue" else (*PROGRAMS, "sacct")
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        remedy = "run this where jobs are submitted, often after `module load slurm`"
        if absent == ["sacct"]:
            remedy = "slurm-status-command: squeue in the profile, if the cluster has no accounting"
        yield Finding("missing", "SLURM", f"no {', '.join(absent)} on PATH", remedy)
        return
    try:
        output = _sinfo()
    except subprocess.TimeoutExpired:
        yield Finding("missing", "SLURM", f"sinfo: no answer in {SINFO_SECONDS} s", ASK)
        return
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip() or str(error)).splitlines()[0]
        yield Finding("missing", "SLURM", f"sinfo: {reason}", ASK)
        return
    nodes = read_nodes(output)
    if not nodes:
        first = next(iter(output.strip().splitlines()), "no nodes")
        yield Finding("missing", "SLURM", f"sinfo: {first}", ASK)
        return
    most = [max(getattr(node, resource) for node in nodes) for resource in ("cpus", "memory_mb", "gpus")]
    yield Finding("ok", "SLURM", "nodes have up to {:,} CPUs, {:,} MB and {:,} GPUs".format(*most))
    jobs_by_request: dict[Resources, list[str]] = {}
    for job, request in resources(study).items():
        jobs_by_request.setdefault(request, []).append(job)
    for request, names in jobs_by_request.items():
        if not any(fits(request, node) for node in nodes):
            text = f"{request.threads} CPUs, {request.mem_mb:,} MB and {request.gpus} GPUs"
            problem = f"no node has {text} for a job of {', '.join(names)}"
            yield Finding("missing", "SLURM", problem, "another cluster, or lower resources in the study")


def _sinfo() -> str:
    command = ["sinfo", "--noheader", "--Node", "--format=%c %m %G"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=SINFO_SECONDS).stdout


def read_nodes(text: str) -> set[Node]:
    """The kinds of nodes in sinfo's lines of CPUs, memory and generic resources (`4 4096 gpu:h100:2(S:0-1)`).

    Other lines are ignored: they are warnings that some clusters print.
    """
    nodes = set()
    for match in filter(None, map(NODE.fullmatch, map(str.strip, text.splitlines()))):
        cpus, memory, generic = match.groups()
        counts = re.findall(r"\bgpu:(?:[^:,()]+:)?(\d+)", generic)
        nodes.add(Node(int(cpus), int(memory), sum(map(int, counts))))
    return nodes


def fits(request: Resources, node: Node) -> bool:
    return node.cpus >= request.threads and node.memory_mb >= request.mem_mb and node.gpus >= request.gpus
