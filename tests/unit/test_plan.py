"""The plan's numbers against numbers worked out by hand for the small study of `study_files`."""

import json
import re

import pytest

from chord.errors import UserError
from chord.plan import (
    estimated_minutes,
    jobs,
    plan_record,
    plan_text,
    questions,
    refusals,
    spent_and_wall_minutes,
    work,
)
from chord.plan.memory import Need, capacity, needs, rank, rollouts, update
from chord.plan.rank import CPU_PROCESS, GPU_PROCESS, VLLM_ASLEEP, Memory
from chord.plan.stage_time import method_time
from chord.study import load_study
from tests.helpers.study_files import STUDY_FILE, Root


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path)


def load(root):
    return load_study("small", root.path)


def test_work_of_sft(root):
    # 40 expert rows x 2 epochs = 80 rows, 8 a step: 10 steps. Validation at 0, 4, 8, 10: 4 x 10 rows x 2 samples.
    found = work(load(root), "sft")
    assert (found.steps, found.rollouts, found.expert_rows, found.expert_passes) == (10, 0, 80, 2.0)
    assert (found.expert_weight, found.validated) == (80.0, 80)
    assert found.max_tokens == 80 * 50 + 80 * 10


def test_a_last_step_that_is_not_full_counts(root):
    root.set(STUDY_FILE, "data", "sft", value=41)  # 82 rows: ten full steps and one of two rows
    assert work(load(root), "sft").steps == 11


def test_work_on_the_traces_of_the_rl_prompts_too(root):
    # 2 epochs over 40 SFT prompts and 20 RL prompts, 8 at a time
    root.set(STUDY_FILE, "training", "sft", "also_traces", value=True)
    found = work(load(root), "sft")
    assert (found.steps, found.expert_rows, found.expert_passes) == (15, 120, 2.0)
    assert len(jobs(load(root), ["main"])["experts"]) == 2
    root.set(STUDY_FILE, "training", "sft", "expert_set", value=60)
    assert work(load(root), "sft") == found
    root.set(STUDY_FILE, "training", "sft", "expert_set", value=61)
    with pytest.raises(UserError, match=r"expected at most the 60 prompts of data\.sft and data\.rl, got 61"):
        load_study("small", root.path, thoroughly=True)


def test_work_of_rl_reads_no_expert_rows(root):
    # 10 steps x 3 prompts x 4 rollouts
    found = work(load(root), "rl")
    assert (found.steps, found.rollouts, found.expert_rows, found.expert_weight) == (10, 120, 0, 0.0)
    assert found.max_tokens == 120 * 20 + 80 * 10


def test_work_of_a_decay_to_zero(root):
    # Cosine from 1 to 0 in 4 steps, counted from 1: mu = .853553, .5, .146447, then 0; so 3 steps x 8 rows.
    found = work(load(root), "decay")
    assert (found.rollouts, found.expert_rows) == (120, 24)
    assert found.expert_passes == pytest.approx(24 / 40)
    assert found.expert_weight == pytest.approx(8 * 1.5)
    assert found.max_tokens == 120 * 20 + 24 * 50 + 80 * 10


def test_nothing_is_sampled_where_rl_has_no_weight(root):
    schedule = {"name": "step", "steps": 4, "before": 1.0, "after": 0.0}
    root.set(STUDY_FILE, "methods", "decay", value={"stage": {"schedule": schedule}})
    found = work(load(root), "decay")
    assert (found.rollouts, found.expert_rows) == (6 * 12, 4 * 8)


def test_work_with_a_trace_for_each_prompt(root):
    # 10 steps x 3 prompts, each with 4 rollouts and 1 trace; the traces are those of the 20 RL prompts.
    joined = {
        "schedule": {"name": "free", "rl": 1.0, "expert": 1.0},
        "router": {"name": "joined", "scale": "none"},
        "expert_loss": {"name": "shaped", "gamma": 0.1},
    }
    root.set(STUDY_FILE, "methods", "decay", value={"stage": joined})
    found = work(load(root), "decay")
    assert (found.rollouts, found.expert_rows, found.expert_passes) == (120, 30, 1.5)
    assert len(jobs(load(root), ["main"])["experts"]) == 2


def test_work_of_a_mu_that_depends_on_the_run_is_an_upper_bound(root):
    schedule = {"name": "reward_driven", "threshold": 0.5}
    root.set(STUDY_FILE, "methods", "decay", value={"stage": {"schedule": schedule}})
    found = work(load(root), "decay")
    assert (found.rollouts, found.expert_rows, found.expert_weight) == (120, 80, 40.0)


