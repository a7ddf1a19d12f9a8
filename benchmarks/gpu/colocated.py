"""vLLM in the trainer's process: it samples a hybrid step, sleeps during updates, and agrees with the trainer.

The comparison of log-probabilities after each sync is that of every run; it ends the part where they disagree.
"""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch
from benchmarks.gpu.card import GIB
from benchmarks.gpu.checks import check
from benchmarks.gpu.sizes import Size
from benchmarks.step.cases import coin, expert_rows, job, load, prompt_rows, stage
from transformers.trainer_utils import SaveStrategy

from chord import tasks
from chord.rollouts.huggingface import stop_tokens
from chord.rollouts.parity import probe_texts
from chord.training.build import build_trainer, hardware
from chord.training.scale.sync import open_synced, under_all_names
from chord.training.scale.weights import full_weights
from chord.training.sequences import encode_experts

STEPS = 2
COLUMNS = ("parity_mean", "parity_max", "rollout_drift", "sync_seconds", "generate_seconds", "backward_seconds")


def measure(size: Size) -> dict:
    if find_spec("vllm") is None:
        return {"skipped": "no vllm"}
    tasks.TASKS["coin"] = tasks.Task("coin", coin)
    case = size.sampled
    model, tokenizer = load(case)
    longest = 41 * case.problems + 16 + case.response_tokens
    engine = {"kind": "vllm", "kv_cache_gib": 4 if torch.cuda.is_available() else 0.25, "max_model_len": longest}
    spec = job(stage(case, STEPS), rollouts=engine | {"enforce_eager": True})
    experts = encode_experts(tokenizer, expert_rows(case))
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start"
        model.save_pretrained(start)
        tokenizer.save_pretrained(start)
        _, precision = hardware(spec.scale)
        texts = probe_texts([row.input_ids for row in experts])
        stops = stop_tokens(model, tokenizer)
        synced = open_synced(spec, model, start, Path(folder), stops, texts, precision)
        rows = prompt_rows(case, STEPS, half_flat=False)
        trainer = build_trainer(spec, model, tokenizer, rows, experts, Path(folder) / "checkpoints", synced)
        trainer.args.save_strategy = SaveStrategy.NO
        synced.follow(trainer)
        trainer.train()
        asleep = used_gib()
        weights = under_all_names(full_weights(model), model.all_tied_weights_keys)
        synced.engine.load_weights(weights)
        awake = used_gib()
        synced.engine.sleep()
        again = used_gib()
        sleeps = synced.engine.sleeps
        synced.close()
    steps = [line for line in trainer.state.log_history if "parity_mean" in line]
    measured = [{"step": place} | {name: line[name] for name in COLUMNS} for place, line in enumerate(steps, start=1)]
    memory = {"step": "memory of the card", "asleep GiB": asleep, "awake GiB": awake, "asleep again GiB": again}
    checks = [check("steps without a comparison", STEPS - len(steps), 0)]
    if sleeps:
        freed = model.num_parameters() * 2 / GIB + engine["kv_cache_gib"]  # weights in bf16, and the cache
        checks.append(check("not freed in sleep, of weights and cache", 1 - (awake - again) / freed, 0.1))
    return {"rows": [*measured, memory | {"sleeps": sleeps}], "checks": checks}


def used_gib() -> float | None:
    """By all processes on the card."""
    if not torch.cuda.is_available():
        return None
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return (total - free) / GIB
