"""Gradients of ms-swift's own CHORD: `python -m benchmarks.effective_mu.ms_swift OUT`, where ms-swift is installed.

The trainer, the loss and the accumulation are ms-swift's. Only the completions are written beforehand, so that each
step has the same ones, and clipping is off.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from benchmarks.effective_mu import batch
from swift.infer_engine.protocol import (
    ChatCompletionResponse,
    ChatCompletionResponseChoice,
    ChatMessage,
    RolloutOutput,
    UsageInfo,
)
from swift.pipelines.train.rlhf import SwiftRLHF
from swift.rewards import ORM, orms

from chord.probe.keeper import GradientKeeper


class WrittenReward(ORM):
    def __call__(self, completions, **_) -> list[float]:
        return [batch.reward(text) for text in completions]


orms["written"] = WrittenReward


class OneStep(SwiftRLHF):
    """ms-swift's command, which keeps the gradient of its first update."""

    def train(self, trainer):
        self.keeper = GradientKeeper()
        trainer.add_callback(self.keeper)
        trainer._engine_infer = _written
        trainer.train()


def _written(infer_requests, request_config=None, **_) -> list[RolloutOutput]:
    """The n-th request of a prompt gets its n-th written completion."""
    seen: dict[str, int] = {}
    outputs = []
    for request in infer_requests:
        prompt = request.messages[-1]["content"]
        number = seen[prompt] = seen.get(prompt, -1) + 1
        message = ChatMessage("assistant", batch.completion(prompt, number))
        choice = ChatCompletionResponseChoice(0, message, "stop")
        outputs.append(RolloutOutput(response=ChatCompletionResponse("written", [choice], UsageInfo(0, 0, 0))))
    return outputs


def gradient(folder: Path, loss: str, mu: float, micro_batches: int) -> dict[str, torch.Tensor]:
    rows = batch.PROMPTS * batch.COMPLETIONS // micro_batches
    options = {
        "rlhf_type": "grpo",
        "model": folder / "model",
        "model_type": "llama",
        "template": "qwen",
        "tuner_type": "full",
        "torch_dtype": "float32",
        "dataset": folder / "prompts.jsonl",
        "chord_sft_dataset": folder / "experts.jsonl",
        "reward_funcs": "written",
        "use_vllm": "false",
        "use_cpu": "true",
        "num_generations": batch.COMPLETIONS,
        "per_device_train_batch_size": rows,
        "chord_sft_per_device_train_batch_size": batch.EXPERTS // micro_batches,
        "gradient_accumulation_steps": micro_batches,
        "chord_mu_warmup_steps": 0,
        "chord_mu_decay_steps": 0,
        "chord_mu_peak": mu,
        "chord_mu_valley": mu,
        "loss_type": loss,
        "beta": 0.0,
        "max_grad_norm": 0.0,
        "max_steps": 1,
        "max_completion_length": 128,
        "save_strategy": "no",
        "report_to": "none",
        "gradient_checkpointing": "false",
        "dataset_num_proc": 1,
        "output_dir": folder / "out",
    }
    command = OneStep([text for name, value in options.items() for text in (f"--{name}", str(value))])
    command.main()
    return command.keeper.gradient


def main(out: Path) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        batch.write_model(folder / "model")
        prompts = [{"messages": [{"role": "user", "content": text}]} for text in batch.prompts()]
        experts = [
            {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": response}]}
            for text, response in batch.experts()
        ]
        for name, rows in (("prompts", prompts), ("experts", experts)):
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        torch.save(batch.all_gradients(lambda *case: gradient(folder, *case)), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
