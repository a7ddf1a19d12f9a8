"""`chord train` on two ranks that share the model: started, cut off at any moment, resumed, refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from chord.errors import UserError
from chord.io.files import read_json, write_jsonl
from chord.training.resume.checkpoints import newest_checkpoint
from chord.training.scale import sharding
from chord.training.scale.scale_spec import Scale
from tests.helpers import forgetful, run_worker
from tests.helpers.small_training import VALIDATION, hybrid_stage, sft_stage
from tests.helpers.training_runs import curves, finish, start_ranks

OFFLOADED = {"ranks": 2, "sharding": "fsdp2", "cpu_offload": True}


@pytest.fixture(scope="module")
def command(start, prompts, experts, tmp_path_factory):
    """(scale, run folder, stage) -> the command."""
    folder = tmp_path_factory.mktemp("rows")
    world = [row | {"task": "world"} for row in prompts]
    for name, rows in (("prompts", world), ("experts", experts), ("validation", world[:5])):
        write_jsonl(folder / f"{name}.jsonl", rows)

    def arguments(scale: dict, out: Path, stage=None) -> list[str]:
        stage = stage or hybrid_stage(steps=5, keep="best", validate_every=3)
        spec = {
            "study_seed": 3,
            "seed_index": 1,
            "stage": stage.model_dump(mode="json"),
            "validation": VALIDATION,
            "save_every": 2,
            "scale": scale,
        }
        files = {name: folder / f"{name}.jsonl" for name in ("validation", *stage.inputs)}
        rows = [text for name, path in files.items() for text in (f"--{name}", str(path))]
        return ["train", "--spec", json.dumps(spec), "--start", str(start), *rows, "--out", str(out)]

    return arguments


def begin(arguments: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "chord", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen) -> tuple[int, list[str]]:
    """Exit code, and the lines for the user."""
    _, errors = process.communicate(timeout=300)
    return process.returncode, lines_for_user(errors)


def lines_for_user(errors: str) -> list[str]:
    return [line for line in errors.splitlines() if line.startswith("chord: error")]


def terminate_at(process: subprocess.Popen, path: Path) -> None:
    """SIGTERM to the job's process, and to no rank, when the path is there."""
    deadline = time.monotonic() + 600
    while not path.exists():
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.terminate()


@pytest.mark.slow
def test_ranks_that_were_cut_off_end_like_straight_ones(command, tmp_path):
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    for rank in start_ranks(2, run_worker.call_chord, command(OFFLOADED, straight), tmp_path):
        finish(rank)

    process = begin(command(OFFLOADED, cut))
    terminate_at(process, cut / "checkpoints/checkpoint-2")
    said = f"{cut}: stopped by SIGTERM and saved after step 3 of 5; the same command resumes from there"
    assert end(process) == (2, [f"chord: error: {said}"])  # once, not by each rank
    assert newest_checkpoint(cut / "checkpoints").name == "checkpoint-3"
    for rank in start_ranks(2, run_worker.call_chord, command(OFFLOADED, cut), tmp_path):
        finish(rank)

    for path in (straight / "model").iterdir():
        assert (cut / "model" / path.name).read_bytes() == path.read_bytes(), path.name
    weights = load_file(straight / "model/model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    assert curves(cut) == curves(straight)
    manifest = read_json(cut / "manifest.json")
    assert (manifest["ranks"], manifest["resumed_after_step"]) == (2, 3)
    # The first rank writes, and no other.
    assert sorted(path.name for path in cut.iterdir() if path.is_file()) == ["curves.csv", "manifest.json"]


def test_ranks_do_not_outlive_their_launcher():
    rank = (
        "from chord.training.scale.launch import end_with_launcher; end_with_launcher();"
        "print(os.getpid(), flush=True); sleep(60)"
    )
    job = (
        "import os, subprocess, sys; from chord.training.scale.launch import LAUNCHER;"
        "os.environ[LAUNCHER] = str(os.getpid());"
        f"subprocess.run([sys.executable, '-c', 'import os; from time import sleep; {rank}'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", job], env=os.environ | {"PYTHONPATH": "src"}, stdout=subprocess.PIPE, text=True
    )
    started = psutil.Process(int(process.stdout.readline()))
    process.kill()
    process.wait()
    assert psutil.wait_procs([started], timeout=10)[1] == []


@pytest.mark.slow
def test_gradients_that_do_not_add_up_are_refused(command, tmp_path):
    arguments = command(OFFLOADED, tmp_path / "run", sft_stage())
    first, second = start_ranks(2, forgetful.call_forgetful, arguments, tmp_path)
    _, errors = first.communicate(timeout=300)
    second.send_signal(signal.SIGTERM)  # as a launcher does, for the second rank leaves the word to the first
    second.communicate(timeout=300)
    assert first.returncode == 2
    (line,) = lines_for_user(errors)
    assert line.startswith("chord: error: scale.cpu_offload: gradients of 4 passes do not add up to that of one pass")
    assert not (tmp_path / "run" / "manifest.json").exists()


def test_ranks_of_another_number_are_refused():
    with pytest.raises(UserError, match=r"scale.ranks: the specification says 2, but 1 were started"):
        sharding.start_ranks(Scale(ranks=2), "fp32")
