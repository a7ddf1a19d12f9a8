"""A pool of worker processes that answer requests and may hang or die on any of them.

The pool works from any thread and after a fork, since it depends on no signals or threads of this process: the kernel
enforces the workers' time limits (`math_worker`), and the pipes report their deaths. Workers end with this process,
even if it is killed, because their input ends. The protocol has one line of JSON per message: a list of requests goes
in, and for each request, in order, `{"reply": ...}` or `{"died": signal}` comes out; after a death the remaining
requests are sent again.
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

CHUNK = 32  # requests per message
START_SECONDS = 300


class Death(NamedTuple):
    """Takes the place of a reply: the worker died on this request, twice unless it ran out of time."""

    timeout: bool


class WorkerPool:
    """Up to `workers` processes of one script, which are started when there is work for them and then reused.

    canaries: requests with their known replies. A worker that gives another reply is an error, so that a broken
    installation stops a run instead of judging it.
    """

    def __init__(self, script: Path, workers: int, canaries: Sequence[tuple[Any, Any]]):
        self._script, self._count, self._canaries = script, workers, canaries
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def map(self, requests: Sequence[Any]) -> list[Any]:
        """Returns the reply to each request, or its `Death`. Other threads wait for their turn."""
        if not requests:
            return []
        with self._lock:
            try:
                return self._map(requests)
            except BaseException:  # also Ctrl-C: unread replies would be taken for replies to the next request
                self.close()
                raise

    def close(self) -> None:
        """End all workers; the next `map` starts new ones."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.kill()

    def _forget(self) -> None:
        """Drop the workers in a forked child: they belong to the parent, one of whose threads may hold the lock."""
        for worker in self._workers:
            worker.release()
        self._workers, self._lock = [], threading.Lock()

    def _map(self, requests: Sequence[Any]) -> list[Any]:
        size = max(1, min(CHUNK, math.ceil(len(requests) / self._count)))
        todo = deque(range(start, min(start + size, len(requests))) for start in range(0, len(requests), size))
        self._start(min(self._count, math.ceil(len(requests) / CHUNK)))
        results: list[Any] = [None] * len(requests)
        retried: set[int] = set()
        with selectors.DefaultSelector() as selector:

            def give(worker: _Worker, numbers: Sequence[int]) -> None:
                worker.pending = deque(numbers)
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
                else:  # the request may not be the cause: the system kills processes when memory is short
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
                        bury(worker.pending.popleft(), Death(timeout=False))
                        rest, worker = worker.pending, replace(worker)
                        give(worker, rest)
                        messages = []
                    for message in messages:
                        number = worker.pending.popleft()
                        if "reply" in message:
                            results[number] = message["reply"]
                            continue
                        bury(number, Death(timeout=message["died"] == signal.SIGPROF))
                        give(worker, worker.pending)
                    if not worker.pending:
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
                    raise GraderError(f"the worker {self._script.name} did not start; see its message above")
                replies += messages
            for (request, expected), message in zip(self._canaries, replies, strict=True):
                if message != {"reply": expected}:
                    raise GraderError(
                        f"the worker {self._script.name} fails a check that it must pass: for {request} expected "
                        f"{expected}, got {message}; nothing was judged"
                    )


class _Worker:
    def __init__(self, script: Path):
        self.pending: deque[int] = deque()  # numbers of the requests that were sent and have no reply yet
        self._partial = b""
        self._process = subprocess.Popen(
            # -P: nothing must be imported from the script's folder
            [sys.executable, "-P", "-W", "ignore", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"PYTHONHASHSEED": "0"},  # the order of sympy's symbols, and so its time, depends on it
            start_new_session=True,  # this process handles Ctrl-C, and `kill` reaches the worker's own child
        )
        self.output = self._process.stdout

    def send(self, requests: list[Any]) -> None:
        """Send requests; blocks at most until the idle worker has read them. `receive` reports a dead worker."""
        if requests:
            message = memoryview(json.dumps(requests).encode() + b"\n")
            with suppress(BrokenPipeError):
                while message:
                    message = message[self._process.stdin.write(message) :]

    def receive(self, timeout: float | None = None) -> list[dict] | None:
        """Wait for the first bytes and return the messages that are there; None if no more will come."""
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
        self.release()

    def release(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        if self._process.returncode is None:
            self._process.returncode = 0  # after a fork it is not our child, so there is nothing to wait for
