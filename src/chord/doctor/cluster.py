"""A SLURM cluster, where the profile submits the jobs: its programs, and whether some node can hold the largest job."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from chord.doctor.finding import Finding
from chord.doctor.machine import resources
from chord.plan import jobs
from chord.study import Study
from chord.study.study_file import Resources

PROGRAMS = ("sbatch", "squeue", "scancel", "sinfo", "srun")  # Snakemake starts a job's steps with srun
NODE = re.compile(r"(\d+)\+?\s+(\d+)\+?\s+(\S.*)")
PATIENCE_SECONDS = 10  # sinfo itself looks for a controller for about a minute
ASK = "ask those who run the cluster"


@dataclass(frozen=True)
class Node:
    cpus: int
    memory_mb: int
    gpus: int


def jobs_at_once(study: Study, profile: dict) -> int:
    """As many runs as the profile lets into the queue."""
    runs = len(jobs(study, study.regular)["train"])
    limit = profile.get("jobs")
    return min(runs, limit) if isinstance(limit, int) else runs


def findings(study: Study, profile: dict) -> Iterator[Finding]:
    wanted = PROGRAMS if profile.get("slurm-status-command") == "squeue" else (*PROGRAMS, "sacct")
    absent = [program for program in wanted if shutil.which(program) is None]
    if absent:
        remedy = "run this where jobs are submitted, often after `module load slurm`"
        if absent == ["sacct"]:
            remedy = "slurm-status-command: squeue in the profile, where there is no accounting"
        yield Finding("missing", "SLURM", f"no {', '.join(absent)} on PATH", remedy)
        return
    try:
        said = _sinfo()
    except subprocess.TimeoutExpired:
        yield Finding("missing", "SLURM", f"sinfo: no answer in {PATIENCE_SECONDS} s", ASK)
        return
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip() or str(error)).splitlines()[0]
        yield Finding("missing", "SLURM", f"sinfo: {reason}", ASK)
        return
    nodes = read_nodes(said)
    if not nodes:
        first = next(iter(said.strip().splitlines()), "no nodes")
        yield Finding("missing", "SLURM", f"sinfo: {first}", ASK)
        return
    most = [max(getattr(node, resource) for node in nodes) for resource in ("cpus", "memory_mb", "gpus")]
    yield Finding("ok", "SLURM", "nodes have up to {:,} CPUs, {:,} MB and {:,} GPUs".format(*most))
    rules: dict[Resources, list[str]] = {}
    for rule, needed in resources(study).items():
        rules.setdefault(needed, []).append(rule)
    for needed, names in rules.items():
        if not any(fits(needed, node) for node in nodes):
            asked_for = f"{needed.threads} CPUs, {needed.mem_mb:,} MB and {needed.gpus} GPUs"
            found = f"no node has {asked_for} for a job of {', '.join(names)}"
            yield Finding("missing", "SLURM", found, "another cluster, or lower resources in the study")


def _sinfo() -> str:
    command = ["sinfo", "--noheader", "--Node", "--format=%c %m %G"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS).stdout


def read_nodes(text: str) -> set[Node]:
    """The kinds of nodes in sinfo's lines of CPUs, memory and generic resources (`4 4096 gpu:h100:2(S:0-1)`).

    Other lines are warnings, which some sites print among them.
    """
    nodes = set()
    for found in filter(None, map(NODE.fullmatch, map(str.strip, text.splitlines()))):
        cpus, memory, generic = found.groups()
        counts = re.findall(r"\bgpu:(?:[^:,()]+:)?(\d+)", generic)
        nodes.add(Node(int(cpus), int(memory), sum(map(int, counts))))
    return nodes


def fits(needed: Resources, node: Node) -> bool:
    return node.cpus >= needed.threads and node.memory_mb >= needed.mem_mb and node.gpus >= needed.gpus
