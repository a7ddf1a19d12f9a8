"""The batch that every trainer gets: a small random Llama, prompts with four written completions, and expert rows."""

import random
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PROMPTS, COMPLETIONS, EXPERTS = 8, 4, 32  # 32 rows of either term
MU = 0.1
SPLITS = (1, 2, 4, 8)  # micro-batches of the step
LOSSES = ("dapo", "grpo")  # token mean of the batch; mean of the rows' token means
WORDS = [f"w{number}" for number in range(100)]
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} {{ message['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)


def _text(seed: str, low: int, high: int) -> str:
    draw = random.Random(seed)
    return " ".join(draw.choices(WORDS, k=draw.randint(low, high)))


def prompts() -> list[str]:
    return [_text(f"prompt {i}", 4, 10) for i in range(PROMPTS)]


def completion(prompt: str, i: int) -> str:
    """The i-th completion of a prompt. Lengths are mixed, as those of rollouts are."""
    return _text(f"{prompt} {i}", 3, 40)


def reward(completion: str) -> float:
    """1 for about half of all texts, without a meaning."""
    return float(random.Random(completion).random() < 0.5)


def experts() -> list[tuple[str, str]]:
    """(prompt, response) of each expert row."""
    return [(_text(f"question {i}", 4, 10), _text(f"response {i}", 3, 60)) for i in range(EXPERTS)]


def write_model(folder: Path) -> None:
    """A model of two layers with its tokenizer, whose distributions are far from uniform.

    A Qwen2 would get byte-level tokens from AutoTokenizer, whatever its folder has
    (findings/transformers-qwen2-folder-ignores-its-tokenizer-json.sh).
    """
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>"]
    vocabulary = {word: number for number, word in enumerate([*special, "user", "assistant", "system", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        unk_token="<unk>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=TEMPLATE,
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def all_gradients(gradient: Callable[[str, float, int], dict]) -> dict[str, dict]:
    """For each loss the pure gradients, in one micro-batch, and the mixed one of each split.

    gradient: takes the name of the loss, mu and the number of micro-batches.
    """
    return {
        loss: {
            "rl": gradient(loss, 0.0, 1),
            "expert": gradient(loss, 1.0, 1),
            "mixed": {split: gradient(loss, MU, split) for split in SPLITS},
        }
        for loss in LOSSES
    }
