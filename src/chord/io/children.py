"""Children that do not outlive their parent: a process that is killed cannot end what it has started.

Each child checks itself whether its parent is alive. A process that runs our own code calls `end_with`. Another command
runs under a guard (`start_guarded`): when the parent has ended, for whatever reason, this process ends the command and
everything that it has started, as a server left behind would occupy a GPU for ever.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

SECONDS = 0.1  # between two checks


def end_with(parent: int) -> None:
    """Kill this process soon after `parent`, the id of the process that started it, has ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def start_guarded(
    command: Sequence[str], folder: str, environment: Mapping[str, str], output: IO[str] | None
) -> subprocess.Popen:
    """Start a command that ends with this process. Returns the guard, which ends with the command's exit code.

    folder: is deleted when the command has ended. environment: the command's variables. output: an open file for its
    output; None: that of this process. SIGTERM to the guard ends the command as well.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "chord.io.children", str(os.getpid()), folder, *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,  # a signal to this process's group must not end the guard before the command
    )


def main(parent: int, folder: str, command: list[str]) -> int:
    """The guard. Returns the exit code of the command."""
    requests = []
    signal.signal(signal.SIGTERM, lambda *_: requests.append(True))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and os.getppid() == parent and not requests:
        time.sleep(SECONDS)
    _end_all(process)
    shutil.rmtree(folder, ignore_errors=True)
    return process.returncode


def _end_all(process: subprocess.Popen) -> None:
    """End the process and its group: by SIGTERM to all, then by SIGKILL to the process alone, so that Python's resource
    tracker in the group can still free shared memory, and finally by SIGKILL to all that is left."""
    steps = [
        (lambda: os.killpg(process.pid, signal.SIGTERM), 10),
        (process.kill, 2),
        (lambda: os.killpg(process.pid, signal.SIGKILL), 10),
    ]
    with suppress(ProcessLookupError):  # all have ended
        for end, seconds in steps:
            end()
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                process.poll()
                os.killpg(process.pid, 0)
                time.sleep(SECONDS)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
