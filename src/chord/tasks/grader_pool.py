"""Worker processes that answer requests and may hang or die on any of them.

Works from any thread and after a fork, since nothing rests on signals or threads of this process: the workers' time
limits are kept by the kernel (`math_worker`), and their ends come through the pipes. Workers end with this process,
killed or not: the end of their input ends them. Protocol, one line of JSON each: a list of requests goes in, and for
each request, in order, `{"reply": ...}` or `{"died": signal}` comes out; after the latter the rest is sent again.
"""

import atexit
import json
import math
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from chord.errors import GraderError

CHUNK = 32  # requests a message
START_SECONDS = 300


class Death(NamedTuple):
    """Instead of a reply: the worker died on this request, on a second try too unless its time had run out."""

    timeout: bool


class WorkerPool:
    """Up to `workers` processes of one script, started when there is work for them and kept.

    canaries: requests with their known replies; a worker that answers one otherwise is an error, so that a broken
    installation stops a run instead of judging it.
    """

    def __init__(self, script: Path, workers: int, canaries: Sequence[tuple[Any, Any]]):
        self._script, self._count, self._canaries = script, workers, canaries
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def map(self, requests: Sequence[Any]) -> list[Any]:
        """The reply to each request, or its `Death`. Other threads wait for their turn."""
        if not requests:
            return []
        with self._lock:
            try:
                return self._map(requests)
            except BaseException:  # also Ctrl-C: replies that nobody read would be taken for those to the next request
                self.close()
                raise

    def close(self) -> None:
        """End all workers; the next `map` starts new ones."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.kill()

    def _forget(self) -> None:
        """In a forked child: the workers are the parent's, and a thread that is not here may hold the lock."""
        for worker in self._workers:
            worker.let_go()
        self._workers, self._lock = [], threading.Lock()

    def _map(self, requests: Sequence[Any]) -> list[Any]:
        size = max(1, min(CHUNK, math.ceil(len(requests) / self._count)))
        todo = deque(range(start, min(start + size, len(requests))) for start in range(0, len(requests), size))
        self._start(min(self._count, math.ceil(len(requests) / CHUNK)))
        results: list[Any] = [None] * len(requests)
        retried: set[int] = set()
        with selectors.DefaultSelector() as selector:

            def give(worker: _Worker, numbers: Sequence[int]) -> None:
                worker.asked = deque(numbers)
                worker.send([requests[number] for number in numbers])

            def replace(worker: _Worker) -> _Worker:
                selector.unregister(worker.output)
                self._workers.remove(worker)
                worker.kill()
                self._start(len(self._workers) + 1)
                selector.register(self._workers[-1].output, selectors.EVENT_READ, self._workers[-1])
                return self._workers[-1]

            def bury(number: int, death: Death) -> None:
                if death.timeout or number in retried:
                    results[number] = death
                else:  # perhaps not its fault: the system kills where memory is short
                    retried.add(number)
                    todo.append(range(number, number + 1))

            for worker in self._workers:
                if todo:
                    selector.register(worker.output, selectors.EVENT_READ, worker)
                    give(worker, todo.popleft())
            while selector.get_map():
                for key, _ in selector.select():
                    worker = key.data
                    messages = worker.receive()
                    if messages is None:
                        bury(worker.asked.popleft(), Death(timeout=False))
                        rest, worker = worker.asked, replace(worker)
                        give(worker, rest)
                        messages = []
                    for message in messages:
                        number = worker.asked.popleft()
                        if "reply" in message:
                            results[number] = message["reply"]
                            continue
                        bury(number, Death(timeout=message["died"] == signal.SIGPROF))
                        give(worker, worker.asked)
                    if not worker.asked:
                        if todo:
                            give(worker, todo.popleft())
                        else:
                            selector.unregister(worker.output)
        return results

    def _start(self, count: int) -> None:
        new = [_Worker(self._script) for _ in range(count - len(self._workers))]
        self._workers += new
        for worker in new:
            worker.send([request for request, _ in self._canaries])
            replies: list[dict] = []
            while len(replies) < len(self._canaries):
                messages = worker.receive(START_SECONDS)
                if messages is None:
                    raise GraderError(f"the worker {self._script.name} did not start; its own message is above")
                replies += messages
            for (request, expected), message in zip(self._canaries, replies, strict=True):
                if message != {"reply": expected}:
                    raise GraderError(
                        f"the worker {self._script.name} fails a check that it must pass: {request} gave {message}, "
                        f"expected {expected}; nothing was judged"
                    )


class _Worker:
    def __init__(self, script: Path):
        self.asked: deque[int] = deque()  # requests sent and not answered
        self._partial = b""
        self._process = subprocess.Popen(
            # -P: the script's folder must not become a place to import from
            [sys.executable, "-P", "-W", "ignore", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"PYTHONHASHSEED": "0"},  # sympy's order of symbols, and with it its time, hangs on it
            start_new_session=True,  # Ctrl-C is this process's business, and `kill` reaches the worker's own child
        )
        self.output = self._process.stdout

    def send(self, requests: list[Any]) -> None:
        """Blocks at most until the idle worker has read it; of a dead one `receive` tells."""
        if requests:
            message = memoryview(json.dumps(requests).encode() + b"\n")
            with suppress(BrokenPipeError):
                while message:
                    message = message[self._process.stdin.write(message) :]

    def receive(self, timeout: float | None = None) -> list[dict] | None:
        """The messages that are there, after waiting for the first bytes; None when no more will come."""
        if timeout is not None:
            with selectors.DefaultSelector() as selector:
                selector.register(self.output, selectors.EVENT_READ)
                if not selector.select(timeout):
                    return None
        data = os.read(self.output.fileno(), 1 << 16)
        if not data:
            return None
        *lines, self._partial = (self._partial + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.let_go()

    def let_go(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        if self._process.returncode is None:
            self._process.returncode = 0  # not our child after a fork: there is nothing to wait for