def test_held_out_rows_are_not_of_the_expert_set(root):
    """10 steps; the earliest plateau is before step 5, and 32 of the 40 expert rows are trained on."""
    schedule = {"name": "plateau", "held_out": 8, "every": 2, "patience": 2, "threshold": 0.01}
    root.set(STUDY_FILE, "methods", "decay", value={"stage": {"schedule": schedule}})
    found = work(load(root), "decay")
    assert (found.rollouts, found.expert_rows, found.expert_passes) == (6 * 12, 4 * 8, 1.0)
    root.set(STUDY_FILE, "methods", "decay", value={"stage": {"schedule": schedule | {"held_out": 33}}})
    with pytest.raises(UserError, match=r"expected at most the 7 rows of data\.sft that are not held out, got 8"):
        load(root)


def test_questions(root):
    study = load(root)
    assert questions(study.benchmarks["world"]) == 2 * 5
    assert questions(study.benchmarks["skills"]) == 6


def test_minutes_of_a_training_job(root):
    # rl: 200 completions of 4 tokens at 10/s = 80 s; 120 rows of 6 / 4 + 4 tokens at 100/s = 6.6 s; start 30 s.
    assert estimated_minutes(load(root), "train", "rl") == pytest.approx((30 + 80 + 6.6) / 60)
    # sft: 80 completions of 9 tokens = 72 s; 80 rows of 6 + 9 tokens = 12 s.
    assert estimated_minutes(load(root), "train", "sft") == pytest.approx((30 + 72 + 12) / 60)
    # sft_rl answers at the expert's length: 200 x 9 tokens = 180 s; 120 rows of 6 / 4 + 9 tokens = 12.6 s.
    assert estimated_minutes(load(root), "train", "sft_rl") == pytest.approx((30 + 180 + 12.6) / 60)


@pytest.mark.parametrize(("tokens", "row"), [(22, 6 / 4 + 4), (21, 6 / 3 + 4), (13, 6 + 4), (1, 6 + 4)])
def test_rollouts_share_their_prompt_in_a_micro_batch(root, tokens, row):
    # 6 + 4 x 4 tokens hold all four rollouts of a prompt, 6 + 3 x 4 three, 6 + 4 one; a longer row has one of its own.
    root.set(STUDY_FILE, "training", "hybrid", "micro_batch_tokens", value=tokens)
    assert estimated_minutes(load(root), "train", "rl") == pytest.approx((30 + 80 + 120 * row / 100) / 60)


def test_minutes_of_other_jobs(root):
    study = load(root)
    # world: 10 questions x 4 samples x 4 tokens at 10/s = 16 s, or x 9 tokens = 36 s
    assert estimated_minutes(study, "generate", "original", "world") == pytest.approx((30 + 16) / 60)
    assert estimated_minutes(study, "generate", "sft_rl", "world") == pytest.approx((30 + 36) / 60)
    assert estimated_minutes(study, "score") == pytest.approx(6 / 60)
    assert estimated_minutes(study, "experts") == pytest.approx(30 / 60)


def test_jobs_of_a_comparison_train_what_a_method_starts_from_but_do_not_evaluate_it(root):
    found = jobs(load(root), ["main"])
    # rl, sft, sft_rl, decay in two seeds; original, rl, sft_rl, decay on two benchmarks in two seeds
    assert {rule: len(minutes) for rule, minutes in found.items()} == {
        "prepare": 1,
        "benchmark": 2,
        "experts": 1,
        "train": 8,
        "generate": 16,
        "score": 16,
        "cells": 1,
        "table": 1,
        "figure": 0,
        "claims": 1,
        "report": 1,
    }


def test_text(root):
    lines = plan_text(load(root), cores=2).splitlines()
    assert lines[0] == "small: A study"
    assert "  original  base, as it is" in lines
    (row,) = [line.split() for line in lines if line.startswith("  decay")]
    assert row == ["decay", "base", ">", "hybrid", "10", "120", "24", "0.6", "12", "4,400", "3.8"]
    (row,) = [line.split() for line in lines if line.startswith("  world")]
    assert row == ["world", "10", "4", "40", "800", "1", "1", "paper"]
    (row,) = [line.split() for line in lines if line.startswith("  main")]
    assert row[:5] == ["main", "Table", "1", "8", "48"]
    assert lines[-1] == "* An estimate. Speeds were measured on: paper and pencil."


