"""The plan on several nodes: memory of a rank, traffic by hand and by rings, and the layouts of paper-math."""

import re
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest

from chord.errors import UserError
from chord.plan import layouts_record, layouts_text, refusals
from chord.plan.rank import CPU_PROCESS, Rank
from chord.plan.traffic import Traffic, gather, of_pass, of_step, of_sync
from chord.study import load_study
from chord.study.hardware import GPUS, Gpu, ModelShape
from chord.study.yaml_files import read_yaml
from chord.training.scale.scale_spec import Scale
from chord.training.train_spec import Lora

ROOT = Path(__file__).parents[2]
SHAPE = ModelShape(
    model_type="qwen2",
    vocab_size=100,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
)
P = SHAPE.parameters()


def on_two_nodes(sharding, **more):
    """One of eight ranks, four on each node."""
    lora = more.pop("lora", None)
    return Rank(SHAPE, Scale(ranks=8, nodes=2, sharding=sharding, **more), lora, on_gpu=True)


@pytest.mark.parametrize(("sharding", "share"), [("none", 1), ("fsdp2", 8), ("hsdp", 4)])
def test_ranks_share_the_model_over_all_nodes_or_inside_each(sharding, share):
    state = on_two_nodes(sharding).state
    assert (state.weights, state.optimizer) == (4 * P / share, 8 * P / share)
    assert state.gradients == (8 * P if sharding == "none" else 4 * P / share)


def test_hsdp_on_two_nodes_takes_the_memory_of_fsdp2_on_one():
    one_node = Rank(SHAPE, Scale(ranks=4, sharding="fsdp2"), on_gpu=True)
    two_nodes = on_two_nodes("hsdp")
    assert two_nodes.update(300) == one_node.update(300)
    assert two_nodes.sampling(8, 20) == one_node.sampling(8, 20)
    assert two_nodes.in_machine == one_node.in_machine


def test_the_machine_holds_the_ranks_of_one_node():
    # If ranks share the model, the first one alone loads it, and gathers a checkpoint; otherwise each of the four.
    machine = on_two_nodes("fsdp2").in_machine
    assert (machine.weights, machine.optimizer, machine.process) == (4 * P, 8 * P, 4 * CPU_PROCESS)
    assert on_two_nodes("none").in_machine.weights == 4 * 4 * P


@pytest.mark.parametrize(("ranks", "nodes"), [(1, 1), (4, 1), (2, 2), (8, 2), (24, 3)])
def test_a_gather_receives_what_rings_pass_on(ranks, nodes):
    """As many rings as GPUs of a node; each goes through all GPUs of a node, from another one on, then to the next."""
    of_a_node = ranks // nodes
    received = {"inside": [0.0] * ranks, "between": [0.0] * ranks}
    for first in range(of_a_node):
        ring = [node * of_a_node + (first + place) % of_a_node for node in range(nodes) for place in range(of_a_node)]
        for sender, receiver in pairwise([ring[-1], *ring]):
            way = "inside" if sender // of_a_node == receiver // of_a_node else "between"
            received[way][receiver] += (ranks - 1) * 600 / ranks / of_a_node  # one part in each of the ring's steps
    expected = gather(600, ranks, nodes)
    assert received["inside"] == pytest.approx([expected.inside] * ranks)
    assert received["between"] == pytest.approx([expected.between] * ranks)


@pytest.mark.parametrize(
    ("sharding", "inside", "between"),
    [
        # Two gathers of bf16 weights and gradients in fp32: 8 P bytes, of which 7/8 come from others; of four rings
        # one comes from the other node.
        ("fsdp2", 8 * P * 7 / 8 * 3 / 4, 8 * P * 7 / 8 / 4),
        # The same among four ranks; and a quarter of the gradients, half of it received, in each half of an all-reduce.
        ("hsdp", 8 * P * 3 / 4, 2 * (4 * P / 4) / 2),
        ("none", 0, 0),
    ],
)
def test_traffic_of_a_micro_batch(sharding, inside, between):
    found = of_pass(on_two_nodes(sharding))
    assert (found.inside, found.between) == pytest.approx((inside, between))


