"""The ranks of one training job: processes on this machine that run the same command and end together.

torch's agent starts and watches them, as it does under `accelerate launch`, which starts several ranks on GPUs only.
It runs in the process of the command itself, so that a scheduler sees one process, whose signals reach all ranks and
with which all ranks end.
"""

import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import psutil

from chord.io.children import end_with

if TYPE_CHECKING:
    from torch.distributed.launcher.api import LaunchConfig

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # Snakemake sets them to the `threads` of a job
LAUNCHER = "CHORD_LAUNCHER"  # the id of the process that started this rank
PATIENCE_SECONDS = 10.0


def in_rank() -> bool:
    """Whether a launcher, ours or another, started this process as one of several."""
    return "RANK" in os.environ


def launch(ranks: int, arguments: list[str]) -> int:
    """Run `chord <arguments>` as this number of ranks, which share the job's threads. Returns the exit code.

    The message of the first rank that fails is on standard error.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    for name in THREADS:
        threads = int(os.environ.get(name) or os.cpu_count())
        os.environ[name] = str(max(1, threads // ranks))
    os.environ[LAUNCHER] = str(os.getpid())
    signal.signal(signal.SIGTERM, _pass_on)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # it repeats what the ranks say
    try:
        elastic_launch(local_ranks(ranks), sys.executable)("-m", "chord", *arguments)
    except ChildFailedError as error:
        return _exit_code({rank: failure.exitcode for rank, failure in error.failures.items()}, ranks)
    return 0


def local_ranks(ranks: int) -> "LaunchConfig":
    """So many processes of this machine, for `elastic_launch`."""
    from torch.distributed.launcher.api import LaunchConfig

    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        run_id=str(os.getpid()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # a free port: several jobs may share the machine
        local_addr="localhost",
        max_restarts=0,  # that is up to the scheduler
        signals_to_handle="SIGINT,SIGHUP,SIGQUIT",  # at SIGTERM the agent would kill after 30 s; a step takes longer
    )


def end_with_launcher() -> None:
    """If this process is a rank, it ends from now on when its launcher has ended, for whatever reason."""
    if LAUNCHER in os.environ:
        end_with(int(os.environ[LAUNCHER]))


def let_the_first_rank_speak() -> None:
    """Wait on all ranks but the first: most errors occur on all, and when the first ends, the others are ended."""
    if os.environ.get("RANK", "0") != "0":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(PATIENCE_SECONDS)


def _pass_on(*_) -> None:
    """Pass SIGTERM to the ranks: they save, stop and fail, and then this process fails as well."""
    children = psutil.Process().children()
    for child in children:
        child.terminate()
    if not children:
        raise SystemExit(128 + signal.SIGTERM)


def _exit_code(codes: dict[int, int], ranks: int) -> int:
    """The code of the rank that failed by itself; the agent ends the others by SIGTERM. A negative code is a signal."""
    rank = next((rank for rank, code in codes.items() if code != -signal.SIGTERM), min(codes))
    code = codes[rank]
    if code == 2:  # the rank has printed the reason
        return code
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}, see above"
    print(f"chord: error: rank {rank} of {ranks}: {how}", file=sys.stderr)
    return 128 - code if code < 0 else code