def test_the_record_has_the_numbers_of_the_text_unrounded(root):
    study = load(root)
    record = json.loads(json.dumps(plan_record(study, cores=2)))
    assert (record["study"], record["seeds"], record["computes_on"]) == ("small", 2, {"cores": 2})
    methods = {method["name"]: method for method in record["methods"]}
    assert methods["original"] == {"name": "original", "start": "base", "stages": []}
    decay = methods["decay"]
    assert (decay["stages"], decay["steps"], decay["rollouts"], decay["expert_rows"]) == (["hybrid"], 10, 120, 24)
    assert decay["max_tokens"] == 4400
    assert f"{decay['minutes']:.1f}" == "3.8"
    (main,) = (item for item in record["comparisons"] if item["name"] == "main")
    assert (main["runs"], sum(main["jobs"].values())) == (8, 48)
    assert main["core_minutes"] == pytest.approx(sum(sum(minutes) for minutes in jobs(study, ["main"]).values()))
    assert main["minutes"] == pytest.approx(main["core_minutes"] / 2)
    assert record["refusals"] == []


def test_a_study_that_means_nothing_says_so(root):
    assert "Its numbers mean nothing." not in plan_text(load(root))
    root.set(STUDY_FILE, "meaningful", value=False)
    assert plan_text(load(root)).splitlines()[1] == "Its numbers mean nothing."


def test_the_plan_says_what_each_protocol_gives(root):
    root.set(STUDY_FILE, "protocols", value={"few": {"title": "Few rows", "sft": {"expert_set": 16}}})
    assert "  few  Few rows" in plan_text(load(root), cores=2)


# On a GPU: the same study, whose model has this shape.
SHAPE = {
    "model_type": "qwen2",
    "vocab_size": 100,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": False,
    "max_position_embeddings": 128,
}
# 2 x (64 x 64 of queries, outputs; 64 x 32 of keys, values; 3 x 64 x 128; 128 biases; 128 of norms) + 2 x 6,400 + 64
PARAMETERS = 2 * (8192 + 4096 + 24576 + 128 + 128) + 12800 + 64
GPU = {"memory_gib": 2, "bf16_tflops": 1, "bandwidth_gb_s": 1}


@pytest.fixture
def on_gpu(root):
    root.write("config/models.yaml", {"models/base": SHAPE})
    root.write("config/gpus.yaml", {"small": GPU, "large": GPU | {"memory_gib": 64}})
    for key in ("measured_on", "train_tokens_per_second", "generate_tokens_per_second"):
        root.delete(STUDY_FILE, "cost", key)
    root.set(STUDY_FILE, "cost", "gpu", value="small")
    root.set(STUDY_FILE, "resources", "train", "gpus", value=1)
    root.set(STUDY_FILE, "resources", "generate", value={"mem_mb": 1000, "minutes": 5, "gpus": 1})
    return root


def test_minutes_on_a_gpu(on_gpu):
    assert load(on_gpu).shape.parameters() == PARAMETERS
    # 80 completions of 9 tokens, 8 at a time; a step takes at least 2 x 0.7 ms.
    sampled = 80 / 8 * 9 * 2 * 7e-4
    # An SFT row has 6 + 9 tokens; a micro-batch of 30 has two of the 80 rows, one of 14 a single one, and one of 400
    # the 8 rows of a step. It takes at least 2.5 ms in each of two layers.
    for tokens, micro_batches in {400: 10, 30: 40, 14: 80}.items():
        on_gpu.set(STUDY_FILE, "training", "sft", "micro_batch_tokens", value=tokens)
        minutes = estimated_minutes(load(on_gpu), "train", "sft")
        assert minutes == pytest.approx((30 + micro_batches * 2 * 2.5e-3 + sampled) / 60)


def test_what_a_large_model_computes_and_reads(on_gpu):
    large = SHAPE | {"hidden_size": 4096, "intermediate_size": 16384, "num_attention_heads": 32}
    on_gpu.write("config/models.yaml", {"models/base": large})
    study = load(on_gpu)
    parameters = study.shape.parameters()
    met = parameters - 100 * 4096  # looking up a word costs nothing
    trained = 80 * 15 * 3 * (2 * met + 2 * 2 * 4096 * 15) / (1e12 * 0.35)
    cache = 8 * (6 + 4.5) * (2 * 2 * 2 * 128) * 4
    sampled = 80 / 8 * 9 * (4 * parameters + cache) / (1e9 * 0.6)
    assert estimated_minutes(study, "train", "sft") == pytest.approx((30 + trained + sampled) / 60)


