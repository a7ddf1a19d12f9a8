"""The parts of the measurement, the most important first; each runs in a process of its own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    title: str  # of the table in which its rows stand
    module: str  # of this package; has `measure(size, *arguments)`
    arguments: tuple[str, ...] = ()
    seconds: int = 60  # limit


HYBRID = "Hybrid steps in bf16, ours and stock TRL's"
LONG = "Trainers alone, rows of 16k tokens, Qwen3-0.6B, gradient checkpointing"
PARTS = {
    "step-135m-ours": Part(HYBRID, "step", ("135M", "ours"), 70),
    "step-135m-trl": Part(HYBRID, "step", ("135M", "TRL"), 50),
    "shared-prompts": Part("Shared prompts against full rows", "shared_prompts", (), 90),
    "same-numbers": Part("Less memory, the same numbers", "same_numbers", (), 90),
    "trainer-rl": Part(LONG, "trainer_only", ("RL",), 70),
    "trainer-sft": Part(LONG, "trainer_only", ("SFT",), 60),
    "vllm": Part("vLLM in the trainer's process", "colocated", (), 90),
    "plan-memory": Part("Peak memory and `chord plan`", "plan_memory", (), 60),
    "step-1.5b-ours": Part(HYBRID, "step", ("1.5B", "ours"), 80),
    "step-1.5b-trl": Part(HYBRID, "step", ("1.5B", "TRL"), 60),
}
CARD = Part("Card", "card", (), 60)
