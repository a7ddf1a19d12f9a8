"""`python -m chord.guard PARENT FOLDER COMMAND ...`: a command that does not outlive the process that wanted it.

A process that is killed cannot end what it started, and a server left behind would hold a GPU for ever. So the guard,
in a session of its own, is told by the operating system (Linux) that its parent has ended, in whatever way. Then it
ends the command with all that this has started, and deletes the folder.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SECONDS = 10  # to end in an orderly way


def end_with_parent(number: signal.Signals) -> None:
    """From here on the system sends this process the signal when its parent has ended, in whatever way (Linux)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def _end(*_: object) -> None:
    # Once: it comes again for each thread of the parent that the system had meanwhile given the guard to.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit()


def main(parent: int, folder: str, command: list[str]) -> int:
    """Exit code of the command."""
    signal.signal(signal.SIGTERM, _end)
    end_with_parent(signal.SIGTERM)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        if os.getppid() != parent:  # ended before it could be asked to tell
            sys.exit()
        return process.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):  # all of the group have ended
                os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
