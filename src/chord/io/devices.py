"""The cores and the GPUs of a machine that a process may use.

GPUs have to be assigned: Snakemake counts them, but does not say which one a job may use. Otherwise every job would use
the first one, and a trainer that sees several would split its batches over all of them. Schedulers such as SLURM show a
job only its own devices, and then there is nothing to choose.
"""

import os
import tempfile
from pathlib import Path

from chord.errors import UserError
from chord.io.locks import hold_until_exit

DRIVER = Path("/proc/driver/nvidia/gpus")  # a folder for each device
SERVER = "CHORD_SERVER_GPUS"  # CUDA_VISIBLE_DEVICES of a server that the job starts


def available_cores() -> int:
    """The cores of this process; macOS has no affinity."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def claim_gpus(count: int = 1, server: int = 0) -> None:
    """Show this process only `count` GPUs that no other process of ours uses. Call it before torch looks for any.

    The last `server` of them are hidden, because they are for a server that the process starts (`server_gpus`). It does
    nothing if no more than `count` are visible, nor for the ranks of a launcher, which choose their own.
    """
    visible = _visible()
    if "LOCAL_RANK" in os.environ:
        return
    if len(visible) > count:
        visible = _claim(visible, count)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible)
    if server and visible:
        if len(visible) < count:
            raise _too_few(visible, count, server)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible[:-server])
        os.environ[SERVER] = ",".join(visible[-server:])


def server_gpus(ranks: int, count: int) -> str | None:
    """CUDA_VISIBLE_DEVICES of the job's server; None on a machine without GPUs.

    They are those that `claim_gpus` has hidden, or under another launcher those after the ranks' own.
    """
    if SERVER in os.environ:
        return os.environ[SERVER]
    visible = _visible()
    if visible and len(visible) < ranks + count:
        raise _too_few(visible, ranks + count, count)
    return ",".join(visible[ranks : ranks + count]) if visible else None


def _too_few(visible: list[str], count: int, server: int) -> UserError:
    return UserError(f"{len(visible)} GPUs are visible; expected {count}, {server} of them for the vLLM server")


def _claim(visible: list[str], count: int) -> list[str]:
    free = []
    for device in visible:
        if len(free) < count and hold_until_exit(_lock_file(device)):
            free.append(device)
    if len(free) < count:
        raise UserError(
            f"{len(visible)} GPUs are visible and {len(free)} of them not in use, but the job needs {count}; "
            f"expected `snakemake --resources gpu={len(visible)}`"
        )
    return free


def _visible() -> list[str]:
    variable = os.environ.get("CUDA_VISIBLE_DEVICES")
    if variable is not None:
        return [device for device in variable.split(",") if device]
    return [str(number) for number in range(len(list(DRIVER.iterdir())))] if DRIVER.is_dir() else []


def _lock_file(device: str) -> Path:
    return Path(tempfile.gettempdir()) / f"chord-{os.getuid()}-gpu-{device}.lock"
