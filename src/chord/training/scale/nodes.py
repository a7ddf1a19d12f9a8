"""The machines of a training job: which of them this one is, and where the first one waits for the others.

A launcher starts `chord train` once on each node: `srun`, or anything that sets the variables in `VARIABLES`.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from chord.errors import UserError

VARIABLES = ("NNODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
# The port of a SLURM job follows from its id: below the ports that systems give to outgoing connections, and even, as
# the next one is used too.
FIRST_PORT, PORTS = 10_000, 20_000


@dataclass(frozen=True)
class Nodes:
    """The nodes as one of them sees them."""

    count: int
    rank: int  # of this node
    address: str  # of the first node
    port: int  # on the first node: of the ranks' rendezvous; the next one is for signs of life


def find_nodes(expected: int, environment: Mapping[str, str] = os.environ) -> Nodes:
    """What the launcher says. UserError if it started another number of nodes, or several tasks on a node."""
    started, rank, address, port = _stated(environment) if "NNODES" in environment else _of_slurm(environment)
    if started != expected:
        raise UserError(
            f"scale.nodes: the specification says {expected}, but {started} {'was' if started == 1 else 'were'} "
            f"started; expected one `chord train` on each node, by srun or with {', '.join(VARIABLES)} set"
        )
    return Nodes(expected, rank, address, port)


def _stated(environment: Mapping[str, str]) -> tuple[int, int, str, int]:
    for name in VARIABLES:
        value = environment.get(name, "")
        if not value or (name != "MASTER_ADDR" and not value.isdecimal()):
            expected = "the first node's name or address" if name == "MASTER_ADDR" else "a number"
            raise UserError(f"{name}: expected {expected}, as NNODES is set; got {value!r}")
    count, rank, port = (int(environment[name]) for name in ("NNODES", "NODE_RANK", "MASTER_PORT"))
    if rank >= count:
        raise UserError(f"NODE_RANK: expected a number from 0 to {count - 1}, got {rank}")
    return count, rank, environment["MASTER_ADDR"], port


def _of_slurm(environment: Mapping[str, str]) -> tuple[int, int, str, int]:
    """One node outside a step of SLURM."""
    if "SLURM_STEP_NUM_NODES" not in environment:
        return 1, 0, "localhost", FIRST_PORT
    count, tasks = (int(environment[f"SLURM_STEP_NUM_{what}"]) for what in ("NODES", "TASKS"))
    if tasks != count:
        raise UserError(f"srun: expected a task on each node (--ntasks-per-node=1), got {tasks} tasks on {count} nodes")
    address = environment.get("MASTER_ADDR") or _first_host(environment["SLURM_STEP_NODELIST"])
    port = FIRST_PORT + 2 * int(environment["SLURM_JOB_ID"]) % PORTS
    return count, int(environment["SLURM_NODEID"]), address, port


def _first_host(nodes: str) -> str:
    """nodes: as SLURM writes them, such as gpu[03-04,07]."""
    command = ["scontrol", "show", "hostnames", nodes]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"scontrol show hostnames: {error}; set MASTER_ADDR to the first node's name") from error
    return shown.stdout.split()[0]
