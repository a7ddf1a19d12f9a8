"""Signs of life between the nodes of a job: when one is lost, the others end, instead of waiting for its ranks.

A rank notices the loss of another one only in their next exchange, and there it may wait for hours: for a machine that
lost its power nobody closes a connection. So the launchers of the nodes, which have nothing else to do, keep one to the
first node each and send a byte in both directions every few seconds.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from chord.errors import UserError
from chord.training.scale.nodes import Nodes

BEAT_SECONDS = 2.0
LIMIT_SECONDS = 30.0  # without a sign of life
START_SECONDS = 300.0  # from the first node's start to the last one's: Python's imports from a slow file system
GRACE_SECONDS = 10.0  # for ranks that end by themselves when another node has failed: after SIGTERM or a common error
PART_SECONDS = 1.0  # for the other side to read the last word
ALIVE, DONE, FAILED = b"a", b"d", b"f"


class Heartbeat:
    """Use it as a context around the work of the node's ranks; it calls `end_ranks` when another node is lost.

    Afterwards `failure` is None, "" if another node has failed and said why, or else a message.
    """

    def __init__(self, nodes: Nodes, end_ranks: Callable[[], None]):
        self.nodes, self.end_ranks = nodes, end_ranks
        self.failure: str | None = None
        self.others: dict[int, socket.socket] = {}  # rank of the node -> connection
        self.over = threading.Event()

    def __enter__(self) -> "Heartbeat":
        """Wait until all nodes have started. UserError if some do not."""
        self.others = self._accept() if self.nodes.rank == 0 else {0: self._connect()}
        for rank, connection in self.others.items():
            threading.Thread(target=self._watch, args=(rank, connection), daemon=True).start()
        return self

    def __exit__(self, kind, error, trace) -> None:
        """Tell the others how this node's ranks have ended."""
        self.over.set()
        for connection in self.others.values():
            with suppress(OSError):  # that node is lost, or has ended before
                connection.sendall(DONE if kind is None else FAILED)
                connection.shutdown(socket.SHUT_WR)
        for connection in self.others.values():
            with suppress(OSError):
                connection.settimeout(PART_SECONDS)
                while connection.recv(1024):  # to end with unread bytes would take back what was sent
                    pass

    def _accept(self) -> dict[int, socket.socket]:
        deadline = time.monotonic() + START_SECONDS
        others: dict[int, socket.socket] = {}
        try:
            with _listen(self.nodes.port + 1) as server:
                while len(others) < self.nodes.count - 1:
                    server.settimeout(max(0.1, deadline - time.monotonic()))
                    connection, _ = server.accept()
                    connection.settimeout(LIMIT_SECONDS)
                    with suppress(OSError):  # a stranger, who says nothing
                        rank = int.from_bytes(connection.recv(4))
                        if 0 < rank < self.nodes.count:
                            others[rank] = connection
        except TimeoutError as error:
            started = f"{self.nodes.count} expected, but {len(others) + 1} started within {START_SECONDS:.0f} s"
            raise UserError(f"scale.nodes: {started}") from error
        except OSError as error:
            raise UserError(f"port {self.nodes.port + 1} of the first node: {error}") from error
        return others

    def _connect(self) -> socket.socket:
        place = self.nodes.address, self.nodes.port + 1
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                connection = socket.create_connection(place, timeout=LIMIT_SECONDS)
                connection.sendall(self.nodes.rank.to_bytes(4))
                return connection
            except OSError as error:  # it has not started yet
                if time.monotonic() > deadline:
                    reason = f"no answer from the first node, {place[0]} port {place[1]} ({error})"
                    raise UserError(f"scale.nodes: {reason}") from error
                time.sleep(0.2)

    def _watch(self, rank: int, connection: socket.socket) -> None:
        try:
            while not self.over.is_set():
                connection.sendall(ALIVE)
                received = connection.recv(1024)
                if DONE in received:
                    return
                if FAILED in received:
                    self._fail("", GRACE_SECONDS)
                    return
                if not received:
                    self._fail(self._lost(rank, "its process has ended"))
                    return
                self.over.wait(BEAT_SECONDS)
        except TimeoutError:
            self._fail(self._lost(rank, f"no sign of life for {LIMIT_SECONDS:.0f} s"))
        except OSError as error:
            self._fail(self._lost(rank, error.strerror or str(error)))

    def _lost(self, rank: int, reason: str) -> str:
        return f"node {rank + 1} of {self.nodes.count} was lost ({reason}); the others end too"

    def _fail(self, message: str, grace: float = 0.0) -> None:
        if self.failure is None and not self.over.is_set():
            self.failure = message
            if not self.over.wait(grace):
                self.end_ranks()


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))
