"""Processes side by side on a machine with several GPUs, as far as the environment says it is one."""

import os
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parents[2] / "src"
CODE = """
import os, sys
from chord.devices import claim_gpus
from chord.errors import UserError
try:
    claim_gpus({count})
except UserError as error:
    print(error, flush=True)
else:
    print(os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


def start(folder: Path, visible: str | None, count: int = 1, **more: str) -> tuple[subprocess.Popen, str]:
    """A process that goes on until its input is closed, and what it says about its devices."""
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    environment |= {"PYTHONPATH": str(SRC), "TMPDIR": str(folder)} | more
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    process = subprocess.Popen(
        [sys.executable, "-c", CODE.format(count=count)],
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
