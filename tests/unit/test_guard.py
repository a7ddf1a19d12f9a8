"""The guard of a command whose parent is killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
PARENT = """
import os, subprocess, sys, time
guard = [sys.executable, "-m", "chord.io.guard", str(os.getpid()), sys.argv[1], *sys.argv[2:]]
process = subprocess.Popen(guard, start_new_session=True)
if sys.argv[2] == "true":
    sys.exit(process.wait())
time.sleep(600)
"""
# A command that has started another, does not end when asked to, and says which two they are.
STUBBORN = "trap '' TERM; sleep 600 & echo $$ $!; wait; sleep 600"


def started(folder: Path, *command: str) -> subprocess.Popen:
    folder.mkdir()
    (folder / "file").touch()
    script = [sys.executable, "-c", PARENT, str(folder), *command]
    source = Path(__file__).parents[2] / "src"
    return subprocess.Popen(script, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(source)})


def alive(number: str) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_command_ends_with_its_killed_parent(tmp_path):
    parent = started(tmp_path / "folder", "bash", "-c", STUBBORN)
    numbers = parent.stdout.readline().split()
    assert len(numbers) == 2
    assert all(map(alive, numbers))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60
    while (tmp_path / "folder").exists() or any(map(alive, numbers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_command_that_ends_by_itself(tmp_path):
    assert started(tmp_path / "folder", "true").wait(60) == 0
    assert not (tmp_path / "folder").exists()
