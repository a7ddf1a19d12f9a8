"""Workers that hang, die and break: every request gets its reply or its death, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from chord.errors import GraderError
from chord.tasks.grader_pool import Death, WorkerPool

# The protocol without math-verify: numbers are doubled, words are deeds.
WORKER = """
import json, os, resource, signal, sys
while True:
    child = os.fork()
    if child == 0:
        for line in sys.stdin.buffer:
            for request in json.loads(line):
                if request == "hang":
                    signal.setitimer(signal.ITIMER_PROF, 0.2)
                    9 ** 9 ** 9  # one call into C that holds the interpreter lock
                if request == "crash" or (request == "crash once" and not os.path.exists("crashed")):
                    open("crashed", "w").close()
                    os.kill(os.getpid(), signal.SIGSEGV)
                if request == "all die":
                    os.kill(os.getppid(), signal.SIGKILL)
                    os.kill(os.getpid(), signal.SIGKILL)
                os.write(1, json.dumps({"reply": request * 2}).encode() + b"\\n")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
    os.write(1, json.dumps({"died": os.WTERMSIG(status)}).encode() + b"\\n")
"""


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    pool = WorkerPool(script, 2, [(1, 2)])
    yield pool
    pool.close()


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() and "Z" not in _state(pid)]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def wait_until(done, seconds=30) -> bool:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.05)
    return done()


def test_replies_come_in_order(pool):
    assert pool.map([]) == []
    assert pool._workers == []  # nothing was started for nothing
    assert pool.map(range(1000)) == [2 * number for number in range(1000)]
    assert pool.map(["é\ud800" * 10**6]) == ["é\ud800" * 2 * 10**6]  # more than a pipe holds


def test_deaths_hit_their_request_only(pool):
    requests = [1, "hang", 2, "crash", 3, "crash once", 4, "all die", 5]
    crash, timeout = Death(timeout=False), Death(timeout=True)
    assert pool.map(requests) == [2, timeout, 4, crash, 6, "crash once" * 2, 8, crash, 10]
    assert pool.map([6]) == [12]


def test_threads_share_the_workers(pool):
    found = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: pool.map([n, "hang", n + 1])})) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {n: [2 * n, Death(timeout=True), 2 * n + 2] for n in range(4)}


def test_a_forked_child_has_workers_of_its_own(pool):
    assert pool.map([1]) == [2]
    with pool._lock:  # as if another thread were grading at the time of the fork
        child = os.fork()
        if child == 0:
            os._exit(0 if pool.map([3, 4]) == [6, 8] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pool.map([5]) == [10]  # and the parent keeps its own


@pytest.mark.parametrize("how", ["exit", "killed", "killed while computing"])
def test_workers_end_with_their_parent(tmp_path, how):
    (tmp_path / "worker.py").write_text(WORKER)
    code = f"""
import sys
from pathlib import Path
from chord.tasks.grader_pool import WorkerPool
pool = WorkerPool(Path("worker.py"), 2, [(1, 2)])
pool.map(range(100))
print(*[worker._process.pid for worker in pool._workers], flush=True)
if {how!r} == "killed while computing":
    while True:
        pool.map(["hang"])
sys.stdin.read()  # the test looks at the workers first
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2
    children = [int(pid) for worker in workers for pid in _children(worker)]
    if how != "exit":
        parent.kill()
    parent.communicate()
    assert wait_until(lambda: not alive([*workers, *children]))


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


@pytest.fixture
def interruptible():
    """A shell starts its background jobs with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_call_leaves_no_stale_replies(pool):
    pool.map([1])

    def interrupt():
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        pool.map([7] * 10**6)
    thread.join()
    assert pool.map([8]) == [16]


def test_a_worker_that_does_not_start_or_fails_a_canary_stops_the_run(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text("raise SystemExit(1)")
    with pytest.raises(GraderError, match=r"worker\.py did not start"):
        WorkerPool(script, 2, [(1, 2)]).map([1])
    script.write_text(WORKER)
    with pytest.raises(GraderError, match=r"fails a check that it must pass: for 1 expected 3, got .*2"):
        WorkerPool(script, 2, [(1, 3)]).map([1])
