"""A run killed at any moment ends with the weights and curves of a straight run, bit for bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest
import torch

from chord import tasks
from chord.io.files import read_json, write_jsonl
from chord.io.provenance import file_sha256
from chord.training.resume.checkpoints import clear_checkpoints, newest_checkpoint, step_of
from tests.helpers.plugin_files import SRC, WEIGHT, install
from tests.helpers.small_training import VALIDATION, coin, hybrid_stage, sft_stage
from tests.helpers.training_runs import Cut, curves, cut_behind, finish, start_run, train_here

STAGES = {
    "hybrid": hybrid_stage(
        steps=7, validate_every=3, schedule={"name": "linear", "start": 0.9, "end": 0.1, "steps": 7}
    ),
    "sft": sft_stage(epochs=3, keep="best", validate_every=2),
}
LAST_STEP = {"hybrid": 7, "sft": 9}


@pytest.fixture(scope="module")
def jobs(start, prompts, experts, tmp_path_factory) -> dict[str, list[str]]:
    """Arguments of the training command for each stage, without the run folder."""
    folder = tmp_path_factory.mktemp("rows")
    files = {"prompts": prompts, "experts": experts, "validation": prompts[:6]}
    for name, rows in files.items():
        write_jsonl(folder / f"{name}.jsonl", rows)
    common = {"study_seed": 3, "seed_index": 1, "validation": VALIDATION, "save_every": 2}
    return {
        kind: [
            json.dumps(common | {"stage": stage.model_dump(mode="json")}),
            str(start),
            *(str(folder / f"{name}.jsonl") for name in files),
        ]
        for kind, stage in STAGES.items()
    }


@pytest.fixture(scope="module")
def straight(jobs, tmp_path_factory):
    """(kind of stage) -> the folder of a run that nothing disturbed. Tests must not change it."""

    @cache
    def run(kind: str) -> Path:
        out = tmp_path_factory.mktemp("straight") / kind
        finish(start_run(jobs[kind], out))
        return out

    return run


@pytest.fixture(scope="module")
def sft_cut_after_2(jobs, tmp_path_factory):
    """() -> the folder of an SFT run that was cut off after step 2. Tests must not change it."""

    @cache
    def run() -> Path:
        out = tmp_path_factory.mktemp("cut") / "run"
        train_until(2, jobs["sft"], out)
        return out

    return run


def train_until(step: int, job: list[str], out: Path) -> None:
    """Train in this process, and cut the run off when it has saved after this step."""
    with pytest.MonkeyPatch.context() as patch:
        cut_behind(patch, step)
        with pytest.raises(Cut):
            train_here(job, out)


def kill_when(process, happened, how: signal.Signals = signal.SIGKILL) -> str:
    """Send the signal when it happened, and return what the process wrote to stderr."""
    deadline = time.monotonic() + 600
    while not happened():
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(how)
    _, errors = process.communicate()
    assert process.returncode
    return errors


@pytest.mark.slow
@pytest.mark.parametrize("kind", STAGES)
def test_killed_runs_end_like_a_straight_one(kind, jobs, straight, tmp_path):
    job, straight, killed, last_step = jobs[kind], straight(kind), tmp_path / "killed", LAST_STEP[kind]
    checkpoints = killed / "checkpoints"
    # Asked to stop while it saves step 2: it does one step more, and saves that too.
    errors = kill_when(start_run(job, killed), (checkpoints / "checkpoint-2").exists, signal.SIGTERM)
    assert f"stopped by SIGTERM and saved after step 3 of {last_step}" in errors
    assert newest_checkpoint(checkpoints).name == "checkpoint-3"
    for happened in (
        # in the middle of writing a checkpoint, with an earlier one that is complete
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
    assert sorted(path.name for path in checkpoints.iterdir()) == ["finished", "identity.json"]
    # A new start from nothing would end the same: the killed run did go on from a checkpoint.
    resumed = [json.loads((out / "manifest.json").read_text())["resumed_after_step"] for out in (straight, killed)]
    assert resumed[0] is None
    assert resumed[1] >= 4


@pytest.mark.slow
def test_a_run_names_its_plugins_and_starts_anew_when_one_was_edited(jobs, tmp_path):
    site, out = tmp_path / "site", tmp_path / "out"
    install(site, "doubtful", "chord.token_weights", "doubt = doubtful:Doubt")
    (site / "doubtful.py").write_text(WEIGHT)
    spec, *rows = jobs["hybrid"]
    stage = json.loads(spec)["stage"] | {"token_weight": {"name": "doubt"}}
    job = [json.dumps(json.loads(spec) | {"stage": stage}), *rows]
    command = [
        sys.executable,
        "-m",
        "tests.helpers.edited_plugin",
        str(site / "doubtful.py"),
        json.dumps(job),
        str(out),
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(SRC), str(site)])}
    done = subprocess.run(command, cwd=SRC.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    record = read_json(out / "manifest.json")
    assert record["resumed_after_step"] is None
    assert list(record["plugins"]) == ["chord.token_weights:doubt"]
    assert record["plugins"]["chord.token_weights:doubt"]["version"] == "1.2"


def changed_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_not_resumed_from(jobs, straight, tmp_path, caplog):
    """The run resumes from the one before, or starts anew where none is intact, and ends like a straight one."""
    cut, straight = tmp_path / "cut", straight("sft")
    train_until(6, jobs["sft"], cut)
    names = sorted(path.name for path in (cut / "checkpoints").iterdir())
    assert [name for name in names if name.startswith("checkpoint-")] == ["checkpoint-4", "checkpoint-6"]
    best = next(name for name in names if name.startswith("best-"))
    for damage, files, resumed, trains in (
        (changed_byte, ["checkpoint-6/optimizer.pt"], 4, True),
        (cut_off, ["checkpoint-6/model.safetensors"], 4, False),
        (cut_off, ["checkpoint-6/complete"], 4, False),
        (Path.unlink, ["checkpoint-6/scheduler.pt"], 4, False),
        (cut_off, [f"{best}/model.safetensors"], None, True),  # both checkpoints depend on it
        (changed_byte, ["checkpoint-6/rng_state.pth", "checkpoint-4/trainer_state.json"], None, False),
        (cut_off, ["identity.json"], None, False),
    ):
        caplog.clear()
        out = tmp_path / "damaged"
        shutil.copytree(cut, out)
        for file in files:
            damage(out / "checkpoints" / file)
        if trains:
            train_here(jobs["sft"], out)
            weights = [(folder / "model/model.safetensors").read_bytes() for folder in (out, straight)]
            assert weights[0] == weights[1], files
            assert curves(out) == curves(straight)
            assert read_json(out / "manifest.json")["resumed_after_step"] == resumed
        else:  # as the run does before it starts
            clear_checkpoints(out / "checkpoints", read_json(cut / "checkpoints/identity.json"))
            newest = newest_checkpoint(out / "checkpoints")
            assert (newest and step_of(newest)) == resumed, files
        for file in files:
            assert f"{out}/checkpoints/{file}: damaged since it was written" in caplog.text
        shutil.rmtree(out)


@pytest.mark.slow
def test_a_run_is_not_resumed_where_the_task_that_judges_it_was_edited(jobs, sft_cut_after_2, tmp_path, monkeypatch):
    """Editing any other task changes nothing: its source is not part of what decides the run."""
    job, out = jobs["sft"], tmp_path / "run"
    for folder in (out, tmp_path / "other"):
        shutil.copytree(sft_cut_after_2(), folder)
    monkeypatch.setitem(tasks.TASKS, "math", tasks.Task("math", coin, code=("world/problems.py",)))
    train_here(job, tmp_path / "other")
    assert read_json(tmp_path / "other/manifest.json")["resumed_after_step"] == 2
    monkeypatch.setitem(tasks.TASKS, "coin", tasks.Task("coin", coin, code=("world/problems.py",)))
    train_here(job, out)
    assert read_json(out / "manifest.json")["resumed_after_step"] is None


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"])
def test_a_checkpoint_that_would_do_harm_does_none(name, jobs, sft_cut_after_2, tmp_path):
    """Its marker is right, so that only the way in which the file is read can protect."""

    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm was done"),)

    job, out = jobs["sft"], tmp_path / "run"
    shutil.copytree(sft_cut_after_2(), out)
    checkpoint = out / "checkpoints/checkpoint-2"
    torch.save(Harm(), checkpoint / name)
    marker = json.loads((checkpoint / "complete").read_text())
    marker[checkpoint.name][name] = file_sha256(checkpoint / name)
    (checkpoint / "complete").write_text(json.dumps(marker))
    if name == "training_args.bin":  # never read
        train_here(job, out)
        assert json.loads((out / "manifest.json").read_text())["resumed_after_step"] == 2
    else:
        with pytest.raises(Exception, match="Weights only load failed"):
            train_here(job, out)
        assert not (out / "manifest.json").exists()
    assert not (tmp_path / "harm was done").exists()


@pytest.mark.slow
def test_a_finished_run_whose_result_was_deleted_is_delivered_again(jobs, straight, tmp_path, caplog):
    """As Snakemake deletes it when another job of a group fails, or when it was killed itself."""
    job, out = jobs["sft"], tmp_path / "out"
    shutil.copytree(straight("sft"), out)
    files = [*(out / "model").iterdir(), out / "curves.csv", out / "manifest.json"]
    first = {path: path.read_bytes() for path in files}

    def again(run: list[str]) -> bool:
        """Whether the result is the same in everything, the times in its manifest included."""
        shutil.rmtree(out / "model")
        (out / "curves.csv").unlink()
        (out / "manifest.json").unlink()
        caplog.clear()
        train_here(run, out)
        return {path: path.read_bytes() for path in files} == first

    with caplog.at_level("INFO"):
        assert again(job)
        assert f"{out}: was finished before" in caplog.text
        changed_byte(out / "checkpoints/finished/model/model.safetensors")
        assert not again(job)  # trained anew, at other times
        assert "finished: damaged since it was written" in caplog.text
        spec = json.loads(job[0]) | {"seed_index": 2}
        assert not again([json.dumps(spec), *job[1:]])
        assert "was finished before" not in caplog.text


@pytest.mark.slow
def test_checkpoints_of_other_settings_are_not_resumed_from(jobs, straight, tmp_path):
    spec, *rows = jobs["hybrid"]
    out = tmp_path / "changed"
    train_until(4, [json.dumps(json.loads(spec) | {"study_seed": 4}), *rows], out)
    train_here(jobs["hybrid"], out)
    assert curves(out) == curves(straight("hybrid"))
