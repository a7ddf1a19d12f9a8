"""The two trainers that are compared: ours, and stock TRL with an SFT term added to its loss.

Both have the same model, prompts in the same order, expert rows and sampling temperature. The learning rate is 0, so
that all steps cost the same. Each samples by itself.
"""

import tempfile

import torch
from benchmarks.step import cases
from benchmarks.step.cases import MU, SEED, Case, K, coin, expert_rows, load, prompt_order, prompt_rows
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from chord.rollouts.huggingface import HuggingFaceEngine
from chord.training.hybrid_trainer import HybridTrainer
from chord.training.sequences import Sequence, collate, encode_experts
from chord.training.train_spec import HybridStage


class NaiveTrl(GRPOTrainer):
    """The trainer that a user of TRL would write: it adds the SFT term of the micro-batch to the GRPO loss."""

    def __init__(self, experts: list[Sequence], experts_per_step: int, **kwargs):
        self.experts = experts
        self.experts_per_step = experts_per_step
        self.drawn = 0
        super().__init__(**kwargs)

    def _compute_loss(self, model, inputs):
        rows = self.experts_per_step // self.current_gradient_accumulation_steps
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


def ours(case: Case, steps: int, half_flat: bool, bf16: bool) -> HybridTrainer:
    """Ours, at the learning rate of `_arguments`."""
    model, tokenizer = load(case)
    stage = HybridStage.model_validate(cases.stage(case, steps))
    precision = torch.bfloat16 if bf16 else None
    engine = HuggingFaceEngine(
        model, tokenizer.pad_token_id, [tokenizer.eos_token_id], stage.generate_batch_rows, precision
    )
    args = HybridTrainer.config(stage, 1, **_arguments(bf16))
    rows, experts = prompt_rows(case, steps, half_flat), encode_experts(tokenizer, expert_rows(case))
    return _quiet(HybridTrainer(model, tokenizer, args, stage, engine, rows, experts, SEED))


def stock(case: Case, steps: int, half_flat: bool, bf16: bool = False) -> NaiveTrl:
    """TRL's trainer."""
    model, tokenizer = load(case)
    rows = prompt_rows(case, steps, half_flat)
    by_prompt = {row["messages"][0]["content"]: row for row in rows}

    def reward(prompts, completions, **_):
        pairs = zip(prompts, completions, strict=True)
        return [coin(by_prompt[p[0]["content"]], c[0]["content"], False).reward for p, c in pairs]

    return _quiet(
        NaiveTrl(
            encode_experts(tokenizer, expert_rows(case)),
            case.experts,
            model=model,
            processing_class=tokenizer,
            args=GRPOConfig(
                max_steps=steps,
                per_device_train_batch_size=case.micro_rows,
                gradient_accumulation_steps=case.prompts * K // case.micro_rows,
                num_generations=K,
                max_completion_length=case.response_tokens,
                shuffle_dataset=False,
                beta=0.0,
                loss_type="dapo",
                **_arguments(bf16),
            ),
            train_dataset=Dataset.from_list([{"prompt": rows[i]["messages"]} for i in prompt_order(case, steps)]),
            reward_funcs=reward,
        )
    )


def _arguments(bf16: bool) -> dict:
    return {
        "output_dir": tempfile.mkdtemp(),
        "bf16": bf16,
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": False,
        "learning_rate": 0.0,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "disable_tqdm": True,
    }


def _quiet(trainer: GRPOTrainer) -> GRPOTrainer:
    trainer.remove_callback(PrinterCallback)
    return trainer
