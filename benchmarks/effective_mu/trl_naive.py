"""Gradients of stock TRL with an SFT term as one would add it: `python -m benchmarks.effective_mu.trl_naive OUT`.

`_compute_loss` is the hook that TRL's GRPOTrainer offers. The term is the token mean of the micro-batch's expert rows,
as every supervised trainer's loss is. What TRL returns is divided by the accumulation steps already, and nothing
divides the sum again, so the term counts once for each micro-batch.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from benchmarks.effective_mu import batch
from datasets import Dataset
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from chord.probe.keeper import GradientKeeper


class NaiveTrainer(GRPOTrainer):
    mu: float
    experts: list[list[tuple[list[int], list[int]]]]  # (prompt, response) of each micro-batch

    def _compute_loss(self, model, inputs):
        rl = super()._compute_loss(model, inputs)
        return (1.0 - self.mu) * rl + self.mu * self._sft_loss(model, self.experts.pop(0))

    def _sft_loss(self, model, rows):
        width = max(len(prompt + response) for prompt, response in rows)
        pad = self.processing_class.pad_token_id
        ids = torch.tensor([p + r + [pad] * (width - len(p + r)) for p, r in rows])
        labels = torch.tensor([[-100] * len(p) + r + [-100] * (width - len(p + r)) for p, r in rows])
        logits = model(input_ids=ids, attention_mask=(ids != pad).long()).logits[:, :-1]
        return cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())


def gradient(folder: Path, loss: str, mu: float, micro_batches: int) -> dict[str, torch.Tensor]:
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    keeper = GradientKeeper()

    def ids(messages: list[dict]) -> list[int]:
        return tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)

    def response(text: str) -> list[int]:
        return [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]

    def rollout(prompts, trainer):
        """The n-th repetition of a prompt gets its n-th written completion."""
        completions = [
            response(batch.completion(messages[-1]["content"], place % batch.COMPLETIONS))
            for place, messages in enumerate(prompts)
        ]
        return {"prompt_ids": [ids(messages) for messages in prompts], "completion_ids": completions, "logprobs": None}

    trainer = NaiveTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32),
        args=GRPOConfig(
            max_steps=1,
            per_device_train_batch_size=batch.PROMPTS * batch.COMPLETIONS // micro_batches,
            gradient_accumulation_steps=micro_batches,
            num_generations=batch.COMPLETIONS,
            max_completion_length=128,
            loss_type=loss,
            beta=0.0,
            max_grad_norm=0.0,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            output_dir=str(folder / "out"),
        ),
        processing_class=tokenizer,
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": text}]} for text in batch.prompts()]),
        reward_funcs=lambda completions, **_: [batch.reward(one[0]["content"].strip()) for one in completions],
        rollout_func=rollout,
    )
    rows = [(ids([{"role": "user", "content": text}]), response(answer)) for text, answer in batch.experts()]
    size = batch.EXPERTS // micro_batches
    trainer.mu = mu
    trainer.experts = [rows[first : first + size] for first in range(0, batch.EXPERTS, size)]
    trainer.add_callback(keeper)
    trainer.train()
    return keeper.gradient


def main(out: Path) -> None:
    with TemporaryDirectory() as name:
        batch.write_model(Path(name, "model"))
        torch.save(batch.all_gradients(lambda *case: gradient(Path(name), *case)), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