def test_memory_of_an_update(on_gpu):
    study = load(on_gpu)
    memory = update(study, study.methods["decay"].stage)
    assert (memory.weights, memory.gradients, memory.optimizer, memory.copies) == tuple(
        PARAMETERS * size for size in (4, 4, 8, 2)
    )
    # A micro-batch of 300 tokens; two layers, with 32 keys; one layer's gradients.
    saved = 300 * (26 * 64 + 8 * 128 + 10 * 64 + 8 * 32) * 2 + 300 * (3 * 128 + 2 * 64) * 2
    assert memory.activations == saved
    assert memory.head == 100 * 64 * 4 + 300 * 100 * 4


@pytest.mark.parametrize(("name", "gradients"), [("gradient_norms", 2), ("gradient_noise", 3)])
def test_gradients_that_are_measured_apart_are_kept(on_gpu, name, gradients):
    settings = {"warmup": 0, "decay": 10, "peak": 0.9, "valley": 0.1, "alpha": 0.0, "memory": 0.9, "cap": 0.1}
    schedule = {"name": name} | (settings if name == "gradient_noise" else {})
    on_gpu.set(STUDY_FILE, "methods", "decay", value={"stage": {"schedule": schedule}})
    study = load(on_gpu)
    assert update(study, study.methods["decay"].stage).gradients == PARAMETERS * 4 * gradients
    assert rollouts(study, study.methods["decay"].stage).gradients == 0


def test_a_row_longer_than_a_micro_batch_has_one_of_its_own(on_gpu):
    study = load(on_gpu)
    stage = study.methods["decay"].stage
    one = update(study, stage.model_copy(update={"micro_batch_tokens": 1}))
    # The longest row has a prompt of 6 tokens and an expert's 50.
    assert one == update(study, stage.model_copy(update={"micro_batch_tokens": 56}))
    assert one.activations == update(study, stage).activations * 56 / 300


def test_what_fits_is_not_refused(on_gpu):
    study = load(on_gpu)
    assert refusals(study) == []
    text = plan_text(study)
    assert "Memory of one small (2 GiB)" in text
    assert "GPU-hours*  hours on 1 GPU*" in text
    assert "small (docs/plan.md), not measured" in text.splitlines()[-1]


def test_what_does_not_fit_is_refused_with_what_would(on_gpu):
    on_gpu.write("config/models.yaml", {"models/base": SHAPE | {"max_position_embeddings": 1000000}})

    def refused(expert: int, tokens: int) -> list[str]:
        on_gpu.set(STUDY_FILE, "experts", "max_response_tokens", value=expert)
        for stage in ("sft", "hybrid"):
            on_gpu.set(STUDY_FILE, "training", stage, "micro_batch_tokens", value=tokens)
        return [line for line in refusals(load(on_gpu)) if line.startswith("train, update (")]

    # A token takes 8,192 bytes: there is room for about 118,000.
    (line,) = refused(5000, 200_000)
    assert ", but small has 2.0 GiB; would fit: cost.gpu large or training.hybrid.micro_batch_tokens 100,000" in line
    assert not refused(5000, 100_000)
    *_, line = refused(400_000, 200_000)
    assert not refused(*(int(number.replace(",", "")) for number in re.findall(r"_tokens ([\d,]+)", line)))
    on_gpu.set(STUDY_FILE, "training", "hybrid", "decoding", "max_response_tokens", value=90_000)
    (line,) = refused(90_000, 150_000)
    assert "training.hybrid.micro_batch_tokens 90,006" in line  # the longest row


# Sharded, with adapters, and with vLLM: the same study on several GPUs.
TABLE = 100 * 64  # the embedding, and the output layer
LAYER = (PARAMETERS - 2 * TABLE - 64) // 2
GIB = 2**30


def scaled(on_gpu, gpus=2, **scale):
    """The study with this `training.scale`, whose training jobs hold so many GPUs."""
    on_gpu.set(STUDY_FILE, "training", "hybrid", "prompts_per_step", value=4)
    on_gpu.set(STUDY_FILE, "training", "scale", value=scale)
    on_gpu.set(STUDY_FILE, "resources", "train", "gpus", value=gpus)
    on_gpu.set(STUDY_FILE, "cost", "gpus", value=gpus)
    return load(on_gpu)


