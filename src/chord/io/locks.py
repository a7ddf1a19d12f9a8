"""Work that one process at a time may do, on any file system that several machines share.

The lock is a file that names its holder, which touches it while it is alive. It is no `flock`, which network file
systems often restrict to one machine or ignore. A dead holder on this machine is recognised by its process number and
start time; on another machine it counts as dead if its file has not changed for `LEASE_SECONDS` of our own clock.
There are three ways to take a lock: `exclusive` refuses a second process, `in_turn` waits for the first, and
`hold_until_exit` only tries.
"""

import atexit
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import SoftFileLease, Timeout

from chord.errors import UserError
from chord.io.files import explain_disk_errors

log = logging.getLogger(__name__)
LEASE_SECONDS = 120.0  # above the minute for which NFS may show old times of a file
BEAT_SECONDS = 5.0


@contextmanager
def exclusive(file: Path, work: str, lease: float = LEASE_SECONDS, beat: float = BEAT_SECONDS) -> Iterator[Callable]:
    """Hold the lock while the block runs; UserError if another process does the same `work`.

    Yields a function that raises UserError if the lock is lost: to a process on another machine that saw no sign of
    life for `lease` seconds, or because somebody deleted the file. Call it before any conflicting action.
    """
    lock = SoftFileLease(file, lease_duration=lease, heartbeat_interval=beat)
    _acquire(lock, work)

    def check() -> None:
        if lock.compromise:
            raise UserError(f"{lock.lock_file}: taken over or deleted while this process was {work}; it stops here")

    try:
        yield check
    finally:
        lock.release()


@contextmanager
def in_turn(file: Path) -> Iterator[None]:
    """Hold the lock while the block runs, after waiting for its present holder: for short work that both need."""
    with explain_disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = SoftFileLease(file, lease_duration=LEASE_SECONDS, heartbeat_interval=BEAT_SECONDS)
        lock.acquire(poll_interval=0.1)
    try:
        yield
    finally:
        lock.release()


def hold_until_exit(file: Path) -> bool:
    """Hold the lock until this process ends, for whatever reason; False if another process has it."""
    lock = SoftFileLease(file, lease_duration=LEASE_SECONDS, heartbeat_interval=BEAT_SECONDS)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    atexit.register(lock.release)
    return True


def _acquire(lock: SoftFileLease, work: str) -> None:
    """Take the lock, after its lease if the holder does not touch the file, as a living one does within seconds."""
    file = Path(lock.lock_file)
    try:
        return lock.acquire(timeout=0.5, poll_interval=0.1)
    except Timeout:
        first = _changed(file)
    log.info("%s: held by %s; looks whether it is alive, for up to %.0f s", file, _holder(lock), lock.lease_duration)
    try:
        lock.acquire(
            timeout=lock.lease_duration + 5, poll_interval=0.5, cancel_check=lambda: _changed(file) not in (None, first)
        )
    except Timeout:
        raise UserError(
            f"{file}: {_holder(lock)} is {work}; wait for it or stop it, then give the command again"
        ) from None


def _changed(file: Path) -> int | None:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _holder(lock: SoftFileLease) -> str:
    owner = lock.owner
    return f"process {owner.pid} on {owner.hostname.partition('?')[0]}" if owner else "another process"
