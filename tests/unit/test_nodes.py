"""Which node this is, as launchers say it, and how nodes notice that one of them is lost."""

import socket
import threading
import time
from types import SimpleNamespace

import pytest

from chord.errors import UserError
from chord.training.scale import heartbeat
from chord.training.scale.heartbeat import Heartbeat
from chord.training.scale.nodes import Nodes, find_nodes

STATED = {"NNODES": "3", "NODE_RANK": "2", "MASTER_ADDR": "first", "MASTER_PORT": "4000"}
STEP = {
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "gpu[03-04]",
    "SLURM_NODEID": "1",
    "SLURM_JOB_ID": "12345",
}


def test_stated_nodes():
    assert find_nodes(3, STATED) == Nodes(3, 2, "first", 4000)
    assert find_nodes(3, STATED | STEP) == Nodes(3, 2, "first", 4000)  # what is stated counts


def test_nodes_of_a_slurm_step(monkeypatch):
    def shown(command, **_):
        assert command == ["scontrol", "show", "hostnames", "gpu[03-04]"]
        return SimpleNamespace(stdout="gpu03\ngpu04\n")

    monkeypatch.setattr("subprocess.run", shown)
    assert find_nodes(2, STEP) == Nodes(2, 1, "gpu03", 10_000 + 4_690)
    assert find_nodes(2, STEP | {"MASTER_ADDR": "ib03"}).address == "ib03"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, r"^scale.nodes: the specification says 2, but 1 was started; expected one `chord train` on each node"),
        ({"SLURM_NNODES": "2"}, "but 1 was started"),  # the allocation has two, but nobody called srun
        (STATED, "but 3 were started"),
        (STATED | {"MASTER_PORT": ""}, r"^MASTER_PORT: expected a number, as NNODES is set; got ''$"),
        (STATED | {"NODE_RANK": "3"}, "^NODE_RANK: expected a number from 0 to 2, got 3$"),
        (STEP | {"SLURM_STEP_NUM_TASKS": "4"}, "^srun: expected a task on each node .*, got 4 tasks on 2 nodes$"),
    ],
)
def test_other_nodes_are_refused(environment, message):
    with pytest.raises(UserError, match=message):
        find_nodes(2, environment)


@pytest.fixture
def hearts(monkeypatch):
    """Three nodes in this process, by rank, and which of them ended their ranks."""
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(heartbeat, "LIMIT_SECONDS", 1.0)
    monkeypatch.setattr(heartbeat, "PART_SECONDS", 0.2)
    monkeypatch.setattr(heartbeat, "GRACE_SECONDS", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1] - 1
    ended = [threading.Event() for _ in range(3)]
    hearts = [Heartbeat(Nodes(3, rank, "127.0.0.1", port), ended[rank].set) for rank in range(3)]
    starts = [threading.Thread(target=heart.__enter__) for heart in hearts]
    for start in starts:
        start.start()
    for start in starts:
        start.join(10)
    assert [sorted(heart.others) for heart in hearts] == [[1, 2], [0], [0]]
    return hearts, ended


def leave(heart: Heartbeat, error: type | None = None) -> None:
    heart.__exit__(error, None, None)


def test_nodes_that_end_well_end_nobody(hearts):
    hearts, ended = hearts
    for heart in hearts[::-1]:
        leave(heart)
    assert not any(event.wait(0.2) for event in ended)
    assert [heart.failure for heart in hearts] == [None] * 3


def test_a_failure_ends_all_and_is_told_once(hearts):
    hearts, ended = hearts
    leave(hearts[2], RuntimeError)
    assert ended[0].wait(5)
    assert hearts[0].failure == ""
    leave(hearts[0], RuntimeError)  # as its launcher does then
    assert ended[1].wait(5)
    assert hearts[1].failure == ""
    leave(hearts[1], RuntimeError)


def test_ranks_that_end_by_themselves_are_not_killed(hearts):
    hearts, ended = hearts
    leave(hearts[1], RuntimeError)
    while hearts[0].failure is None:
        assert not ended[0].is_set()
        time.sleep(0.01)
    for heart in (hearts[0], hearts[2]):
        leave(heart, RuntimeError)
    assert not ended[0].wait(1)


def test_a_killed_node_is_named(hearts):
    hearts, ended = hearts
    hearts[1].over.set()
    hearts[1].others[0].close()
    assert ended[0].wait(5)
    assert hearts[0].failure.startswith("node 2 of 3 was lost (")
    for heart in (hearts[0], hearts[2]):
        leave(heart, RuntimeError)


def test_a_silent_node_is_named(hearts):
    """As one without power: its connections stay open."""
    hearts, ended = hearts
    hearts[2].over.set()
    assert ended[0].wait(5)
    assert hearts[0].failure == "node 3 of 3 was lost (no sign of life for 1 s); the others end too"
    for heart in hearts[:2]:
        leave(heart, RuntimeError)
