"""One rank of `test_ranks.py`: trains the stages of a JSON file and writes weights and logs."""

import json
import os
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState
from transformers import AutoModelForCausalLM, AutoTokenizer

from chord import tasks
from chord.objectives import Gradients
from chord.rollouts.huggingface import HuggingFaceEngine
from chord.training.curve_columns import CORRECTION_COLUMNS
from chord.training.hybrid_trainer import HybridTrainer
from chord.training.scale.scale_spec import Scale
from chord.training.scale.sharding import is_sharded, sharding_arguments, start_ranks
from chord.training.scale.sync import Replica, SyncedEngine, full_copy
from chord.training.scale.weights import save_full
from chord.training.sequences import encode_experts
from chord.training.sft import SftTrainer
from chord.training.train_spec import HybridStage, SftStage
from tests.helpers.hot_engine import HotEngine
from tests.helpers.small_training import COMMON, SEED_PARTS, coin


def engine_of(model, tokenizer, stage, scale, texts):
    ends = (tokenizer.pad_token_id, [tokenizer.eos_token_id])
    if not scale.shards_weights:
        engine = HotEngine if stage.importance_correction else HuggingFaceEngine
        return engine(model, *ends, stage.generate_batch_rows)
    return SyncedEngine(Replica(full_copy(model, "fp32"), *ends, stage.generate_batch_rows), texts, "float32")


def train(job: dict, name: str, settings: dict) -> None:
    world_size = int(os.environ["WORLD_SIZE"])
    AcceleratorState._reset_state(reset_partial_state=True)  # of the stage before
    tokenizer = AutoTokenizer.from_pretrained(job["start"])
    model = AutoModelForCausalLM.from_pretrained(job["start"], dtype=torch.float32)
    experts = encode_experts(tokenizer, job["experts"])
    scale = Scale(ranks=world_size, sharding=job["sharding"])
    start_ranks(scale, "fp32")
    common = COMMON | {"output_dir": job["out"], "ddp_backend": "gloo"} | sharding_arguments(scale)
    if settings["kind"] == "sft":
        stage = SftStage.model_validate(settings)
        args = SftTrainer.config(stage, world_size, **common)
        trainer = SftTrainer(model, tokenizer, args, stage, experts, SEED_PARTS)
    else:
        stage = HybridStage.model_validate(settings)
        if "traces" in stage.inputs:
            experts = encode_experts(tokenizer, job["traces"])
        engine = engine_of(model, tokenizer, stage, scale, [one.input_ids for one in experts[:2]])
        args = HybridTrainer.config(stage, world_size, **common)
        trainer = HybridTrainer(model, tokenizer, args, stage, engine, job["prompts"], experts, SEED_PARTS)
        if isinstance(engine, SyncedEngine):
            engine.follow(trainer)
    trainer.train()
    assert is_sharded(trainer.accelerator) == (scale.sharding != "none")
    save_full(model, Path(job["out"], name) if trainer.is_world_process_zero() else None)
    if trainer.is_world_process_zero():
        keys = ("loss", "mu", "rl_loss", "expert_loss", "reward_mean", "response_tokens_mean", "entropy", "grad_norm")
        keys += ("rollouts", "expert_rows", "expert_tokens", "held_out_nll", *CORRECTION_COLUMNS, *Gradients._fields)
        lines = [{key: line[key] for key in keys if key in line} for line in trainer.state.log_history]
        Path(f"{job['out']}/{name}.json").write_text(json.dumps(lines))


def main(job_file: str) -> None:
    tasks.TASKS["coin"] = tasks.Task("coin", coin)
    torch.set_num_threads(1)
    job = json.loads(Path(job_file).read_text())
    for name, settings in job["stages"].items():
        train(job, name, settings)
    PartialState().wait_for_everyone()  # a rank that ends early makes the others fail
    PartialState().destroy_process_group()
