"""Measures the CPU seconds of one CHORD optimizer step: ours, and stock TRL with an SFT term added to its loss.

    OMP_NUM_THREADS=1 python benchmarks/step.py --model models/world-base

Both trainers run in this process in turn: the same model with frozen weights (learning rate 0), the same prompts in the
same order, 32 x 8 rollouts of up to 64 tokens and 64 expert rows per step. First each samples by itself (`whole step`);
then TRL is given our samples, so that both train on exactly the same tokens and TRL's time includes our sampler (`same
tokens`). There are two kinds of rewards: a coin toss for each completion, and the same with equal rewards in every
second group, as happens when a prompt is too easy or too hard. --profile shows where our step spends its time.
"""

import argparse
import cProfile
import hashlib
import pstats
import statistics
import tempfile
import time
import warnings

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from chord import tasks
from chord.io.seeds import derive_seed
from chord.rollouts import Decoding, encode_prompts
from chord.rollouts.huggingface import HuggingFaceEngine
from chord.training.hybrid_trainer import HybridTrainer
from chord.training.sequences import Sequence, collate, encode_experts, row_order
from chord.training.train_spec import HybridStage
from chord.world.problems import parse
from chord.world.rows import world_rows
from chord.world.solutions import write_expert

PROMPTS, K, EXPERTS, TOKENS, MICRO_ROWS, MU = 32, 8, 64, 64, 32, 0.5
COMMON = {
    "bf16": False,
    "use_cpu": True,
    "gradient_checkpointing": False,
    "learning_rate": 0.0,
    "save_strategy": "no",
    "report_to": "none",
    "logging_steps": 1,
    "disable_tqdm": True,
}


class Clock(TrainerCallback):
    """Records the CPU seconds of each optimizer step; with one thread they exclude the time of other processes."""

    def __init__(self):
        self.seconds = []

    def on_step_begin(self, *_, **__):
        self.began = time.process_time()

    def on_step_end(self, *_, **__):
        self.seconds.append(time.process_time() - self.began)


def coin(row: dict, text: str, truncated: bool) -> tasks.Verdict:
    """Rewards half of all completions with 1, by their hash; rows marked `flat` give 1 to all."""
    value = row["meta"]["flat"] or hashlib.sha256((row["id"] + text).encode()).digest()[0] % 2
    return tasks.Verdict(float(value), bool(value), True, "coin")


class NaiveTrl(GRPOTrainer):
    """The trainer that a user of TRL would write: it adds the SFT term of the micro-batch to the GRPO loss."""

    def __init__(self, experts: list[Sequence], **kwargs):
        self.experts = experts
        self.drawn = 0
        super().__init__(**kwargs)

    def _compute_loss(self, model, inputs):
        rows = EXPERTS // self.current_gradient_accumulation_steps
        batch = [self.experts[(self.drawn + i) % len(self.experts)] for i in range(rows)]
        self.drawn += rows
        padded = collate(batch, self._tokenizer.pad_token_id, self.accelerator.device)
        width = padded["input_ids"].shape[1]
        logps, _, _ = self._get_per_token_logps_and_entropies(
            model, padded["input_ids"], padded["attention_mask"], width - 1
        )
        mask = padded["labels"][:, 1:] != -100
        p = logps.detach().exp()
        sft = -(p * (1 - p) * logps * mask).sum() / mask.sum() / self.current_gradient_accumulation_steps
        return (1 - MU) * super()._compute_loss(model, inputs) + MU * sft


def ours(folder: str, rows: list[dict], experts: list[Sequence], tokenizer, steps: int) -> HybridTrainer:
    stage = HybridStage.model_validate(
        {
            "optimizer": {"lr": 1.0},  # not used: the arguments above say 0
            "steps": steps,
            "prompts_per_step": PROMPTS,
            "rollouts_per_prompt": K,
            "expert_rows_per_step": EXPERTS,
            "schedule": {"name": "constant", "mu": MU},
            "token_weight": {"name": "power", "a": 1, "b": 1},
            "decoding": {"temperature": 1.0, "max_response_tokens": TOKENS},
            "generate_batch_rows": PROMPTS * K,
            "micro_batch_rows": MICRO_ROWS,
            "keep": "last",
            "validate_every": 1000,
        }
    )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    engine = HuggingFaceEngine(model, tokenizer.pad_token_id, [tokenizer.eos_token_id], PROMPTS * K)
    args = HybridTrainer.config(stage, 1, output_dir=tempfile.mkdtemp(), **COMMON)
    return HybridTrainer(model, tokenizer, args, stage, engine, rows, experts, (1, 0))


