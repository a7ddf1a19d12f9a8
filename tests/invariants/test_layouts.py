"""A run that goes on with other ranks, nodes and shardings ends where a run of one rank ends."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from chord.io.files import read_json, write_jsonl
from chord.io.models import load_weights, load_without_weights
from chord.training.resume.layout import without_layout
from tests.helpers import run_worker
from tests.helpers.small_training import GRADIENT_NOISE, VALIDATION, hybrid_stage
from tests.helpers.training_runs import curves, finish, start_ranks

LAYOUTS = [  # one for each step
    {},
    {"ranks": 2, "sharding": "fsdp2"},
    {"ranks": 2},
    {"ranks": 4, "nodes": 2, "sharding": "hsdp"},
    {"ranks": 2, "sharding": "fsdp2", "cpu_offload": True},
    {},
]


@pytest.fixture(scope="module")
def command(start, prompts, experts, tmp_path_factory):
    """(scale, run folder) -> the command."""
    folder = tmp_path_factory.mktemp("rows")
    world = [row | {"task": "world"} for row in prompts]
    for name, rows in (("prompts", world), ("experts", experts), ("validation", world[:4])):
        write_jsonl(folder / f"{name}.jsonl", rows)
    # The schedule reads gradients of which ranks may have parts, and remembers them from step to step.
    stage = hybrid_stage(
        steps=len(LAYOUTS), keep="best", validate_every=2, optimizer={"lr": 1e-3}, schedule=GRADIENT_NOISE
    )
    spec = {"study_seed": 3, "seed_index": 1, "stage": stage.model_dump(mode="json"), "validation": VALIDATION}
    rows = [text for name in ("validation", *stage.inputs) for text in (f"--{name}", str(folder / f"{name}.jsonl"))]

    def arguments(scale: dict, out: Path) -> list[str]:
        text = json.dumps(spec | {"save_every": 1, "scale": scale})
        return ["train", "--spec", text, "--start", str(start), *rows, "--out", str(out)]

    return arguments


@pytest.fixture(scope="module")
def straight(command, tmp_path_factory) -> Path:
    """A run of one rank. Tests must not change it."""
    folder = tmp_path_factory.mktemp("straight")
    (rank,) = start_ranks(1, run_worker.call_chord, command({}, folder / "run"), folder)
    finish(rank)
    return folder / "run"


def assert_equal_but_for_rounding(run: Path, straight: Path) -> None:
    one, other = (load_file(out / "model/model.safetensors") for out in (straight, run))
    for name in one:
        torch.testing.assert_close(other[name], one[name], rtol=0, atol=1e-5)
    for line, expected in zip(curves(run), curves(straight), strict=True):
        for column in ("mu", "rl_loss", "expert_loss", "reward_mean", "grad_norm", "grad_dot", "validation_accuracy"):
            assert float(line[column] or 0) == pytest.approx(float(expected[column] or 0), abs=1e-4)


@pytest.mark.slow
def test_a_run_in_many_layouts_ends_like_one_rank(command, straight, tmp_path):
    run = tmp_path / "run"
    for step, scale in enumerate(LAYOUTS[:-1], start=1):
        arguments = [str(step), *command(scale, run)]
        ranks = start_ranks(scale.get("ranks", 1), run_worker.call_chord_until, arguments, tmp_path)
        errors = [rank.communicate(timeout=300)[1] for rank in ranks]
        assert (run / f"checkpoints/checkpoint-{step}/complete").exists(), errors[0][-3000:]
    for rank in start_ranks(1, run_worker.call_chord, command(LAYOUTS[-1], run), tmp_path):
        finish(rank)

    assert_equal_but_for_rounding(run, straight)
    manifest = read_json(run / "manifest.json")
    assert manifest["resumed_after_step"] == len(LAYOUTS) - 1
    assert [item["after_step"] for item in manifest["layouts"]] == list(range(len(LAYOUTS)))
    shardings = [item["layout"]["sharding"] for item in manifest["layouts"]]
    assert shardings == ["none", "fsdp2", "none", "hsdp", "fsdp2", "none"]
    assert "layouts" not in read_json(straight / "manifest.json")


@pytest.mark.slow
def test_two_nodes_of_which_one_gets_sigterm_end_like_one_rank(command, straight, tmp_path):
    run, scale = tmp_path / "run", {"ranks": 2, "nodes": 2}

    def start_nodes() -> list[subprocess.Popen]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        return [
            subprocess.Popen(
                [sys.executable, "-m", "chord", *command(scale, run)],
                env=os.environ
                | {"OMP_NUM_THREADS": "1", "NNODES": "2", "NODE_RANK": str(rank)}
                | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(2)
        ]

    first, second = start_nodes()
    while not (run / "checkpoints/checkpoint-2/complete").exists():
        assert first.poll() is None, first.communicate()[1][-3000:]
        time.sleep(0.05)
    second.terminate()  # the node's process, as a scheduler does, and not its rank
    (_, errors), (_, others) = (node.communicate(timeout=300) for node in (first, second))
    assert (first.returncode, second.returncode) == (2, 2)
    (line,) = [line for line in (errors + others).splitlines() if line.startswith("chord: error")]
    assert line.startswith(f"chord: error: {run}: stopped by SIGTERM and saved after step ")

    for node in start_nodes():
        _, errors = node.communicate(timeout=300)
        assert node.returncode == 0, errors[-3000:]
    assert_equal_but_for_rounding(run, straight)
    manifest = read_json(run / "manifest.json")
    assert manifest["ranks"] == 2
    assert manifest["resumed_after_step"] >= 2
    assert manifest["spec"]["scale"] == scale


def test_only_the_layout_is_left_out():
    scale = {"ranks": 4, "nodes": 2, "sharding": "hsdp", "cpu_offload": True}
    assert without_layout({"save_every": 1, "scale": scale}) == {"save_every": 1}
    rest = {"precision": "bf16", "gradient_checkpointing": True}
    assert without_layout({"scale": scale | rest}) == {"scale": rest}


def test_a_model_without_weights_is_the_same_otherwise(start):
    model, empty = load_weights(start, torch.float32), load_without_weights(start)
    assert {name: weight.shape for name, weight in empty.state_dict().items()} == {
        name: weight.shape for name, weight in model.state_dict().items()
    }
    assert not any(weight.any() for weight in empty.parameters())
    assert {weight.dtype for weight in empty.parameters()} == {torch.float32}
    buffers = dict(empty.named_buffers())
    assert any("inv_freq" in name for name in buffers)
    for name, buffer in model.named_buffers():
        assert torch.equal(buffers[name], buffer), name
    assert empty.generation_config.to_dict() == model.generation_config.to_dict()
    assert empty.config.to_dict() == model.config.to_dict()
    assert empty.training == model.training
