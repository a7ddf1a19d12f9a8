"""The smoke study through a private SLURM cluster, where its jobs meet what jobs meet, and the same study run here.

`make test-slurm` runs these tests. Both studies run from one checkout, at the same time, and the source in it is
spoiled as soon as both are planned.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, Job, process_of, wait_for
from tests.slurm.site import ALONE, QUICK, RESULTS, edit, git, newest, site


@dataclass
class Happenings:
    """What the tests want to know of the study on the cluster, noted while it ran."""

    commit: str  # of the checkout when the studies were planned
    folder: Path  # working directory on the cluster
    local: Path  # that of the other study
    output: str = ""  # what Snakemake printed
    queue: list[Job] = field(default_factory=list)  # the study's entries of the queue
    pending: list[Job] = field(default_factory=list)  # jobs that waited when the source was spoiled
    devices: str = ""  # CUDA_VISIBLE_DEVICES of a training process
    killed: list[Job] = field(default_factory=list)  # attempts of one run: by SIGKILL, then by the time limit
    killed_after: int = 0  # step
    restarts: int = 0  # of the preempted job
    preempted_after: int = 0


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if not shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/sbin"):
        pytest.skip("no slurmctld on this machine (Debian: slurm-wlm and munge)")
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the extra `slurm` of this package is not installed")
    # Not one of pytest's folders: munge refuses a place that is closed to other users.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        found = Cluster(Path(folder))
        try:
            yield found
        finally:
            found.stop()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Path:
    """A repository with one commit."""
    folder = site(tmp_path_factory)
    # One run is for whatever the others leave, and may be preempted.
    where = "'scavenge' if (wildcards.method, wildcards.seed) == ('chord_phi', '1') else ''"
    signals = "slurm_extra: \"'--signal=TERM@120'\""
    edit(
        folder / "profiles/slurm/config.yaml",
        f"train: {{{signals}}}",
        f'train: {{{signals}, slurm_partition: "{where}"}}',
    )
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "As planned"]):
        git(folder, *command)
    return folder


def spoil(checkout: Path) -> None:
    """Commit edits after which nothing of the checkout runs, and a method would be another one."""
    for path in ("Snakefile", "workflow/rules/common.smk", "src/chord/__init__.py"):
        with open(checkout / path, "a", encoding="utf-8") as file:
            file.write("\nraise SystemExit('this line was written after the jobs were planned')\n")
    edit(checkout / "config/methods/chord_phi.yaml", "mu: 0.1", "mu: 0.9")
    (checkout / "config/studies/smoke.yaml").write_text("title: nothing\n", encoding="utf-8")
    git(checkout, "commit", "--quiet", "--all", "--message", "Spoiled")


def training(cluster: Cluster, seed: int) -> list[Job]:
    """The attempts at the long run of a seed that were in the queue so far."""
    return cluster.queue("rule_train_", "chord_phi", f"_{seed}")


def pending(cluster: Cluster) -> list[Job]:
    return [job for job in cluster.queue("rule_train_") if job.state == "PENDING"]


def kill_then_cut(cluster: Cluster, snakemake: subprocess.Popen, happened: Happenings) -> None:
    """SIGKILL for the training process; and its next attempt gets a time limit that it cannot keep.

    That one is halted until SLURM, which looks at limits every 30 s, sends its signals, which wake it.
    """
    run = RESULTS / "runs/chord_phi/seed-0"
    wait_for(lambda: newest(happened.folder / run) >= 4, snakemake)
    process = process_of(happened.folder, "train", str(run))
    happened.devices = process.environ().get("CUDA_VISIBLE_DEVICES", "none")
    process.send_signal(signal.SIGKILL)
    happened.killed_after = newest(happened.folder / run)
    second = wait_for(lambda: [job for job in training(cluster, 0)[1:] if job.state == "RUNNING"], snakemake)[0]
    wait_for(lambda: newest(happened.folder / run) > happened.killed_after, snakemake)
    process = process_of(happened.folder, "train", str(run))
    process.send_signal(signal.SIGSTOP)
    hours, minutes, _ = cluster.details(second)["RunTime"].split(":")
    cluster("scontrol", "update", f"JobId={second.id}", f"TimeLimit={60 * int(hours) + int(minutes) + 2}")
    happened.killed = wait_for(lambda: len(jobs := training(cluster, 0)) > 2 and jobs, snakemake)


def preempt(cluster: Cluster, snakemake: subprocess.Popen, happened: Happenings) -> None:
    """A job that goes first wants the GPU of the other run, and leaves when that has been requeued."""
    run = RESULTS / "runs/chord_phi/seed-1"
    wait_for(lambda: newest(happened.folder / run) >= 4, snakemake)
    (job,) = training(cluster, 1)
    first = ["--parsable", "--partition=urgent", f"--nodelist={job.node}", "--gpus=1", "--output=/dev/null"]
    urgent = cluster("sbatch", *first, "--wrap", "sleep 600")
    restarts = wait_for(lambda: int(cluster.details(job)["Restarts"]), snakemake)
    happened.preempted_after = newest(happened.folder / run)
    cluster("scancel", urgent)
    happened.restarts = restarts


@pytest.fixture(scope="session")
def happened(cluster: Cluster, checkout: Path, tmp_path_factory) -> Happenings:
    """Both studies from beginning to end, and what happened to the one on the cluster."""
    local = tmp_path_factory.mktemp("local")
    found = Happenings(git(checkout, "rev-parse", "HEAD"), checkout, local)
    command = [sys.executable, "-m", "snakemake", "--config", "study=smoke"]
    environment = cluster.environment | {"OMP_NUM_THREADS": "1"}
    cluster.forget_past_jobs()
    cluster("scontrol", "update", "PartitionName=gpu", "State=DOWN")  # jobs may be submitted and have to wait
    with (
        open(local / "output", "w+") as here,
        open(local.with_name("slurm-output"), "w+") as there,
        ThreadPoolExecutor() as pool,
    ):
        other = subprocess.Popen(
            [*command, "--cores", "1", "--directory", local], cwd=checkout, env=environment, stdout=here, stderr=here
        )
        snakemake = subprocess.Popen(
            [*command, "--workflow-profile", "profiles/slurm", *QUICK, *ALONE],
            cwd=checkout, env=environment, stdout=there, stderr=there,
        )  # fmt: skip
        try:
            found.pending = wait_for(lambda: pending(cluster), snakemake)
            wait_for(lambda: list(local.glob(f"{RESULTS}/data/sft.jsonl")), other)
            spoil(checkout)
            cluster("scontrol", "update", "PartitionName=gpu", "State=UP")
            meetings = [pool.submit(meeting, cluster, snakemake, found) for meeting in (kill_then_cut, preempt)]
            for meeting in meetings:
                meeting.result()
            assert snakemake.wait(900) == 0
            assert other.wait(900) == 0
        except BaseException:
            for file in (here, there):
                file.seek(0)
                print(file.read()[-6000:])
            raise
        finally:
            for process in (snakemake, other):
                if process.poll() is None:
                    process.kill()
        there.seek(0)
        found.output = there.read()
    found.queue = cluster.queue("rule_")
    return found