def test_traffic_of_a_step_and_of_a_sync():
    adapters = SHAPE.adapter_parameters(8)
    for lora, trained in {None: P, Lora(rank=8, alpha=16): adapters}.items():
        found = of_step(on_two_nodes("none", lora=lora))
        assert (found.inside, found.between) == pytest.approx((8 * trained * 7 / 8 * 3 / 4, 8 * trained * 7 / 8 / 4))
    assert of_step(on_two_nodes("fsdp2")) == of_step(Rank(SHAPE)) == of_sync(on_two_nodes("none")) == Traffic()
    assert of_sync(on_two_nodes("hsdp")) == Traffic(4 * P * 3 / 4, 0)
    assert of_sync(on_two_nodes("fsdp2")).between == pytest.approx(4 * P * 7 / 8 / 4)


def test_the_slower_way_counts():
    gpu = Gpu(name="any", memory_gib=1, bf16_tflops=1, bandwidth_gb_s=1, link_gb_s=100, network_gb_s=10)
    assert Traffic(700e9, 7e9).seconds(gpu) == pytest.approx(10)  # 700 GB at 70 % of 100 GB/s
    assert Traffic(70e9, 70e9).seconds(gpu) == pytest.approx(10)


@pytest.fixture(scope="module")
def paper_math():
    return load_study("paper-math", ROOT)


def test_more_nodes_sample_no_faster_than_one_response(paper_math):
    """Each of 1,500 steps samples 6,132 tokens one after another, for each of which the weights are read."""
    token = 2 * 7_615_616_512 / (2039e9 * 0.6)
    rows = layouts_record(paper_math, [1, 2, 4, 8])["layouts"]
    assert [(row["nodes"], row["sharding"]) for row in rows] == [
        (1, "fsdp2"),
        *((nodes, sharding) for nodes in (2, 4, 8) for sharding in ("fsdp2", "hsdp")),
    ]
    assert all(row["sampling_seconds"] > 1500 * 6132 * token for row in rows)
    assert all(row["seconds_at_limit"] > 1500 * 16384 * token for row in rows)
    one, *_, many = rows
    assert many["update_seconds"] == pytest.approx(one["update_seconds"] / 8)
    assert many["sampling_seconds"] > one["sampling_seconds"] / 2
    assert many["gpu_hours"] == pytest.approx(many["seconds"] / 3600 * 64)
    assert all(bool(row["problems"]) == (row["nodes"] == 8) for row in rows)  # 32 prompts are not shared by 64 ranks


def test_the_page_has_the_table_of_the_command(paper_math):
    table = textwrap.indent(layouts_text(paper_math, [1, 2, 4, 8]), "    ", lambda line: bool(line.strip()))
    assert table in (ROOT / "docs/plan.md").read_text(encoding="utf-8")


def test_the_recommended_layout_fits_and_takes_at_most_a_day(tmp_path, paper_math):
    page = (ROOT / "docs/running-the-paper.md").read_text(encoding="utf-8")
    (block,) = [text for text in re.findall(r"(?:^    .*\n)+", page, re.M) if "nodes: 4" in text]
    path = tmp_path / "mine.yaml"
    path.write_text(textwrap.dedent(block), encoding="utf-8")
    study = load_study(str(path), ROOT, thoroughly=True)
    assert refusals(study) == []
    scale = study.settings.training.scale
    (row,) = [
        row
        for row in layouts_record(study, [scale.nodes])["layouts"]
        if (row["gpus"], row["sharding"]) == (scale.gpus, scale.sharding)
    ]
    assert row["seconds"] < 24 * 3600
    assert f"{row['seconds'] / 3600:.1f} hours" in page
    assert f"{row['seconds_at_limit'] / 3600:.1f} hours" in page


@pytest.mark.parametrize(
    ("study", "nodes", "message"),
    [
        ("tiny", [2], "expected a study that trains, with a GPU"),
        ("paper-math", [2, 0], "expected numbers from 1, got 2 0"),
    ],
)
def test_layouts_that_cannot_be_compared(study, nodes, message):
    with pytest.raises(UserError, match=rf"{study}: --nodes: {message}"):
        layouts_text(load_study(study, ROOT), nodes)


def test_every_gpu_of_the_table_is_valid():
    for name, values in read_yaml(ROOT / GPUS, GPUS).items():
        assert Gpu(name=name, **values).link_gb_s >= 2 * values.get("network_gb_s", 12.5)
