"""A run killed at any moment ends with the weights and curves of a straight run, bit for bit."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chord.errors import UserError
from chord.files import write_jsonl
from chord.training.checkpoints import locked
from chord.training.curves import CLOCK
from tests.invariants.conftest import hybrid_stage, sft_stage

VALIDATION = {"k": 1, "decoding": {"temperature": 1.0, "max_response_tokens": 8}, "batch_rows": 16}
STAGES = {
    "hybrid": hybrid_stage(
        steps=7, validate_every=3, schedule={"name": "linear", "start": 0.9, "end": 0.1, "steps": 7}
    ),
    "sft": sft_stage(epochs=3, keep="best", validate_every=2),
}
LAST_STEP = {"hybrid": 7, "sft": 9}


@pytest.fixture
def job(request, start, prompts, experts, tmp_path):
    """Arguments of the training command, without the run folder."""
    stage = STAGES[request.param]
    spec = {
        "study_seed": 3,
        "seed_index": 1,
        "stage": stage.model_dump(mode="json"),
        "validation": VALIDATION,
        "save_every": 2,
    }
    for name, rows in (("prompts", prompts), ("experts", experts), ("validation", prompts[:6])):
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    return [json.dumps(spec), str(start), *(str(tmp_path / f"{n}.jsonl") for n in ("prompts", "experts", "validation"))]


def start_run(job: list[str], out: Path, ranks: int = 1, rows: str = "experts") -> subprocess.Popen:
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "-m"] if ranks > 1 else []
    return subprocess.Popen(
        [sys.executable, "-m", *torchrun, "tests.invariants.run_worker", *job, str(out), rows],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]


def kill_when(process: subprocess.Popen, happened) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def curves(out: Path) -> list[dict]:
    with open(out / "curves.csv", newline="") as file:
        return [{key: value for key, value in row.items() if key not in CLOCK} for row in csv.DictReader(file)]


@pytest.mark.parametrize("job", STAGES, indirect=True)
def test_killed_runs_end_like_a_straight_one(job, tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    finish(start_run(job, straight))
    last_step = LAST_STEP[json.loads(job[0])["stage"]["kind"]]

    checkpoints = killed / "checkpoints"
    # in the middle of writing a checkpoint; after one, between two steps; while a later one is being written
    for happened in (
        lambda: (checkpoints / "checkpoint-2").exists(),
        lambda: (checkpoints / "checkpoint-4" / "complete").exists(),
        lambda: (checkpoints / "checkpoint-6").exists(),
        # after the last checkpoint, before the result is written
        lambda: (checkpoints / f"checkpoint-{last_step}" / "complete").exists(),
    ):
        kill_when(start_run(job, killed), happened)
        assert not (killed / "manifest.json").exists()
    finish(start_run(job, killed))

    names = sorted(path.name for path in (straight / "model").iterdir())
    assert "model.safetensors" in names
    for name in names:
        assert (killed / "model" / name).read_bytes() == (straight / "model" / name).read_bytes(), name
    assert curves(killed) == curves(straight)
    assert [row["step"] for row in curves(killed)] == [str(step) for step in range(len(curves(killed)))]
    results = [json.loads((out / "manifest.json").read_text())["result"] for out in (straight, killed)]
    for clock in ("train_minutes", "validation_minutes", "peak_memory_mb"):
        assert [result.pop(clock) > 0 for result in results] == [True, True]
    assert results[0] == results[1]
    assert not checkpoints.exists()
    # A new start from nothing would end the same: the killed run did go on from a checkpoint.
    resumed = [json.loads((out / "manifest.json").read_text())["resumed_after_step"] for out in (straight, killed)]
    assert resumed[0] is None
    assert resumed[1] >= 4


@pytest.mark.parametrize("job", ["hybrid"], indirect=True)
def test_checkpoints_of_other_settings_are_not_gone_on_from(job, tmp_path):
    spec = json.loads(job[0])
    other = [json.dumps(spec | {"study_seed": 4}), *job[1:]]
    straight, changed = tmp_path / "straight", tmp_path / "changed"
    kill_when(start_run(other, changed), (changed / "checkpoints" / "checkpoint-4" / "complete").exists)
    finish(start_run(job, changed))
    finish(start_run(job, straight))
    assert curves(changed) == curves(straight)


@pytest.mark.parametrize("job", ["hybrid"], indirect=True)
def test_the_command_runs_on_two_ranks(job, tmp_path):
    """The weights equal one rank's but for rounding, and only the first rank writes."""
    one, two = tmp_path / "one", tmp_path / "two"
    finish(start_run(job, one))
    finish(start_run(job, two, ranks=2))
    assert sorted(path.name for path in two.iterdir()) == sorted(path.name for path in one.iterdir())
    assert json.loads((two / "manifest.json").read_text())["ranks"] == 2
    for column in ("expert_rows", "rollouts", "expert_tokens"):
        assert [row[column] for row in curves(two)] == [row[column] for row in curves(one)]
    first_steps = [[float(row["expert_nll"]) for row in curves(out)[1:3]] for out in (one, two)]
    assert first_steps[1] == pytest.approx(first_steps[0], rel=1e-3)


def test_a_folder_takes_one_process(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from chord.training.checkpoints import locked\n"
        "with locked(Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "locked\n"
    with pytest.raises(UserError, match="another process is training into this folder"), locked(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with locked(tmp_path):
        pass
