"""`python -m chord.io.guard PARENT FOLDER COMMAND ...`: a command that does not outlive the process that wanted it.

A process that is killed cannot end what it started, and a server left behind would hold a GPU for ever. So the guard,
in a session of its own, looks whether it still has its parent. When that has ended, in whatever way, it ends the
command with all that this has started, and deletes the folder.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

SECONDS = 0.1  # between two looks


def main(parent: int, folder: str, command: list[str]) -> int:
    """Exit code of the command. SIGTERM to the guard ends it, too."""
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and os.getppid() == parent and not asked:
        time.sleep(SECONDS)
    _end_all(process)
    shutil.rmtree(folder, ignore_errors=True)
    return process.returncode


def _end_all(process: subprocess.Popen) -> None:
    """End the process and its group: in good order, then itself, so that Python's resource tracker in the group can
    still free shared memory, then whatever is left."""
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