def parts(memory):
    return memory.weights, memory.gradients, memory.optimizer, memory.copies


@pytest.mark.parametrize(
    ("sharding", "weights", "gradients", "optimizer", "copies"),
    [
        # A whole model each, gradients also in DDP's buckets, casts to bf16.
        ("none", 4 * PARAMETERS, 8 * PARAMETERS, 8 * PARAMETERS, 2 * PARAMETERS),
        # Half of all; gathered in bf16 the output layer and two layers; the gradients of one layer.
        ("fsdp2", 2 * PARAMETERS, 2 * PARAMETERS, 4 * PARAMETERS, 2 * (TABLE + 2 * LAYER) + 4 * PARAMETERS / 2),
    ],
)
def test_memory_of_two_ranks(on_gpu, sharding, weights, gradients, optimizer, copies):
    study = scaled(on_gpu, ranks=2, sharding=sharding)
    stage = study.methods["decay"].stage
    assert parts(update(study, stage)) == (weights, gradients, optimizer, copies)
    # Between updates: no gradients but DDP's buckets. To sample from in bf16: casts, or a replica where the
    # weights are shared.
    buckets = 4 * PARAMETERS if sharding == "none" else 0
    assert parts(rollouts(study, stage)) == (weights, buckets, optimizer, 2 * PARAMETERS)


def test_offloaded_parts_lie_in_the_machine(on_gpu):
    study = scaled(on_gpu, ranks=2, sharding="fsdp2", cpu_offload=True)
    stage = study.methods["decay"].stage
    assert parts(update(study, stage))[:3] == (0, 0, 0)
    machine = rank(study, stage).in_machine
    # Of both ranks together all weights, gradients and moments; and the checkpoint that the first rank writes.
    assert parts(machine)[:3] == (8 * PARAMETERS, 4 * PARAMETERS, 16 * PARAMETERS)


def test_each_rank_loads_the_whole_model(on_gpu):
    study = scaled(on_gpu, ranks=4, gpus=4)
    machine = rank(study, study.methods["decay"].stage).in_machine
    assert (machine.weights, machine.process) == (4 * 4 * PARAMETERS, 4 * CPU_PROCESS)
    on_gpu.set(STUDY_FILE, "resources", "train", "mem_mb", value=2000)
    assert refusals(load(on_gpu)) == [
        "train, in the machine (rl and 3 more): 2.5 GiB, but the train job's mem_mb has 1.9 GiB; "
        "would fit: resources.train.mem_mb 2,708"
    ]


def test_layers_recomputed_keep_their_inputs_and_one_layer(on_gpu):
    study = scaled(on_gpu, gpus=1, gradient_checkpointing=True)
    # As in test_memory_of_an_update.
    one_layer = 300 * (26 * 64 + 8 * 128 + 10 * 64 + 8 * 32)
    inputs = 2 * 300 * 64 * 4
    passing = 300 * (3 * 128 + 2 * 64) * 2
    assert update(study, study.methods["decay"].stage).activations == inputs + one_layer + passing


def test_adapters_have_gradients_and_moments_and_the_frozen_weights_none(on_gpu):
    on_gpu.set(STUDY_FILE, "training", "hybrid", "lora", value={"rank": 8, "alpha": 16})
    study = scaled(on_gpu, gpus=1)
    # rank x (in + out) of queries, outputs (64, 64), keys, values (64, 32) and the MLP's three (64, 128), in 2 layers
    adapters = 2 * 8 * (2 * 128 + 2 * 96 + 3 * 192)
    memory = update(study, study.methods["decay"].stage)
    assert parts(memory) == (4 * (PARAMETERS + adapters), 4 * adapters, 8 * adapters, 2 * PARAMETERS)
    saved = 2 * 300 * (18 * 64 + 8 * 128 + 10 * 64 + 8 * 32 + 7 * 2 * 8) + 300 * (3 * 128 + 2 * 64) * 2
    assert memory.activations == saved
    assert memory.head == 300 * 100 * 4  # no gradient of the output layer


