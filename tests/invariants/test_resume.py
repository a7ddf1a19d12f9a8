"""A run killed at any moment ends with the weights and curves of a straight run, bit for bit."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from chord import tasks
from chord.io.files import read_json, write_jsonl
from chord.io.provenance import file_sha256
from chord.training.resume.checkpoints import newest_checkpoint
from tests.helpers.plugin_files import SRC, WEIGHT, install
from tests.helpers.small_training import VALIDATION, coin, hybrid_stage, sft_stage
from tests.helpers.training_runs import Cut, curves, cut_behind, finish, start_command, start_run, train_here

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


def kill_when(process, happened, how: signal.Signals = signal.SIGKILL) -> str:
    """Send the signal when it happened, and return what the process wrote to stderr."""
    deadline = time.monotonic() + 120
    while not happened():
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(how)
    _, errors = process.communicate()
    assert process.returncode
    return errors


@pytest.mark.slow
@pytest.mark.parametrize("job", STAGES, indirect=True)
def test_killed_runs_end_like_a_straight_one(job, tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    finish(start_run(job, straight))
    last_step = LAST_STEP[json.loads(job[0])["stage"]["kind"]]

    checkpoints = killed / "checkpoints"
    # Asked to stop while it saves step 2: it does one step more, and saves that too.
    errors = kill_when(start_run(job, killed), (checkpoints / "checkpoint-2").exists, signal.SIGTERM)
    assert f"stopped by SIGTERM and saved after step 3 of {last_step}" in errors
    assert newest_checkpoint(checkpoints).name == "checkpoint-3"
    # in the middle of writing a checkpoint; after one, between two steps; while a later one is being written
    for happened in (
        lambda: (checkpoints / "checkpoint-4").exists(),
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
    assert sorted(path.name for path in checkpoints.iterdir()) == ["finished", "identity.json"]
    # A new start from nothing would end the same: the killed run did go on from a checkpoint.
    resumed = [json.loads((out / "manifest.json").read_text())["resumed_after_step"] for out in (straight, killed)]
    assert resumed[0] is None
    assert resumed[1] >= 4


@pytest.mark.slow
@pytest.mark.parametrize("job", ["hybrid"], indirect=True)
def test_a_run_names_its_plugins_and_starts_anew_when_one_was_edited(job, tmp_path, monkeypatch):
    site, out = tmp_path / "site", tmp_path / "out"
    install(site, "doubtful", "chord.token_weights", "doubt = doubtful:Doubt")
    (site / "doubtful.py").write_text(WEIGHT)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SRC), str(site)]))
    spec = json.loads(job[0])
    spec["stage"]["token_weight"] = {"name": "doubt"}
    job = [json.dumps(spec), *job[1:]]
    kill_when(start_command(job, out), (out / "checkpoints" / "checkpoint-4" / "complete").exists)
    (site / "doubtful.py").write_text(WEIGHT + "\n# edited\n")
    finish(start_command(job, out))
    record = json.loads((out / "manifest.json").read_text())
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
@pytest.mark.parametrize("job", ["sft"], indirect=True)
def test_a_damaged_checkpoint_is_not_gone_on_from(job, tmp_path, monkeypatch, caplog):
    """The run goes on from the one before, or anew where no whole one is left, and ends like a straight one."""
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    train_here(job, straight)
    with monkeypatch.context() as patch:
        cut_behind(patch, 6)
        with pytest.raises(Cut):
            train_here(job, cut)
    names = sorted(path.name for path in (cut / "checkpoints").iterdir())
    assert [name for name in names if name.startswith("checkpoint-")] == ["checkpoint-4", "checkpoint-6"]
    best = next(name for name in names if name.startswith("best-"))
    for damage, files, resumed in (
        (changed_byte, ["checkpoint-6/optimizer.pt"], 4),
        (cut_off, ["checkpoint-6/model.safetensors"], 4),
        (cut_off, ["checkpoint-6/complete"], 4),
        (Path.unlink, ["checkpoint-6/scheduler.pt"], 4),
        (cut_off, [f"{best}/model.safetensors"], None),  # both checkpoints count on it
        (changed_byte, ["checkpoint-6/rng_state.pth", "checkpoint-4/trainer_state.json"], None),
        (cut_off, ["identity.json"], None),
    ):
        caplog.clear()
        out = tmp_path / "damaged"
        shutil.copytree(cut, out)
        for file in files:
            damage(out / "checkpoints" / file)
        train_here(job, out)
        for file in files:
            assert f"{out}/checkpoints/{file}: damaged since it was written" in caplog.text
        weights = [(folder / "model/model.safetensors").read_bytes() for folder in (out, straight)]
        assert weights[0] == weights[1], files
        assert curves(out) == curves(straight)
        assert json.loads((out / "manifest.json").read_text())["resumed_after_step"] == resumed
        shutil.rmtree(out)


@pytest.mark.slow
@pytest.mark.parametrize("job", ["sft"], indirect=True)
def test_a_run_is_not_resumed_where_the_task_that_judges_it_was_edited(job, tmp_path, monkeypatch):
    """Editing any other task changes nothing: its source is not part of what decides the run."""
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        cut_behind(patch, 2)
        with pytest.raises(Cut):
            train_here(job, out)
    shutil.copytree(out, tmp_path / "other")
    monkeypatch.setitem(tasks.TASKS, "math", tasks.Task("math", coin, code=("world/problems.py",)))
    train_here(job, tmp_path / "other")
    assert read_json(tmp_path / "other/manifest.json")["resumed_after_step"] == 2
    monkeypatch.setitem(tasks.TASKS, "coin", tasks.Task("coin", coin, code=("world/problems.py",)))
    train_here(job, out)
    assert read_json(out / "manifest.json")["resumed_after_step"] is None


@pytest.mark.parametrize("job", ["sft"], indirect=True)
@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"])
def test_a_checkpoint_that_would_do_harm_does_none(job, name, tmp_path, monkeypatch):
    """Its marker is right, so that only the way in which the file is read can protect."""

    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm was done"),)

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        cut_behind(patch, 2)
        with pytest.raises(Cut):
            train_here(job, out)
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
@pytest.mark.parametrize("job", ["sft"], indirect=True)
def test_a_finished_run_whose_result_was_deleted_is_delivered_again(job, tmp_path, caplog):
    """As Snakemake deletes it when another job of a group fails, or when it was killed itself."""
    out = tmp_path / "out"
    train_here(job, out)
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
@pytest.mark.parametrize("job", ["hybrid"], indirect=True)
def test_checkpoints_of_other_settings_are_not_gone_on_from(job, tmp_path):
    spec = json.loads(job[0])
    other = [json.dumps(spec | {"study_seed": 4}), *job[1:]]
    straight, changed = tmp_path / "straight", tmp_path / "changed"
    kill_when(start_run(other, changed), (changed / "checkpoints" / "checkpoint-4" / "complete").exists)
    finish(start_run(job, changed))
    finish(start_run(job, straight))
    assert curves(changed) == curves(straight)


@pytest.mark.slow
@pytest.mark.parametrize("job", ["hybrid"], indirect=True)
def test_the_command_runs_on_two_ranks(job, tmp_path):
    """The weights equal one rank's but for rounding, and only the first rank writes."""
    one, two = tmp_path / "one", tmp_path / "two"
    finish(start_run(job, one))
    on_two = json.dumps(json.loads(job[0]) | {"scale": {"ranks": 2}})
    finish(start_command([on_two, *job[1:]], two, ranks=2))
    assert sorted(path.name for path in two.iterdir()) == sorted(path.name for path in one.iterdir())
    assert json.loads((two / "manifest.json").read_text())["ranks"] == 2
    for column in ("expert_rows", "rollouts", "expert_tokens"):
        assert [row[column] for row in curves(two)] == [row[column] for row in curves(one)]
    first_steps = [[float(row["expert_nll"]) for row in curves(out)[1:3]] for out in (one, two)]
    assert first_steps[1] == pytest.approx(first_steps[0], rel=1e-3)
