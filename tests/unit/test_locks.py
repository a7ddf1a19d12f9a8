"""A lock of one process a folder that needs no `flock`: who is dead is replaced, who is alive is not."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from chord.errors import UserError
from chord.io.locks import exclusive

NAME = "lock"
WORK = "training into this folder"
HOLD = (
    "import sys, time; from pathlib import Path; from chord.io.locks import exclusive\n"
    f"with exclusive(Path(sys.argv[1]) / 'lock', {WORK!r}, beat=0.2): print('held', flush=True); time.sleep(60)"
)


@contextmanager
def another_process(folder: Path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_living_holder_keeps_its_folder(tmp_path):
    with another_process(tmp_path) as holder:
        with pytest.raises(UserError) as caught, exclusive(tmp_path / NAME, WORK):
            pytest.fail("two processes in one folder")
        assert str(caught.value) == (
            f"{tmp_path / NAME}: process {holder.pid} on {socket.gethostname()} is {WORK}; wait for it or stop it, "
            "then give the command again"
        )


def test_a_killed_holder_is_replaced_at_once(tmp_path):
    with another_process(tmp_path) as holder:
        holder.kill()
        holder.wait()
        assert (tmp_path / NAME).exists()
        started = time.monotonic()
        with exclusive(tmp_path / NAME, WORK) as check:
            check()
        assert time.monotonic() - started < 1
    assert not (tmp_path / NAME).exists()


def of_another_machine(folder: Path, lease: float) -> Path:
    """A lock as a holder on another machine leaves it; its process number is that of a living process here."""
    file = folder / NAME
    lines = ["filelock/2", f"pid={os.getppid()}", "host=node7", "mode=lease", f"token={'0' * 32}", f"duration={lease}"]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_silent_holder_on_another_machine_is_replaced_after_the_lease(tmp_path):
    of_another_machine(tmp_path, lease=2.0)
    started = time.monotonic()
    with exclusive(tmp_path / NAME, WORK, lease=2.0, beat=0.5):
        assert time.monotonic() - started >= 2


def test_a_holder_on_another_machine_that_touches_its_lock_keeps_it(tmp_path):
    file = of_another_machine(tmp_path, lease=2.0)
    stop = threading.Event()

    def beat():
        while not stop.wait(0.5):
            os.utime(file)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with (
            pytest.raises(UserError, match=f"on node7 is {WORK}; wait"),
            exclusive(tmp_path / NAME, WORK, lease=2.0, beat=0.5),
        ):
            pytest.fail("two processes in one folder")
    finally:
        stop.set()
        thread.join()
    assert "host=node7" in file.read_text()


@pytest.mark.parametrize("taken_over", [True, False])
def test_whoever_lost_the_lock_learns_it(taken_over, tmp_path):
    with exclusive(tmp_path / NAME, WORK, lease=2.0, beat=0.1) as check:
        (tmp_path / NAME).unlink()
        if taken_over:
            of_another_machine(tmp_path, lease=2.0)
        time.sleep(0.5)
        with pytest.raises(UserError, match=f"{NAME}: taken over or deleted while this process was {WORK}"):
            check()
    assert (tmp_path / NAME).exists() == taken_over


def test_of_many_that_find_a_dead_holder_one_enters_at_a_time(tmp_path):
    """Six processes at once, again and again: each kills itself while it holds the folder, and leaves it locked."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from chord.errors import UserError; from chord.io.locks import exclusive\n"
        "inside = Path(sys.argv[1]) / 'inside'\n"
        "while True:\n"
        "    try:\n"
        f"        with exclusive(Path(sys.argv[1]) / 'lock', {WORK!r}, lease=20.0, beat=0.1):\n"
        "            inside.mkdir()\n"  # fails if another is inside
        "            inside.rmdir()\n"
        "            os.kill(os.getpid(), 9)\n"
        "    except UserError: pass"
    )
    for _ in range(2):
        racers = [
            subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, text=True)
            for _ in range(6)
        ]
        deadline = time.monotonic() + 60
        while None in [racer.poll() for racer in racers]:  # poll() also waits for the dead, who else count as alive
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert [racer.returncode for racer in racers] == [-9] * 6, [racer.stderr.read() for racer in racers]
