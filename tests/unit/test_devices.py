"""Processes side by side on a machine with several GPUs, as far as the environment says it is one."""

import os
import subprocess
import sys
from pathlib import Path

from chord.io.devices import available_cores
from chord.tasks import math_grader

SRC = Path(__file__).parents[2] / "src"
CODE = """
import os, sys
from chord.io.devices import claim_gpus, server_gpus
from chord.errors import UserError
server = {server}
try:
    claim_gpus({count}, server)
    seen = [os.environ.get("CUDA_VISIBLE_DEVICES"), *([server_gpus({count} - server, server)] if server else [])]
except UserError as error:
    print(error, flush=True)
else:
    print(*seen, flush=True)
sys.stdin.read()
"""


def start(
    folder: Path, visible: str | None, count: int = 1, server: int = 0, **more: str
) -> tuple[subprocess.Popen, str]:
    """A process that goes on until its input is closed, and what it says about its devices."""
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    environment |= {"PYTHONPATH": str(SRC), "TMPDIR": str(folder)} | more
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    process = subprocess.Popen(
        [sys.executable, "-c", CODE.format(count=count, server=server)],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return process, process.stdout.readline().strip()


def end(*processes: subprocess.Popen) -> None:
    for process in processes:
        process.communicate()


def test_each_process_has_its_own_gpus(tmp_path):
    first, seen = start(tmp_path, "4,5,6,7")
    second, other = start(tmp_path, "4,5,6,7", count=2)
    third, too_many = start(tmp_path, "4,5,6,7", count=2)
    assert (seen, other) == ("4", "5,6")
    assert too_many.startswith("4 GPUs are visible and 1 of them not in use, but the job needs 2; expected `snakemake")
    end(first, second, third)
    last, again = start(tmp_path, "4,5,6,7")
    assert again == "4"
    end(last)


def test_nothing_to_choose(tmp_path):
    """One device, as many as asked for, none at all, and the ranks of a launcher."""
    started = [
        start(tmp_path, "3"),
        start(tmp_path, "0,1", count=2),
        start(tmp_path, ""),
        start(tmp_path, "0,1,2", LOCAL_RANK="1"),
    ]
    assert [seen for _, seen in started] == ["3", "0,1", "", "0,1,2"]
    assert not list(tmp_path.iterdir())
    end(*(process for process, _ in started))


def test_a_server_has_gpus_of_its_own(tmp_path):
    """The job sees those of its ranks only, and a launcher's ranks leave the ones after theirs to the server."""
    started = [
        start(tmp_path, "4,5,6,7", count=3, server=1),
        start(tmp_path, "0,1", count=2, server=1),
        start(tmp_path, "0,1,2,3", count=4, server=2, LOCAL_RANK="0"),
        start(tmp_path, "", count=2, server=1),
        start(tmp_path, "0", count=2, server=1),
        start(tmp_path, "0,1", count=4, server=2, LOCAL_RANK="0"),
    ]
    assert [seen for _, seen in started] == [
        "4,5 6",
        "0 1",
        "0,1,2,3 2,3",
        "None",
        "1 GPUs are visible; expected 2, 1 of them for the vLLM server",
        "2 GPUs are visible; expected 4, 2 of them for the vLLM server",
    ]
    end(*(process for process, _ in started))


def test_cores_are_counted_where_there_is_no_affinity_too(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 4, 5}, raising=False)
    assert available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert available_cores() == 4
    assert math_grader._pool.__wrapped__()._count == 4
