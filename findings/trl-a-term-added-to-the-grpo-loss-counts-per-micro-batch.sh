#!/usr/bin/env bash
# A term that a subclass of GRPOTrainer adds in compute_loss counts once per micro-batch: with
# gradient_accumulation_steps N its gradient is N times that with N = 1. GRPO's own loss does not change, as the trainer
# divides it by N itself. Trainer does the same for a language model, whose forward takes num_items_in_batch: it then
# trusts compute_loss to have divided. So the weight of an added SFT or auxiliary term, written as a mean over the
# micro-batch, depends on how the batch is split, without a warning.
#
# Seen with trl 1.16.0, transformers 5.17.0, torch 2.13.0, a Llama of one layer, eight rows per step; the rollouts have
# equal rewards, so that GRPO's own gradient is 0:
#   GRPOTrainer, gradient_accumulation_steps 1, 2, 8: the term's gradient times 1.0, 2.0, 8.0
#   Trainer, gradient_accumulation_steps 1, 2, 8: the term's gradient times 1.0, 2.0, 8.0
# The script fails when one of these lines changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet torch==2.13.0
"$folder/env/bin/pip" install --quiet transformers==5.17.0 trl==1.16.0
cat > "$folder/show.py" <<'PYTHON'
import sys

from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from trl import GRPOConfig, GRPOTrainer

words = {word: number for number, word in enumerate(["<pad>", "<eos>", "<unk>", *"abcdefgh"])}
letters = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
letters.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
general = {"max_steps": 1, "max_grad_norm": 0.0, "report_to": "none", "save_strategy": "no", "use_cpu": True}


class Term:
    own = 1.0  # the weight of the trainer's own loss

    def compute_loss(self, model, inputs, return_outputs=False, **more):
        term = sum((value * value).sum() for value in model.parameters())
        return self.own * super().compute_loss(model, inputs, **more) + term


class GrpoWithTerm(Term, GRPOTrainer):
    pass


class TrainerWithTerm(Term, Trainer):
    own = 0.0


class Norm(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, model, **_):
        self.value = sum((value.grad**2).sum() for value in model.parameters()).sqrt().item()


def norm(kind, steps, folder):
    size = {"per_device_train_batch_size": 8 // steps, "gradient_accumulation_steps": steps, "output_dir": folder}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(words), eos_token_id=1, pad_token_id=0, **shape))
    for value in model.parameters():
        value.data.fill_(0.01)
    if kind == "GRPOTrainer":
        rows = Dataset.from_dict({"prompt": ["a b c"] * 8})
        settings = GRPOConfig(num_generations=8, max_completion_length=4, beta=0.0, **size, **general)
        reward = lambda completions, **_: [1.0] * len(completions)
        trainer = GrpoWithTerm(model, reward, args=settings, train_dataset=rows, processing_class=tokenizer)
    else:
        ids = [3, 4, 5]
        rows = Dataset.from_dict({"input_ids": [ids] * 8, "labels": [ids] * 8})
        trainer = TrainerWithTerm(model, TrainingArguments(**size, **general), train_dataset=rows)
    keeper = Norm()
    trainer.add_callback(keeper)
    trainer.train()
    return keeper.value


for kind in ("GRPOTrainer", "Trainer"):
    norms = [norm(kind, steps, sys.argv[1]) for steps in (1, 2, 8)]
    factors = ", ".join(f"{value / norms[0]:.1f}" for value in norms)
    print(f"{kind}, gradient_accumulation_steps 1, 2, 8: the term's gradient times {factors}", file=sys.stderr)
PYTHON
"$folder/env/bin/python" -W ignore "$folder/show.py" "$folder/out" > "$folder/log" 2> "$folder/all" || { cat "$folder/all" >&2; exit 1; }
seen=$(grep "gradient times" "$folder/all")
expected='GRPOTrainer, gradient_accumulation_steps 1, 2, 8: the term'"'"'s gradient times 1.0, 2.0, 8.0
Trainer, gradient_accumulation_steps 1, 2, 8: the term'"'"'s gradient times 1.0, 2.0, 8.0'
printf '%s\n' "$seen"
[ "$seen" = "$expected" ] || { echo "the behaviour has changed" >&2; exit 1; }
