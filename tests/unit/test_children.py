"""What is left of a process that is killed: nothing that it has started."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
PARENT = """
import os, sys, time
from chord.io.children import start_guarded
process = start_guarded(sys.argv[2:], sys.argv[1], os.environ, None)
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


@pytest.mark.slow
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


def test_a_process_of_ours_ends_with_its_killed_parent(tmp_path):
    child = "import sys, time; from chord.io.children import end_with; end_with(int(sys.argv[1])); time.sleep(600)"
    parent = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}, str(os.getpid())])
print(child.pid, flush=True)
child.wait()
"""
    source = Path(__file__).parents[2] / "src"
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(source)}
    )
    number = process.stdout.readline().strip()
    assert alive(number)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while alive(number):
        assert time.monotonic() < deadline
        time.sleep(0.05)
