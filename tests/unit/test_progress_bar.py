"""Progress bars show on a terminal, and nowhere else."""

import os
import pty
import select
import subprocess
import sys
import termios

CODE = "from chord.io.progress_bar import progress_bar; print(*progress_bar('abc', 'spelling', 'letters', 5, done=2))"


def test_a_terminal_gets_a_bar() -> None:
    ours, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    done = subprocess.run([sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=terminal, text=True, check=True)
    assert select.select([ours], [], [], 0)[0]
    shown = os.read(ours, 4096).decode()
    os.close(terminal)
    os.close(ours)
    assert done.stdout == "a b c\n"
    assert "spelling" in shown
    assert "2/5" in shown  # an earlier attempt did two


def test_a_log_gets_none() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("a b c\n", "")