def stock(folder: str, rows: list[dict], experts: list[Sequence], tokenizer, steps: int, same_tokens: bool) -> NaiveTrl:
    order = row_order(len(rows), steps * PROMPTS, derive_seed(1, 0, "prompt order"))  # as ours
    by_prompt = {row["messages"][0]["content"]: row for row in rows}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    engine = HuggingFaceEngine(model, tokenizer.pad_token_id, [tokenizer.eos_token_id], PROMPTS * K)

    def rollout(prompts, trainer):
        """Returns our samples for the step; TRL asks for them once per step."""
        ids = encode_prompts(tokenizer, [{"messages": messages} for messages in prompts])
        seeds = [derive_seed(1, 0, "rollout", trainer.state.global_step + 1, i) for i in range(len(ids))]
        samples = engine.generate(ids, seeds, Decoding(temperature=1.0, max_response_tokens=TOKENS))
        tokens = [sample.token_ids for sample in samples]
        return {"prompt_ids": ids, "completion_ids": tokens, "logprobs": None}

    def reward(prompts, completions, **_):
        pairs = zip(prompts, completions, strict=True)
        return [coin(by_prompt[p[0]["content"]], c[0]["content"], False).reward for p, c in pairs]

    return NaiveTrl(
        experts,
        model=model,
        rollout_func=rollout if same_tokens else None,
        processing_class=tokenizer,
        args=GRPOConfig(
            max_steps=steps,
            per_device_train_batch_size=MICRO_ROWS,
            gradient_accumulation_steps=PROMPTS * K // MICRO_ROWS,
            num_generations=K,
            max_completion_length=TOKENS,
            shuffle_dataset=False,
            beta=0.0,
            loss_type="dapo",
            output_dir=tempfile.mkdtemp(),
            **COMMON,
        ),
        train_dataset=Dataset.from_list([{"prompt": rows[i]["messages"]} for i in order]),
        reward_funcs=reward,
    )


def measure(trainer) -> tuple[list[float], float]:
    """Returns the CPU seconds of the steps after the first, which warms up, and the mean response length."""
    clock = Clock()
    trainer.add_callback(clock)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    steps = [line for line in trainer.state.log_history if "completions/mean_length" in line]
    return clock.seconds[1:], statistics.fmean(line["completions/mean_length"] for line in steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/world-base")
    parser.add_argument("--steps", type=int, default=4, help="steps per round; the first is not counted")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)  # CPU seconds of one thread do not depend on what else the machine does
    tasks.TASKS["coin"] = tasks.Task("coin", coin)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    expert_rows = world_rows("sft", "sft", (3, 4, 5), EXPERTS * 2, seed=1)
    experts = encode_experts(
        tokenizer, [row | {"response": write_expert(parse(row["messages"][0]["content"]))} for row in expert_rows]
    )
    print(f"{'rewards':<24}{'TRL runs':<14}{'ours':>8}{'TRL':>8}{'TRL/ours':>10}   mean response tokens, ours and TRL")
    for title, flat in (("coin", lambda i: 0), ("half of the groups flat", lambda i: (i + 1) % 2)):
        rows = [
            row | {"task": "coin", "meta": {"flat": flat(i)}}
            for i, row in enumerate(world_rows("rl", "rl", (3, 4, 5), PROMPTS * arguments.steps, seed=1))
        ]
        job = (arguments.model, rows, experts, tokenizer, arguments.steps)
        for name, same_tokens in (("whole step", False), ("same tokens", True)):
            seconds, lengths = ([], []), [0.0, 0.0]
            for _ in range(arguments.rounds):
                for side, trainer in enumerate((ours(*job), stock(*job, same_tokens=same_tokens))):
                    step_seconds, lengths[side] = measure(trainer)
                    seconds[side].extend(step_seconds)
            a, b = map(statistics.median, seconds)
            print(
                f"{title:<24}{name:<14}{a:>8.2f}{b:>8.2f}{b / a:>10.2f}   {lengths[0]:.1f} {lengths[1]:.1f}",
                flush=True,
            )
    if arguments.profile:
        trainer = ours(*job)
        profile = cProfile.Profile()
        profile.runcall(trainer.train)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


if __name__ == "__main__":
    main()
