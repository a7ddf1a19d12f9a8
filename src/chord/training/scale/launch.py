"""The ranks of one training job: processes that run the same command and end together.

torch's agent starts and watches them, as it does under `accelerate launch`, which starts several ranks on GPUs only.
It runs in the process of the command itself, so that a scheduler sees one process on each node, whose signals reach the
node's ranks and with which they end.
"""

import logging
import os
import signal
import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import psutil

from chord.io.children import end_with
from chord.training.scale.heartbeat import START_SECONDS, Heartbeat
from chord.training.scale.nodes import Nodes, find_nodes
from chord.training.scale.scale_spec import Scale

if TYPE_CHECKING:
    from torch.distributed.launcher.api import LaunchConfig

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # Snakemake sets them to the `threads` of a job
LAUNCHER = "CHORD_LAUNCHER"  # the id of the process that started this rank
PATIENCE_SECONDS = 10.0


def in_rank() -> bool:
    """Whether a launcher, ours or another, started this process as one of several."""
    return "RANK" in os.environ


def launch(scale: Scale, arguments: list[str]) -> int:
    """Run `chord <arguments>` as this node's ranks, which share the job's threads. Returns the exit code.

    The message of the first rank that fails is on standard error. UserError if the other nodes have not been started.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    ranks = scale.ranks_per_node
    for name in THREADS:
        threads = int(os.environ.get(name) or os.cpu_count())
        os.environ[name] = str(max(1, threads // ranks))
    os.environ[LAUNCHER] = str(os.getpid())
    signal.signal(signal.SIGTERM, _pass_on)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # it repeats what the ranks say
    nodes = find_nodes(scale.nodes) if scale.nodes > 1 else None
    config = several_nodes(ranks, nodes) if nodes else local_ranks(ranks)
    heartbeat = Heartbeat(nodes, _kill_ranks) if nodes else nullcontext()
    try:
        with heartbeat:
            elastic_launch(config, sys.executable)("-m", "chord", *arguments)
    except ChildFailedError as error:
        if nodes and heartbeat.failure is not None:
            if heartbeat.failure:
                print(f"chord: error: {heartbeat.failure}", file=sys.stderr)
            return 2
        return _exit_code({rank: failure.exitcode for rank, failure in error.failures.items()}, scale.ranks)
    return 0


def local_ranks(ranks: int) -> "LaunchConfig":
    """So many processes of this machine, for `elastic_launch`."""
    return _config(
        nproc_per_node=ranks,
        run_id=str(os.getpid()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # a free port: several jobs may share the machine
        local_addr="localhost",
    )


def several_nodes(ranks: int, nodes: Nodes) -> "LaunchConfig":
    """So many processes of this machine, as many as on the others. They are numbered in the order of the nodes."""
    return _config(
        min_nodes=nodes.count,
        max_nodes=nodes.count,
        nproc_per_node=ranks,
        run_id="chord",
        rdzv_backend="static",  # the first node is known, and a lost one is not replaced
        rdzv_endpoint=f"{nodes.address}:{nodes.port}",
        rdzv_configs={"rank": nodes.rank, "timeout": int(START_SECONDS)},
    )


def _config(**settings) -> "LaunchConfig":
    from torch.distributed.launcher.api import LaunchConfig

    return LaunchConfig(
        **{"min_nodes": 1, "max_nodes": 1} | settings,
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


def _kill_ranks() -> None:
    """End the ranks, which wait for those of another node, at once: they can save nothing any more."""
    for child in psutil.Process().children():
        child.kill()


def _exit_code(codes: dict[int, int], ranks: int) -> int:
    """The code of the rank that failed by itself; the agent ends the others by SIGTERM. A negative code is a signal."""
    rank = next((rank for rank, code in codes.items() if code != -signal.SIGTERM), min(codes))
    code = codes[rank]
    if code == 2:  # the rank has printed the reason
        return code
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}, see above"
    print(f"chord: error: rank {rank} of {ranks}: {how}", file=sys.stderr)
    return 128 - code if code < 0 else code
