"""A private SLURM cluster as tests see it: its commands, its queue, and the processes that its jobs started."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import psutil

SCRIPTS = Path(__file__).parent
Found = TypeVar("Found")


class Job(NamedTuple):
    """A line of the queue, finished jobs included."""

    id: str
    state: str
    partition: str
    node: str
    comment: str  # rule and wildcards, from the plugin


class Cluster:
    """Two nodes, a GPU each, with the partitions of slurm.conf.in."""

    def __init__(self, folder: Path):
        self.folder = folder
        subprocess.run([SCRIPTS / "start.sh", folder], check=True, stdout=subprocess.DEVNULL)
        path = f"{folder / 'bin'}:{os.environ['PATH']}"
        self.environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
        self._past: set[str] = set()

    def stop(self) -> None:
        subprocess.run([SCRIPTS / "stop.sh", self.folder], check=True)

    def __call__(self, *command: str) -> str:
        """What a command of SLURM prints."""
        found = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert found.returncode == 0, f"{' '.join(command)}\n{found.stdout}\n{found.stderr}"
        return found.stdout.strip()

    def forget_past_jobs(self) -> None:
        """Leave the jobs so far, those of other tests, out of what `queue` returns."""
        self._past |= {job.id for job in self.queue()}

    def queue(self, *names: str) -> list[Job]:
        """All jobs so far, oldest first, whose comment holds all of the names."""
        lines = self("squeue", "--noheader", "--states=all", "--sort=i", "--format=%i|%T|%P|%N|%k").splitlines()
        jobs = [Job(*line.split("|")) for line in lines]
        return [job for job in jobs if job.id not in self._past and all(name in job.comment for name in names)]

    def lose(self, node: str) -> None:
        """Kill all that runs on a node: its daemon, then the tasks of jobs with their guards."""
        daemon = psutil.Process(int((self.folder / f"run/slurmd-{node}.pid").read_text()))
        tasks = [process for process in psutil.process_iter() if self._is_task(process, node)]
        guards = {parent for task in tasks for parent in task.parents() if parent.name().startswith("slurmstepd")}
        for process in (daemon, *guards, *tasks):
            process.kill()

    def restore(self, node: str) -> None:
        with open(self.folder / f"log/slurmd-{node}.out", "a") as log:
            daemon = subprocess.Popen(
                ["slurmd", "-D", "-N", node],
                env=self.environment | {"PATH": f"{self.environment['PATH']}:/usr/sbin:/sbin"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.folder / f"run/slurmd-{node}.pid").write_text(f"{daemon.pid}\n")

    def _is_task(self, process: psutil.Process, node: str) -> bool:
        try:
            variables = process.environ()
        except psutil.Error:
            return False
        ours = variables.get("SLURM_CONF") == self.environment["SLURM_CONF"]
        return ours and variables.get("SLURMD_NODENAME") == node

    def details(self, job: Job) -> dict[str, str]:
        words = self("scontrol", "show", "job", job.id).split()
        return dict(word.split("=", 1) for word in words if "=" in word)


def wait_for(happened: Callable[[], Found], running: subprocess.Popen, seconds: float = 1800) -> Found:
    """What `happened` returns as soon as it is true, while the process runs."""
    deadline = time.monotonic() + seconds
    while not (found := happened()):
        assert running.poll() is None, f"{running.args} ended before it happened"
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.2)
    return found


def process_of(folder: Path, command: str, out: str) -> psutil.Process | None:
    """The process that runs `chord <command>` into `out` from the working directory `folder`."""
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if ["chord", command] == words[2:4] and out in words and Path(process.cwd()) == folder:
                return process
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return None