def test_memory_with_vllm_beside_the_trainer(on_gpu):
    study = scaled(on_gpu, gpus=1, rollouts={"kind": "vllm", "kv_cache_gib": 0.25})
    stage = study.methods["decay"].stage
    memory = rollouts(study, stage)
    # bf16 weights of vLLM, and the largest weight on its way to it
    assert parts(memory) == (4 * PARAMETERS, 0, 8 * PARAMETERS, 2 * PARAMETERS + 4 * TABLE)
    assert memory.cache == 0.25 * GIB
    assert memory.process == GPU_PROCESS + VLLM_ASLEEP
    assert update(study, stage).cache == 0


def test_a_server_has_gpus_of_its_own(on_gpu):
    study = scaled(on_gpu, gpus=4, ranks=2, rollouts={"kind": "vllm_server", "tensor_parallel_size": 2})
    (need,) = [need for need in needs(study, ["decay"]) if need.phase == "server"]
    # Half of the weights, and of the keys and values of all of the model's 128 positions, in 16 bits.
    assert (need.memory.weights, need.memory.cache) == (PARAMETERS, 128 * 2 * 2 * 32)
    assert "training  2 ranks, rollouts by vllm_server" in plan_text(study)
    on_gpu.set(STUDY_FILE, "cost", "gpus", value=3)
    (line,) = [line for line in refusals(load(on_gpu)) if line.startswith("training.scale: ")]
    assert re.findall(r"\d+|cost.gpus", line) == ["4", "cost.gpus", "3"]


def test_ranks_share_the_time_of_a_step(on_gpu):
    # sft: 80 rows of 15 tokens in micro-batches of 30, half on each rank; each of three passes takes at least
    # 2 x 2.5 / 3 ms, and layers that are recomputed make it four. Samples: 40 completions of 9 tokens on each, of 10
    # in a call.
    on_gpu.set(STUDY_FILE, "training", "sft", "micro_batch_tokens", value=30)
    study = scaled(on_gpu, ranks=2, gradient_checkpointing=True)
    trained = 40 / 2 * 2 * 2.5e-3 * 4 / 3
    assert estimated_minutes(study, "train", "sft") == pytest.approx((30 + trained + 40 / 8 * 9 * 2 * 7e-4) / 60)


def test_nodes_share_the_time_and_all_their_gpus_count(on_gpu):
    one = scaled(on_gpu, ranks=2)
    two = scaled(on_gpu, ranks=4, nodes=2)  # with two GPUs on each
    on_gpu.set(STUDY_FILE, "cost", "gpus", value=4)
    records = [{method["name"]: method for method in plan_record(study)["methods"]} for study in (one, load(on_gpu))]
    # 80 completions of 9 tokens, of 20 in a call: ten on each of two ranks, of which 8 are sampled at a time, or five
    # on each of four. A token takes 2 x 0.7 ms. Ten micro-batches of 8 rows; each rank has at least one in a step.
    for record, gpus, sampled in zip(records, (2, 4), (40 / 8, 20 / 5), strict=True):
        assert record["sft"]["gpus"] == gpus
        minutes = (30 + 10 * 2 * 2.5e-3 + sampled * 9 * 2 * 7e-4) / 60
        assert record["sft"]["minutes"] == pytest.approx(minutes)
    assert "training  4 ranks, 2 nodes" in plan_text(two)
    assert refusals(two) == ["training.scale: a job uses 4 GPUs, but cost.gpus is 2"]
    by_rule = {"train": [60.0, 60.0], "score": [60.0]}
    assert spent_and_wall_minutes(load(on_gpu), by_rule, cores=1) == (2 * 60 * 4, 120.0)


def test_an_update_takes_at_least_the_time_of_its_traffic(on_gpu):
    # DDP over two nodes: half of the gradients' 4 bytes comes twice in each of sft's 10 steps, at 70 % of 1 MB/s.
    on_gpu.write("config/gpus.yaml", {"small": GPU | {"network_gb_s": 1e-3}})
    study = scaled(on_gpu, gpus=1, ranks=2, nodes=2)
    exchanged = 10 * 4 * PARAMETERS / (1e6 * 0.7)
    sampled = 40 / 8 * 9 * 2 * 7e-4
    assert estimated_minutes(study, "train", "sft") == pytest.approx((30 + exchanged + sampled) / 60)
    # Sharded inside the node, the weights for the sampling copy come over its link before each of four validations.
    on_gpu.write("config/gpus.yaml", {"small": GPU | {"link_gb_s": 1e-3}})
    study = scaled(on_gpu, ranks=2, sharding="fsdp2")
    exchanged = (10 * 8 * PARAMETERS / 2 + 4 * 4 * PARAMETERS / 2) / (1e6 * 0.7)
    assert estimated_minutes(study, "train", "sft") == pytest.approx((30 + exchanged + sampled) / 60)


