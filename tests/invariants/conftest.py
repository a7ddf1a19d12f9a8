"""A small world for trainers: a random Qwen2, rows, and a reward that differs between completions of any text."""

import hashlib

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from chord import tasks
from chord.rollouts.huggingface import HuggingFaceEngine
from chord.training.hybrid_trainer import HybridTrainer
from chord.training.scale.weights import add_adapters
from chord.training.sequences import encode_experts
from chord.training.sft import SftTrainer
from chord.training.train_spec import HybridStage, SftStage
from chord.world.rows import world_rows
from chord.world.tokenizer import build_tokenizer

SEED_PARTS = (11, 0)
ADAPTER_SEED = 7
COMMON = {
    "bf16": False,
    "use_cpu": True,
    "gradient_checkpointing": False,
    # Plain SGD: the weights are linear in the gradients. Adam divides by their size and so magnifies rounding where a
    # gradient is near 0, which no tolerance can tell from a wrong one.
    "optim": "sgd",
    "learning_rate": 0.3,  # large: differences between two trajectories show after few steps
    "lr_scheduler_type": "constant",
    "max_grad_norm": 1.0,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
}

LUFFY = {
    "schedule": {"name": "free", "rl": 1.0, "expert": 1.0},
    "router": {"name": "joined", "scale": "none"},
    "token_weight": {"name": "one"},
    "expert_loss": {"name": "shaped", "gamma": 0.1},
}
SRFT = {  # what it changes of LUFFY
    "router": {"name": "srft", "scale": "group", "positive": 0.1},
    "expert_loss": {"name": "srft", "sft": 0.5},
}


def coin(row: dict, text: str, truncated: bool) -> tasks.Verdict:
    """A reward without meaning that any text can earn: 1 for half of all texts, told by their hash."""
    value = hashlib.sha256((row["id"] + text).encode()).digest()[0] % 2
    return tasks.Verdict(float(value), bool(value), True, "coin")


@pytest.fixture(autouse=True)
def _coin_task(monkeypatch):
    monkeypatch.setitem(tasks.TASKS, "coin", tasks.Task("coin", coin))


@pytest.fixture(scope="session")
def tokenizer():
    return build_tokenizer(128)


@pytest.fixture(scope="session")
def start(tmp_path_factory, tokenizer):
    """Folder of a random 2-layer Qwen2."""
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=128,
            tie_word_embeddings=False,
            initializer_range=0.3,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    folder = tmp_path_factory.mktemp("start")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def prompts():
    return [row | {"task": "coin"} for row in world_rows("rl", "rl", (3, 4, 5), 24, seed=1)]


@pytest.fixture(scope="session")
def experts():
    """Expert rows of unequal lengths."""
    rows = world_rows("sft", "sft", (3, 4, 5), 24, seed=1)
    return [
        row | {"response": " ".join(["look", "1", "compute", "2"] * (1 + i % 5)) + f" answer {row['gold']}"}
        for i, row in enumerate(rows)
    ]


@pytest.fixture(scope="session")
def traces(prompts):
    """An expert's trajectory of every prompt, in another order, of unequal lengths and with rewards."""
    return [
        row
        | {
            "response": " ".join(["look", "1", "compute", "2"] * (1 + i % 5)) + f" answer {row['gold']}",
            "verdict": {"reward": 1.0},
        }
        for i, row in reversed(list(enumerate(prompts)))
    ]


def hybrid_stage(**changes) -> HybridStage:
    settings = {
        "optimizer": {"lr": COMMON["learning_rate"]},
        "steps": 3,
        "prompts_per_step": 4,
        "rollouts_per_prompt": 4,
        "expert_rows_per_step": 8,
        "schedule": {"name": "constant", "mu": 0.4},
        "token_weight": {"name": "power", "a": 1, "b": 1},
        "decoding": {"temperature": 1.0, "max_response_tokens": 12},
        "generate_batch_rows": 16,
        "micro_batch_rows": 4,
        "keep": "last",
        "validate_every": 100,
    }
    return HybridStage.model_validate(settings | changes)


def sft_stage(**changes) -> SftStage:
    settings = {
        "optimizer": {"lr": COMMON["learning_rate"]},
        "epochs": 1,
        "expert_rows_per_step": 8,
        "micro_batch_rows": 4,
        "keep": "last",
        "validate_every": 100,
    }
    return SftStage.model_validate(settings | changes)


@pytest.fixture
def load(start):
    return lambda: AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)


@pytest.fixture
def engine_for(tokenizer):
    return lambda model, rows=16: HuggingFaceEngine(model, tokenizer.pad_token_id, [tokenizer.eos_token_id], rows)


@pytest.fixture
def train_hybrid(load, tokenizer, prompts, experts, engine_for, tmp_path):
    """Train and return the trainer: its weights and its log."""

    def train(stage: HybridStage, engine=None, experts=experts) -> HybridTrainer:
        model = load()
        args = HybridTrainer.config(stage, 1, output_dir=str(tmp_path), **COMMON)
        trainer = HybridTrainer(
            add_adapters(model, stage.lora, ADAPTER_SEED) if stage.lora else model,
            tokenizer,
            args,
            stage,
            engine or engine_for(model),
            prompts,
            encode_experts(tokenizer, experts),
            SEED_PARTS,
        )
        trainer.train()
        return trainer

    return train


@pytest.fixture
def train_sft(load, tokenizer, experts, tmp_path):
    def train(stage: SftStage) -> SftTrainer:
        args = SftTrainer.config(stage, 1, output_dir=str(tmp_path), **COMMON)
        model = add_adapters(load(), stage.lora, ADAPTER_SEED) if stage.lora else load()
        trainer = SftTrainer(model, tokenizer, args, stage, encode_experts(tokenizer, experts), SEED_PARTS)
        trainer.train()
        return trainer

    return train


def weights(trainer) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


def logged(trainer, key: str) -> list[float]:
    return [line[key] for line in trainer.state.log_history if key in line]
