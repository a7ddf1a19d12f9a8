"""`benchmarks.gpu`, rehearsed on the CPU: its formula, its parts, and that a part's failure is reported."""

import json

import benchmarks.gpu.__main__ as command
import pytest
import torch
from benchmarks.gpu import shared_prompts, trainer_only
from benchmarks.gpu.card import bf16_tflops
from benchmarks.gpu.checks import check
from benchmarks.gpu.flops import PassCounter, Work, training_flops
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.gpu.sizes import QWEN3_06B, SIZES
from benchmarks.gpu.table import file_name, table
from transformers import AutoConfig, AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM
from trl.trainer.utils import add_fused_lm_head

from chord import tasks
from chord.shared_prompts import share_prompts
from chord.training.sequences import Sequence, batch_of

REHEARSAL = SIZES["rehearsal"]


@pytest.fixture(autouse=True)
def known_tasks():
    """Tasks that a benchmark registers are forgotten after a test."""
    before = dict(tasks.TASKS)
    yield
    tasks.TASKS.clear()
    tasks.TASKS.update(before)


@pytest.mark.parametrize("kind", ["RL", "SFT"])
def test_the_formula_gives_the_mfu_that_prime_rl_publishes(kind):
    """Of its throughput on rows of 16,384 tokens, with 989 TFLOP/s as the peak of an H100."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**QWEN3_06B))
    n = 16_384
    of_a_token = training_flops(model, Work(n, n * (n + 1) // 2, n)) / n
    published = trainer_only.PRIME_RL[kind]
    assert of_a_token * published["throughput"] / 989e12 == pytest.approx(published["MFU"], rel=0.003)


def test_the_work_of_passes_worked_out_by_hand():
    """Two responses of 2 tokens to a prompt of 3: packed, a row of 2 + 2 x 2 tokens; as full rows 2 x 5."""
    small = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    model = Qwen2ForCausalLM(Qwen2Config(**small, num_attention_heads=2, num_key_value_heads=1))
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    assert share_prompts(model) is None
    rows = [Sequence([1, 2, 3], [4, 5]), Sequence([1, 2, 3], [6, 7])]
    counted = []
    for packed in (True, False):
        counter = PassCounter(model)
        model(**batch_of(rows, packed, 0).inputs(model.device), fused_lm_head=True)
        with torch.no_grad():  # sampling
            model(torch.tensor([[1, 2]]))
        counted.append(counter.total())
    shared, full = (1 + 2) + 2 * (3 + 4), 2 * (1 + 2 + 3 + 4 + 5)
    assert counted == [Work(6, shared, 4), Work(10, full, 4)]


@pytest.mark.parametrize(
    ("name", "memory", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 79.2, 989),
        ("NVIDIA A100-SXM4-40GB", 39.4, 312),
        ("NVIDIA H20", 95.6, 148),
        ("NVIDIA GeForce RTX 4090", 23.5, 165),
        ("Tesla T4", 14.6, None),
    ],
)
def test_the_peak_is_that_of_the_card(name, memory, peak):
    assert bf16_tflops(name, memory) == peak


def test_shared_prompts_are_exact_in_the_rehearsal():
    result = shared_prompts.measure(REHEARSAL)
    assert [row["prompt tokens"] for row in result["rows"][:2]] == list(REHEARSAL.groups.prompt_tokens)
    assert len(result["checks"]) == 9
    assert all(one["passes"] for one in result["checks"])


def test_a_trainer_alone_trains_on_whole_rows():
    ours, *anchors = trainer_only.measure(REHEARSAL, "RL")["rows"]
    rows = REHEARSAL.long
    assert ours["tokens/s"] * ours["step s"] == pytest.approx(rows.rows * rows.tokens)
    assert ours["forward s"] > 0 < ours["backward s"]
    assert [round(row["tokens/s"]) for row in anchors] == [11896, 16447]


def test_a_part_that_fails_or_takes_too_long_is_reported_beside_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(PARTS, "breaks", Part("First title", "no_such_module"))
    monkeypatch.setitem(PARTS, "slow", Part("Second title", "step", ("135M", "ours"), seconds=0))
    out = tmp_path / "new" / "results.json"
    options = ["--device", "cpu", "--size", "rehearsal", "--out", str(out), "--part", "breaks", "--part", "slow"]
    monkeypatch.setattr("sys.argv", ["benchmarks.gpu", *options])
    assert command.main() == 1
    results = json.loads(out.read_text())
    assert results["card"]["name"] == "cpu"
    assert results["card"]["versions"]["torch"] == torch.__version__
    assert {name: part["status"] for name, part in results["parts"].items()} == {
        "breaks": "failed",
        "slow": "out of time",
    }
    shown = out.with_suffix(".txt").read_text()
    error = "ModuleNotFoundError: No module named 'benchmarks.gpu.no_such_module'"
    assert f"First title\n-----------\nbreaks: failed: {error}\n" in shown
    assert "Second title\n------------\nslow: out of time" in shown
    assert shown in capsys.readouterr().out


def test_the_table_has_speed_factors_and_limits():
    def side(trainer: str, seconds: float, per_second: float) -> dict:
        row = {"model": "135M", "trainer": trainer, "step s": seconds, "row tokens": 1000}
        return {"status": "ok", "seconds": 9.0, "result": {"rows": [row | {"row tokens/s of training": per_second}]}}

    ours, stock = side("ours", 2.0, 1000.0), side("TRL", 5.0, 250.0)
    ours["result"]["checks"] = [check("drift", 0.2, 0.1), check("bias", float("nan"), 1.0), check("gap", 0.1, 0.1)]
    card = {
        "name": "NVIDIA H100 80GB HBM3",
        "memory_gib": 79.2,
        "bf16_tflops": 989,
        "versions": {"torch": "2", "vllm": None},
    }
    results = {"card": card, "size": "full", "started": "now", "seconds": 20.0}
    results["parts"] = {"step-135m-ours": ours, "step-135m-trl": stock}
    shown = table(results)
    assert "135M: TRL/ours 2.50 of a step, 4.00 of training" in shown
    assert [line.partition(":")[0] for line in shown.splitlines() if ", limit " in line] == ["FAILED", "FAILED", "ok"]
    assert file_name(results) == "results/reference/gpu/nvidia-h100-80gb-hbm3.json"
    assert command.has_failed(ours)
    assert not command.has_failed(stock)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_is_skipped_with_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks.gpu"])
    assert command.main() == 0
    assert capsys.readouterr().out == "benchmarks.gpu: skipped: torch sees no CUDA device\n"