def test_all_wait_for_one_response_of_the_maximal_length(on_gpu):
    # sft: four validations, with 10 tokens at most in place of 9; a token takes 2 x 0.7 ms. rl, whose responses have 4:
    # the same from 4 tokens on, and in ten steps 20 tokens at most.
    study = scaled(on_gpu, gpus=1)
    assert method_time(study, "sft").waiting == pytest.approx(4 * 1 * 2 * 7e-4)
    assert method_time(study, "rl").waiting == pytest.approx((4 * 6 + 10 * 16) * 2 * 7e-4)


def test_vllm_has_as_many_rollouts_under_way_as_its_cache_holds(on_gpu):
    # rl: 160 rollouts of 4 tokens in calls of 16, 12 at a time; 80 validation answers, 8 at a time. A row of 6 + 4
    # tokens has 10 x 2 x 2 x 32 keys and values of 2 bytes. A step reads them, half of the response, and the weights.
    # Each of the 10 steps has one micro-batch.
    trained = 10 * 2 * 2.5e-3
    for cache, all_rows in {0.25: (12, 8), 5 * 2560 / GIB: (5, 5)}.items():
        study = scaled(on_gpu, gpus=1, rollouts={"kind": "vllm", "kv_cache_gib": cache})
        sampled = sum(
            count / rows * 4 * (PARAMETERS + rows * 8 * 128) * 2 / (1e9 * 0.6)
            for count, rows in zip((160, 80), all_rows, strict=True)
        )
        assert estimated_minutes(study, "train", "rl") == pytest.approx((30 + trained + sampled) / 60)


def test_a_cache_too_large_is_told_what_fits(on_gpu):
    on_gpu.set(STUDY_FILE, "cost", "gpu", value="large")
    study = scaled(on_gpu, gpus=1, rollouts={"kind": "vllm", "kv_cache_gib": 80})
    line = next(line for line in refusals(study) if line.startswith("train, rollouts"))
    # 64 GiB / 1.05, less 2 GiB of processes and some MB
    assert line.endswith("GiB, but large has 64.0 GiB; would fit: training.scale.rollouts.kv_cache_gib 58")
    assert refusals(scaled(on_gpu, gpus=1, rollouts={"kind": "vllm", "kv_cache_gib": 58})) == []


def test_a_model_too_large_for_one_gpu_is_told_the_cheapest_way(on_gpu):
    on_gpu.write("config/models.yaml", {"models/base": SHAPE | {"hidden_size": 2560, "intermediate_size": 2560}})
    scaled(on_gpu, gpus=1)
    on_gpu.set(STUDY_FILE, "cost", "gpus", value=4)
    line = next(line for line in refusals(load(on_gpu)) if line.startswith("train, update (rl"))
    assert line.endswith(
        "; would fit: cost.gpu large or training.scale {ranks: 4, sharding: fsdp2} or training.hybrid.lora {rank: 32, "
        "alpha: 64} with training.scale {gradient_checkpointing: true} (another method: adapters learn less than all "
        "weights)"
    )
    for ranks, refused in {2: True, 4: False}.items():
        study = scaled(on_gpu, gpus=ranks, ranks=ranks, sharding="fsdp2")
        assert any("update (rl" in line for line in refusals(study)) == refused


def test_a_model_too_large_for_all_gpus_is_refused_without_advice(on_gpu):
    on_gpu.write("config/models.yaml", {"models/base": SHAPE | {"hidden_size": 65536, "intermediate_size": 65536}})
    on_gpu.set(STUDY_FILE, "cost", "gpus", value=8)
    line = next(line for line in refusals(load(on_gpu)) if line.startswith("train, update (rl"))
    assert line.endswith("; no setting would make it fit")


def test_ranks_that_cannot_share_the_rows_are_refused(on_gpu):
    with pytest.raises(UserError) as error:
        scaled(on_gpu, gpus=3, ranks=3)
    assert str(error.value).splitlines() == [
        f"{STUDY_FILE}: training.scale.ranks: prompts_per_step: 4 rows cannot be shared equally by 3 ranks "
        "(rl, sft_rl, decay)",
        f"{STUDY_FILE}: training.scale.ranks: expert_rows_per_step: 8 rows cannot be shared equally by 3 ranks (sft)",
    ]


