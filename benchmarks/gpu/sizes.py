"""How large each measurement is: `full` for one H100 in six minutes, `rehearsal` for a CPU in two."""

from dataclasses import dataclass

from benchmarks.step.cases import SMOLLM2, Case

QWEN3 = {"model_type": "qwen3", "vocab_size": 151_936, "tie_word_embeddings": True, "max_position_embeddings": 40_960}
QWEN3_06B = QWEN3 | {
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
}
QWEN3_SMALL = QWEN3 | {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
QWEN2_SMALL = {  # the estimate's error on it is known: tests/unit/test_plan_memory.py
    "model_type": "qwen2",
    "vocab_size": 4096,
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
    "max_position_embeddings": 4096,
}


@dataclass(frozen=True)
class LongRows:
    """Rows of a trainer alone: as many as in a step of prime-rl's benchmark, of the same length."""

    config: dict  # of transformers
    tokens: int  # of a row
    rows: int = 2  # of a step
    warm_up: int = 1
    steps: int = 3


@dataclass(frozen=True)
class Groups:
    """Rows that share a prompt, for each of several lengths of it."""

    model: str  # as in `Case`
    prompt_tokens: tuple[int, ...]
    responses: int
    response_tokens: int
    repeats: int  # of a timed pass
    lengths: int  # passes that all differ in length


@dataclass(frozen=True)
class Memory:
    """SFT steps of one full pass each."""

    model: str | dict  # a shape in config/models.yaml, or one
    rows: int
    tokens: int  # of a row


@dataclass(frozen=True)
class Size:
    steps: dict[str, Case]  # of the comparison with stock TRL, by the name of the model
    long: LongRows
    groups: Groups
    checked: Case  # the step of which the ways to save memory must not change the numbers
    sampled: Case  # the step that vLLM samples for
    memory: Memory


def _case(model: str, problems: int, prompts: int, response_tokens: int, micro_rows: int, steps: int = 2) -> Case:
    return Case("", model, problems, prompts, response_tokens, prompts, micro_rows, {}, 1.0, steps=steps)


QWEN_15B = "Qwen/Qwen2.5-1.5B-Instruct"
SIZES = {
    "full": Size(
        steps={"135M": _case(SMOLLM2, 6, 16, 128, 64), "1.5B": _case(QWEN_15B, 6, 8, 128, 16)},
        long=LongRows(QWEN3_06B, 16_384),
        groups=Groups(SMOLLM2, (512, 2048), 8, 256, 5, 12),
        checked=_case(SMOLLM2, 6, 4, 64, 8),
        sampled=_case(SMOLLM2, 6, 16, 128, 64),
        memory=Memory("Qwen/Qwen2.5-0.5B-Instruct", 8, 1024),
    ),
    "rehearsal": Size(
        steps={name: _case("0.8M", 3, 2, 8, 8, steps=1) for name in ("135M", "1.5B")},
        long=LongRows(QWEN3_SMALL, 256, steps=1),
        groups=Groups("0.8M", (16, 64), 8, 8, 1, 2),
        checked=_case("0.8M", 3, 2, 8, 8),
        sampled=_case("0.8M", 3, 2, 8, 8),
        memory=Memory(QWEN2_SMALL, 4, 256),
    ),
}
