"""A full disk, a read-only folder, two at once: one line that names the file, and nothing that passes for a result.

The disks are real ones, small and in memory, in a mount namespace of each test.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from chord import cli
from chord.io.files import write_jsonl
from chord.io.locks import exclusive
from chord.study import load_study
from chord.world import problems, solutions
from chord.world.rows import world_rows
from tests.helpers.workflow import ROOT, snakemake

PYTHON = [sys.executable, "-m", "chord"]
ADVICE = "no half-written file counts as a result: make room or give access, then give the same command again\n"
NAMESPACE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "bash", "-euc"]


@pytest.fixture
def disk(tmp_path) -> Path:
    """Where a script of `on_disk` mounts its disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        found = subprocess.run([*NAMESPACE, 'mount -t tmpfs tmpfs "$0"', str(folder)], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no unshare: mount namespaces are Linux's")
    if found.returncode:
        pytest.skip(f"no disk of our own: {found.stderr.strip()}")
    return folder


def on_disk(script: str, disk: Path, *arguments: str | Path) -> subprocess.CompletedProcess:
    """Run a script in a namespace of its own, with `$0` the folder to mount a disk on, and the arguments behind it."""
    return subprocess.run(
        [*NAMESPACE, script, disk, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_command_on_a_full_disk_and_on_one_that_takes_no_writing(disk):
    spec = json.dumps(load_study("smoke", ROOT).prepare_spec())
    script = (
        'mount -t tmpfs -o size=16k tmpfs "$0"\n'
        '"$@" && exit 1; find "$0" -name "manifest*" -o -name ".partial*"\n'
        'mount -o remount,size=1m "$0"; "$@"; find "$0" -name "manifest*"; rm "$0"/data/manifest.json\n'
        'mount -o remount,ro "$0"; "$@" || exit 42'
    )
    found = on_disk(script, disk, *PYTHON, "prepare", "--spec", spec, "--out", disk / "data")
    assert found.returncode == 42, found.stderr
    full, closed = found.stderr.splitlines(keepends=True)
    assert re.fullmatch(rf"chord: error: {disk}/data/\w+\.jsonl?: No space left on device; {ADVICE}", full)
    assert re.fullmatch(rf"chord: error: {disk}/data/\w+\.jsonl?: Read-only file system; {ADVICE}", closed)
    assert found.stdout == f"{disk}/data/manifest.json\n"  # not on the full disk, but when there was room


@pytest.fixture(scope="module")
def training(tiny_model_dir, tmp_path_factory) -> list[str]:
    """The command of a short SFT run, without its folder."""
    folder = tmp_path_factory.mktemp("training")
    rows = world_rows("sft", "sft", (3, 4, 5), 24, seed=1)
    experts = [
        row | {"response": solutions.write_expert(problems.parse(row["messages"][-1]["content"]))} for row in rows
    ]
    write_jsonl(folder / "experts.jsonl", experts)
    write_jsonl(folder / "validation.jsonl", rows[:4])
    stage = {
        "kind": "sft",
        "optimizer": {"lr": 1e-3},
        "epochs": 2,
        "expert_rows_per_step": 8,
        "micro_batch_tokens": 1000,
        "keep": "best",
        "validate_every": 3,
    }
    decoding = {"temperature": 1.0, "max_response_tokens": 8}
    validation = {"k": 1, "decoding": decoding, "batch_rows": 4}
    spec = {"study_seed": 1, "seed_index": 0, "stage": stage, "validation": validation, "save_every": 2}
    given = {"spec": json.dumps(spec), "start": tiny_model_dir}
    given |= {name: folder / f"{name}.jsonl" for name in ("experts", "validation")}
    return ["train", *(str(word) for name, value in given.items() for word in (f"--{name}", value))]


@pytest.mark.slow
def test_training_on_a_full_disk_goes_on_when_there_is_room(disk, training, tmp_path):
    """Its checkpoints are written by libraries that do not say why they fail."""
    assert cli.main([*training, "--out", str(tmp_path / "straight")]) == 0
    script = (
        'mount -t tmpfs -o size=640k tmpfs "$0"; log="$1"; shift\n'
        '"$@" 2> "$log" && exit 1; find "$0"/run -mindepth 1 -printf "%P\\n" > "$log.files"\n'
        'mount -o remount,size=64m "$0"; "$@"; cat "$0"/run/model/model.safetensors > "$log.weights"\n'
        'cat "$0"/run/manifest.json > "$log.manifest"'
    )
    log = tmp_path / "log"
    found = on_disk(script, disk, log, *PYTHON, *training, "--out", disk / "run")
    assert found.returncode == 0, found.stderr + log.read_text()
    files = (tmp_path / "log.files").read_text().splitlines()
    assert "manifest.json" not in files
    assert "model" not in files
    kept = [file for file in files if re.fullmatch(r"checkpoints/checkpoint-\d+", file)]
    assert kept == ["checkpoints/checkpoint-2"]
    assert "checkpoints/checkpoint-2/complete" in files
    assert log.read_text().endswith(f"chord: error: {disk / 'run'}: No space left on device; {ADVICE}")
    assert "Traceback" not in log.read_text()
    assert json.loads((tmp_path / "log.manifest").read_text())["resumed_after_step"] == 2
    assert (tmp_path / "log.weights").read_bytes() == (tmp_path / "straight/model/model.safetensors").read_bytes()


@pytest.mark.slow
def test_two_processes_do_not_train_into_one_folder(training, tmp_path, capsys):
    with exclusive(tmp_path / "run/lock", "training into this folder", beat=0.2):
        assert cli.main([*training, "--out", str(tmp_path / "run")]) == 2
    errors = capsys.readouterr().err
    (line,) = [line for line in errors.splitlines() if line.startswith("chord: error: ")]
    assert f"run/lock: process {os.getpid()} on {os.uname().nodename} is training into this folder; wait" in line
    assert "Traceback" not in errors
    assert [path.name for path in (tmp_path / "run").iterdir()] == []


def job_of(snakemake: int) -> psutil.Process | None:
    for process in psutil.Process(snakemake).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended in the meantime
            if process.cmdline()[1:3] == ["-m", "chord"]:
                return process
    return None


@pytest.mark.slow
def test_a_second_snakemake_is_refused_while_the_first_one_lives(tmp_path):
    call = ["--directory", str(tmp_path), "--config", "study=smoke", "--cores", "1"]
    target = ["--", "results/smoke/data/rl.jsonl"]
    first = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *call, *target],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    lock = tmp_path / "results/smoke/lock"
    while not (job := job_of(first.pid)):
        assert first.poll() is None
        time.sleep(0.05)
    job.suspend()  # so that the first one lives for as long as the second one needs
    snakemake(ROOT, "-n", *call, *target)  # a plan disturbs nobody
    second = snakemake(ROOT, *call, *target, check=False)
    assert second.returncode == 1
    assert second.stderr.splitlines()[-1].startswith(
        f"results/smoke/lock: process {first.pid} on {os.uname().nodename} is running Snakemake on smoke; wait for it"
    )
    assert "Traceback" not in second.stderr
    job.resume()
    assert first.wait() == 0
    assert not lock.exists()


@pytest.mark.slow
def test_a_study_in_a_folder_that_takes_no_writing(disk):
    call = [sys.executable, "-m", "snakemake", "--directory", disk, "--config", "study=smoke", "--cores", "1"]
    script = (
        'mount -t tmpfs tmpfs "$0"; mkdir -p "$0"/results/smoke; cd "$1"; shift\n'
        'mount -t tmpfs -o ro tmpfs "$0"/results/smoke; "$@" || exit 42'
    )
    found = on_disk(script, disk, ROOT, *call, "--", "results/smoke/data/rl.jsonl")
    assert found.returncode == 42
    assert found.stderr.splitlines()[-1] == f"results/smoke/lock: Read-only file system; {ADVICE}".rstrip()
    assert "Traceback" not in found.stderr