def test_vllm_without_room_for_one_row_is_refused(on_gpu):
    on_gpu.set(STUDY_FILE, "cost", "gpu", value="large")
    study = scaled(on_gpu, gpus=1, rollouts={"kind": "vllm", "max_model_len": 20, "kv_cache_gib": 1e-6})
    *too_long, no_row = refusals(study)
    assert [line.partition(":")[0] for line in too_long] == [
        f"rollouts of {name}" for name in ("rl", "sft_rl", "decay")
    ]
    assert all(line.endswith("max_model_len is 20") for line in too_long)
    assert no_row.startswith("training.scale.rollouts.kv_cache_gib: 1e-06")
    assert no_row.endswith(" 4.77e-06")  # 20 x 2 x 2 x 32 values of 2 bytes


def test_rows_longer_than_the_models_positions_are_refused(on_gpu):
    on_gpu.set(STUDY_FILE, "experts", "max_response_tokens", value=125)
    (line,) = refusals(load(on_gpu))
    assert line.startswith("experts: ")
    assert re.findall(r"\d+", line) == ["6", "125", "128"]


def test_memory_of_a_cpu_job_is_what_it_asks_for(root):
    root.write("config/models.yaml", {"models/base": SHAPE})
    assert refusals(load(root)) == []
    need = Need("train", "update", ("sft",), Memory())
    bytes_there = load(root).resources("train").mem_mb * 1e6
    assert capacity(load(root), need) == bytes_there
    root.set(STUDY_FILE, "training", "hybrid", "prompts_per_step", value=4)
    root.set(STUDY_FILE, "training", "scale", value={"ranks": 4, "nodes": 2})
    assert capacity(load(root), need) == bytes_there / 2  # which the two ranks of a node share
    root.set(STUDY_FILE, "training", "scale", value={})
    root.set(STUDY_FILE, "resources", "train", "mem_mb", value=100)
    assert "but the train job's mem_mb has 0.1 GiB; would fit: resources.train.mem_mb" in refusals(load(root))[0]


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("gpu",), "smal", "config/gpus.yaml: no GPU 'smal'; expected one of small, large, or a new entry"),
        (("measured_on",), "a machine", "cost.gpu: expected"),
        (("gpu",), None, "cost.gpu: missing; expected a GPU, or measured_on"),
    ],
)
def test_a_cost_that_is_neither_measured_nor_worked_out(on_gpu, keys, value, message):
    on_gpu.set(STUDY_FILE, "cost", *keys, value=value)
    with pytest.raises(UserError, match=re.escape(message)):
        load(on_gpu)


@pytest.mark.parametrize(("rule", "gpus"), [("train", 2), ("generate", 0)])
def test_a_job_asks_for_the_gpus_that_it_uses(on_gpu, rule, gpus):
    on_gpu.set(STUDY_FILE, "resources", rule, "gpus", value=gpus)
    with pytest.raises(UserError, match=rf"resources: {rule}: expected gpus 1, got {gpus}.*cost.gpu"):
        load(on_gpu)


def test_a_job_on_several_nodes_asks_for_the_gpus_of_one(on_gpu):
    on_gpu.set(STUDY_FILE, "training", "scale", value={"ranks": 4, "nodes": 2})
    with pytest.raises(UserError, match="resources: train: expected gpus 2, got 1"):
        load(on_gpu)


def test_a_gpu_needs_the_models_shape(on_gpu):
    on_gpu.write("config/models.yaml", {"another/model": SHAPE})
    with pytest.raises(UserError, match=r"cost\.gpu: .*models/base.*config/models\.yaml"):
        load(on_gpu)


def test_the_record_of_a_plan_for_gpus_has_their_minutes_and_its_refusals(on_gpu):
    on_gpu.set(STUDY_FILE, "cost", "gpus", value=4)
    record = plan_record(load(on_gpu))
    assert record["computes_on"] == {"gpu": "small", "number": 4}
    (main,) = (item for item in record["comparisons"] if item["name"] == "main")
    assert main["minutes"] == pytest.approx(main["gpu_minutes"] / 4)  # no job alone is longer
    assert record["parameters"] == PARAMETERS
    on_gpu.write("config/gpus.yaml", {"small": GPU | {"memory_gib": 0.5}})
    assert plan_record(load(on_gpu))["refusals"] == refusals(load(on_gpu)) != []
