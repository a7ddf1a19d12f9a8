"""`datasets`, through which TRL takes its rows, guesses no types from what prompts look like."""

from chord.training.hybrid_trainer import HybridTrainer
from chord.training.sequences import encode_experts
from tests.helpers.small_training import COMMON, SEED_PARTS, hybrid_stage

LOOKS = ["2024-01-01", "2024-01-01T12:30:00", "12:30", "1e5", "007", "null", "NaN", "true", '{"a": 1}', "[1, 2]", "1,5"]


def test_prompts_reach_the_trainer_as_they_are(load, tokenizer, experts, engine_for, tmp_path):
    prompts = [
        {"id": str(n), "messages": [{"role": "user", "content": look}], "gold": look, "task": "coin"}
        for n, look in enumerate(LOOKS)
    ]
    model, stage = load(), hybrid_stage(steps=12)
    args = HybridTrainer.config(stage, 1, output_dir=str(tmp_path), **COMMON)
    sequences = encode_experts(tokenizer, experts)
    trainer = HybridTrainer(model, tokenizer, args, stage, engine_for(model), prompts, sequences, SEED_PARTS)
    rows = list(trainer.train_dataset)
    assert {row["row"] for row in rows} == set(range(len(LOOKS)))
    assert all(row["prompt"] == prompts[row["row"]]["messages"] for row in rows)
