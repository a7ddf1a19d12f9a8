"""Trainers without sampling on rows of 16k tokens, beside prime-rl's committed numbers for the same work.

Qwen3-0.6B with random weights and gradient checkpointing, two rows a step, one row a pass; prime-rl's are with
FlashAttention 3 on one H100. Its files give a step time and a throughput, which do not agree for RL; its MFU is that of
the throughput.
"""

import tempfile
from pathlib import Path

from benchmarks.gpu.card import GIB, mfu
from benchmarks.gpu.flops import PassCounter, Work, training_flops
from benchmarks.gpu.random_rows import RandomEngine, random_sequences, rewarded_in_turn
from benchmarks.gpu.sizes import LongRows, Size
from benchmarks.step.cases import SPECIAL_TOKENS, job, random_model
from benchmarks.step.gauge import gauge_of_this_machine
from benchmarks.step.one_side import run
from transformers import AutoConfig, Trainer
from transformers.trainer_utils import SaveStrategy

from chord.training.build import build_trainer

PROMPT = {"role": "user", "content": "Ann"}
# benchmarks/baselines/benchmark-1xh100-Qwen--Qwen3-0.6B-{rl,sft}-full-1gpu-Recompute-flash_attention_3-16384-cp1-ep1
# .json of PrimeIntellect-ai/prime-rl at 767aaad, of 15 January 2026: step time of two rows, throughput, MFU, memory.
PRIME_RL = {
    "RL": {"step s": 1.9923, "throughput": 11_896.0, "MFU": 0.1108, "peak GiB": 12.5},
    "SFT": {"step s": 1.2819, "throughput": 25_486.1, "MFU": 0.2374, "peak GiB": 52.8},
}


def measure(size: Size, kind: str) -> dict:
    """kind: `RL` or `SFT`."""
    rows = size.long
    steps = rows.warm_up + rows.steps
    with tempfile.TemporaryDirectory() as folder:
        trainer = build(rows, kind, Path(folder))
        trainer.args.save_strategy = SaveStrategy.NO
        counter = PassCounter(trainer.model)
        cost = run(trainer, rows.warm_up, gauge_of_this_machine())
    work = Work(*(count / steps for count in vars(counter.total()).values()))
    tokens = rows.rows * rows.tokens
    row = {
        "case": f"{kind}, ours",
        "step s": cost.seconds,
        "tokens/s": tokens / cost.seconds,
        "MFU": mfu(training_flops(trainer.model, work), cost.seconds),
        "peak GiB": cost.peak / GIB,
        **{f"{part} s": cost.parts[part] for part in ("forward", "backward", "optimizer", "other")},
    }
    return {"rows": [row, *anchors(kind)], "checks": []}


def anchors(kind: str) -> list[dict]:
    """prime-rl's numbers as rows: what it writes, and the speed of its steps, for which it gives no MFU."""
    file, tokens = PRIME_RL[kind], 2 * 16_384
    written = {"tokens/s": file["throughput"], "MFU": file["MFU"], "peak GiB": file["peak GiB"]}
    of_step = {"step s": file["step s"], "tokens/s": tokens / file["step s"]}
    # Its MFU is proportional to the speed; this is the one that would belong to the speed of its steps.
    of_step["MFU"] = file["MFU"] * of_step["tokens/s"] / file["throughput"]
    return [
        {"case": f"{kind}, prime-rl, 1 H100: its throughput"} | written,
        {"case": f"{kind}, prime-rl, 1 H100: from its step time"} | of_step,
    ]


def build(rows: LongRows, kind: str, folder: Path) -> Trainer:
    """Its steps have the same rows in each run. The rate is too small to change a weight that matters."""
    model, tokenizer = random_model(AutoConfig.for_model(**rows.config, **SPECIAL_TOKENS))
    steps = rows.warm_up + rows.steps
    stage = {
        "optimizer": {"lr": 1e-12},
        "micro_batch_tokens": rows.tokens,
        "keep": "last",
        "validate_every": 1000,
    }
    prompt_tokens = len(tokenizer.apply_chat_template([PROMPT], add_generation_prompt=True)["input_ids"])
    response_tokens = rows.tokens - prompt_tokens
    if kind == "SFT":
        stage |= {"kind": "sft", "epochs": steps, "expert_rows_per_step": rows.rows}
    else:
        stage |= {
            "kind": "hybrid",
            "steps": steps,
            "prompts_per_step": 1,
            "rollouts_per_prompt": rows.rows,
            "schedule": {"name": "constant", "mu": 0.0},
            "decoding": {"temperature": 1.0, "max_response_tokens": response_tokens},
            "generate_batch_rows": rows.rows,
        }
    spec = job(stage, gradient_checkpointing=True, precision="bf16")
    experts = random_sequences(model.config.vocab_size, rows.rows, prompt_tokens, response_tokens)
    prompts = rewarded_in_turn([{"id": "p", "messages": [PROMPT], "meta": {}}])
    engine = RandomEngine(model.config.vocab_size)
    return build_trainer(spec, model, tokenizer, prompts, experts, folder, engine)
