#!/usr/bin/env bash
# ms-swift 4.5.3, GRPO with loss_type dapo: the same 32 rollouts in 8 micro-batches (gradient_accumulation_steps 8) give an
# eighth of the gradient that they give in one; with the default loss_type, grpo, the split changes nothing but rounding
# and weights within the batch. Beside a second term, as in its CHORD mode, the ratio of the two is another one: a
# nominal mu of 0.1 acts like 0.47. 4.6.0 has corrected it.
#
# Seen with ms-swift 4.5.3, trl 0.29.1, transformers 5.16.1, torch 2.13.0, a random Llama, completions written beforehand:
#   dapo, 1 micro-batch and 8: the gradient's norm times 1.000 and 0.125
#   grpo, 1 micro-batch and 8: the gradient's norm times 1.000 and 1.000
# The script fails when one of these lines changes. It installs about 3 GB.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
pip="$folder/env/bin/pip"
"$pip" install --quiet torch==2.13.0
"$pip" install --quiet --no-deps ms-swift==4.5.3
# What its GRPO imports; its other requirements are of its user interface, of other trainers and of its hub.
"$pip" install --quiet transformers==5.16.1 trl==0.29.1 accelerate==1.15.0 datasets==4.8.4 peft==0.20.0 addict aiohttp \
  attrdict binpacking cpm-kernels dacite einops fastapi json-repair math-verify matplotlib "modelscope>=1.23" msgspec nltk \
  openai oss2 pandas pillow rouge scipy sentencepiece simplejson sortedcontainers tensorboard tiktoken uvicorn zstandard
cat > "$folder/show.py" <<'PYTHON'
import json
import sys
from pathlib import Path

import torch
from swift.infer_engine.protocol import (
    ChatCompletionResponse,
    ChatCompletionResponseChoice,
    ChatMessage,
    RolloutOutput,
    UsageInfo,
)
from swift.pipelines.train.rlhf import SwiftRLHF
from swift.rewards import ORM, orms
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback

folder = Path(sys.argv[1])
letters = "abcdefghijklmnop"
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>", "user", "assistant", "system"]
words = {word: number for number, word in enumerate([*special, *letters])}
splitter = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
splitter.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
PreTrainedTokenizerFast(
    tokenizer_object=splitter, pad_token="<|endoftext|>", eos_token="<|im_end|>", unk_token="<unk>"
).save_pretrained(folder / "model")
torch.manual_seed(0)
shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
ends = {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}
LlamaForCausalLM(LlamaConfig(vocab_size=len(words), initializer_range=0.3, **shape, **ends)).save_pretrained(folder / "model")
prompts = [f"{letters[i]} {letters[i + 1]}" for i in range(8)]
rows = [{"messages": [{"role": "user", "content": prompt}]} for prompt in prompts]
(folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
completions = ["a b c d", "b d f h", "c e g i", "d a c b"]  # four for each prompt, all of one length


class Written(ORM):
    def __call__(self, completions, **_):
        return [float("a" in text) for text in completions]


orms["written"] = Written


def written(infer_requests, request_config=None, **_):
    count = {}
    outputs = []
    for request in infer_requests:
        prompt = request.messages[-1]["content"]
        count[prompt] = count.get(prompt, -1) + 1
        choice = ChatCompletionResponseChoice(0, ChatMessage("assistant", completions[count[prompt]]), "stop")
        outputs.append(RolloutOutput(response=ChatCompletionResponse("written", [choice], UsageInfo(0, 0, 0))))
    return outputs


class Norm(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, model, **_):
        self.value = sum((value.grad**2).sum() for value in model.parameters() if value.grad is not None).sqrt().item()


class OneStep(SwiftRLHF):
    def train(self, trainer):
        self.norm = Norm()
        trainer.add_callback(self.norm)
        trainer._engine_infer = written
        trainer.train()


def norm(loss, micro_batches):
    options = {
        "rlhf_type": "grpo", "model": folder / "model", "model_type": "llama", "template": "qwen", "tuner_type": "full",
        "torch_dtype": "float32", "dataset": folder / "prompts.jsonl", "reward_funcs": "written", "use_vllm": "false",
        "use_cpu": "true", "num_generations": 4, "per_device_train_batch_size": 32 // micro_batches,
        "gradient_accumulation_steps": micro_batches, "loss_type": loss, "beta": 0.0, "max_grad_norm": 0.0, "max_steps": 1,
        "max_completion_length": 16, "save_strategy": "no", "report_to": "none", "gradient_checkpointing": "false",
        "dataset_num_proc": 1, "output_dir": folder / "out",
    }
    command = OneStep([text for name, value in options.items() for text in (f"--{name}", str(value))])
    command.main()
    return command.norm.value


with open(folder / "seen", "w") as seen:
    for loss in ("dapo", "grpo"):
        one, eight = norm(loss, 1), norm(loss, 8)
        print(f"{loss}, 1 micro-batch and 8: the gradient's norm times 1.000 and {eight / one:.3f}", file=seen)
PYTHON
"$folder/env/bin/python" -W ignore "$folder/show.py" "$folder" > "$folder/log" 2>&1 || { tail -n 30 "$folder/log" >&2; exit 1; }
expected="dapo, 1 micro-batch and 8: the gradient's norm times 1.000 and 0.125
grpo, 1 micro-batch and 8: the gradient's norm times 1.000 and 1.000"
cat "$folder/seen"
[ "$(cat "$folder/seen")" = "$expected" ] || { echo "the behaviour has changed" >&2; exit 1; }
