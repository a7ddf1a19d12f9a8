"""A small world for trainers: a random Qwen2, rows, and a reward that differs between completions of any text."""

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
from tests.helpers.small_training import ADAPTER_SEED, COMMON, SEED_PARTS, coin


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


@pytest.fixture
def load(start):
    return lambda: AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)


@pytest.fixture
def engine_for(tokenizer):
    return lambda model, rows=16: HuggingFaceEngine(model, tokenizer.pad_token_id, [tokenizer.eos_token_id], rows)


@pytest.fixture
def train_hybrid(load, tokenizer, prompts, experts, engine_for, tmp_path):
    """Train and return the trainer: its weights and its log."""

    def train(stage: HybridStage, engine=None, experts=experts, teacher=None, prompts=prompts) -> HybridTrainer:
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
            teacher,
        )
        trainer.train()
        return trainer

    return train


@pytest.fixture(scope="session")
def trainers() -> dict[str, HybridTrainer]:
    """The trainers of `trained`, by their stage."""
    return {}


@pytest.fixture
def trained(train_hybrid, trainers):
    """Stage -> a trainer that has trained it, once for all tests. Tests must not change it."""

    def run(stage: HybridStage) -> HybridTrainer:
        key = stage.model_dump_json()
        if key not in trainers:
            trainers[key] = train_hybrid(stage)
        return trainers[key]

    return run


@pytest.fixture
def train_sft(load, tokenizer, experts, tmp_path):
    def train(stage: SftStage) -> SftTrainer:
        args = SftTrainer.config(stage, 1, output_dir=str(tmp_path), **COMMON)
        model = add_adapters(load(), stage.lora, ADAPTER_SEED) if stage.lora else load()
        trainer = SftTrainer(model, tokenizer, args, stage, encode_experts(tokenizer, experts), SEED_PARTS)
        trainer.train()
        return trainer

    return train
