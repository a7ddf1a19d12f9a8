"""Memory of one process of a job, part by part, for the longest sequences that the settings allow.

What the code does today, and no more: every process holds the whole model in fp32 with AdamW's two moments; a GPU
computes in bf16 autocast; no activation is recomputed; log-probabilities never hold the whole logits. docs/plan.md has
the method and its measured error.
"""

from dataclasses import dataclass, fields, replace

from chord.rollouts.backends import VllmBackend
from chord.study import Benchmark, Study
from chord.study.hardware import ModelShape
from chord.training.spec import SftStage, Stage

GIB = 2**30
FP32, BF16 = 4, 2
HEAD_TOKENS, HEAD_VOCABULARY = 4096, 32768  # TRL's tile of the output layer
# Bytes of an element of that tile: torch's operations on a CPU hold eight of them at a time (from the measured peaks),
# its kernel on a GPU folds the tile where it lies (assumed: and one copy).
HEAD_BYTES = {"fp32": 8 * FP32, "bf16": 2 * BF16}
# Bytes that a layer keeps of a token for the backward pass, for each unit of the hidden size, the MLP's and the
# queries': counted from saved tensors of transformers' Qwen2 (tests/unit/test_plan_memory.py counts again).
KEPT = {"fp32": (24, 16, 16), "bf16": (26, 8, 8)}
CPU_PROCESS = 0.6 * GIB  # a training process before its model: torch, transformers, TRL
GPU_PROCESS = 1.0 * GIB  # context and kernels; assumed
FRAGMENTS = 0.05  # of the memory, lost between blocks; assumed


@dataclass(frozen=True)
class Memory:
    """Bytes of one process at its fullest moment."""

    weights: float = 0.0
    gradients: float = 0.0
    optimizer: float = 0.0
    casts: float = 0.0  # of the weights to bf16, kept for the backward pass
    activations: float = 0.0
    head: float = 0.0  # output layer: a tile of logits and the layer's gradient; in sampling the logits
    cache: float = 0.0  # keys and values
    process: float = 0.0

    @property
    def total(self) -> float:
        return sum(getattr(self, part) for part in PARTS) * (1 + FRAGMENTS)


PARTS = tuple(field.name for field in fields(Memory))


def precision(study: Study) -> str:
    return "fp32" if study.gpu is None else "bf16"


def capacity(study: Study, rule: str) -> float:
    """Bytes that a job of this rule can have in one device: of the GPU, or what it asks for of the machine."""
    return study.gpu.memory_gib * GIB if study.gpu else study.resources(rule).mem_mb * 1e6


def value_bytes(engine: str) -> int:
    """Of a weight, key or value of a model that answers: trained weights are fp32, which vLLM turns into 16 bits."""
    return FP32 if engine == "huggingface" else BF16


def reads_experts(stage: Stage) -> bool:
    return any(rows != "prompts" for rows in stage.inputs)


def longest(study: Study, stage: Stage) -> int:
    """Tokens of the longest row that a stage trains on."""
    lengths = [study.experts.max_response_tokens] if reads_experts(stage) else []
    if not isinstance(stage, SftStage):
        lengths.append(stage.decoding.max_response_tokens)
    return study.settings.cost.prompt_tokens + max(lengths)


def update(study: Study, stage: Stage) -> Memory:
    """The backward pass of a training stage, over a micro-batch of its longest rows."""
    return update_of(study.shape, precision(study), stage.micro_batch_rows, longest(study, stage))


def update_of(shape: ModelShape, precision: str, rows: int, length: int) -> Memory:
    """precision: fp32 (CPU) or bf16 (GPU). rows x length: tokens of a micro-batch."""
    parameters = shape.parameters()
    half = precision == "bf16"
    width = BF16 if half else FP32
    # With padding every layer keeps a mask of all pairs; a row alone needs none.
    masks = rows * length**2 * width * shape.num_hidden_layers if rows > 1 else 0
    # One layer's gradients: of the MLP's three products and of the residual stream.
    passing = rows * length * (3 * shape.intermediate_size + 2 * shape.hidden_size) * width
    tile = min(rows * length, HEAD_TOKENS) * min(shape.vocab_size, HEAD_VOCABULARY)
    return Memory(
        weights=FP32 * parameters,
        gradients=FP32 * parameters,
        optimizer=2 * FP32 * parameters,
        casts=BF16 * parameters if half else 0,
        activations=rows * length * kept(shape, precision) * shape.num_hidden_layers + masks + passing,
        head=shape.vocab_size * shape.hidden_size * FP32 + tile * HEAD_BYTES[precision],
        process=GPU_PROCESS if half else CPU_PROCESS,
    )


def kept(shape: ModelShape, precision: str) -> int:
    """Bytes that one layer keeps of a token; of a mixture of experts those of the experts that a token meets."""
    hidden, mlp, query = KEPT[precision]
    met = shape.intermediate_size * shape.num_experts_per_tok
    return hidden * shape.hidden_size + mlp * met + query * shape.query


def sharded(study: Study, stage: Stage, gpus: int) -> Memory:
    """What `update` would be with everything of the model shared by so many GPUs and every layer computed again in the
    backward pass. The code cannot do either; it tells a lab whether that would be enough."""
    whole, shape = update(study, stage), study.shape
    inputs = stage.micro_batch_rows * longest(study, stage) * shape.hidden_size * FP32 * shape.num_hidden_layers
    return replace(
        whole,
        weights=whole.weights / gpus,
        gradients=whole.gradients / gpus,
        optimizer=whole.optimizer / gpus,
        casts=whole.casts / gpus + whole.casts / shape.num_hidden_layers,
        activations=inputs + whole.activations / shape.num_hidden_layers,
    )


def rollouts(study: Study, rows: int, length: int) -> Memory:
    """Sampling from the model in training, between two updates: weights and moments, no gradients."""
    shape = study.shape
    tokens = study.settings.cost.prompt_tokens + length
    return Memory(
        weights=FP32 * shape.parameters(),
        optimizer=2 * FP32 * shape.parameters(),
        head=4 * FP32 * rows * shape.vocab_size,  # logits, probabilities, their sum and the choice
        cache=FP32 * rows * tokens * shape.cache_values() * 1.5,  # rows that go on are copied once half has ended
        process=GPU_PROCESS if study.gpu else CPU_PROCESS,
    )


def answers(study: Study, benchmark: Benchmark) -> Memory:
    """Of one device in `generate`; for vLLM what one longest answer needs, as it fits its batches to the rest."""
    shape, engine = study.shape, study.settings.generation
    tokens = study.settings.cost.prompt_tokens + benchmark.decoding.max_response_tokens
    if engine.kind == "server":  # its model is elsewhere
        return Memory(process=CPU_PROCESS)
    if isinstance(engine, VllmBackend):
        devices = engine.tensor_parallel_size
        tokens = max(tokens, engine.max_model_len or shape.max_position_embeddings)
        return Memory(
            weights=BF16 * shape.parameters() / devices,
            cache=BF16 * tokens * shape.cache_values() / devices,
            process=GPU_PROCESS,
        )
    rows = benchmark.batch_rows
    return Memory(
        weights=FP32 * shape.parameters(),
        head=4 * FP32 * rows * shape.vocab_size,
        cache=FP32 * rows * tokens * shape.cache_values() * 1.5,
        process=GPU_PROCESS if study.gpu else CPU_PROCESS,
    )


def evaluation_rows(study: Study, length: int) -> int:
    """Answers of this length that vLLM can have under way at once on one GPU; at least one."""
    free = capacity(study, "generate") * 0.9 - BF16 * study.shape.parameters()
    return max(1, int(free / (BF16 * (study.settings.cost.prompt_tokens + length) * study.shape.cache_values())))


@dataclass(frozen=True)
class Need:
    """The memory of some jobs that need the same, and the settings that it hangs on."""

    rule: str
    phase: str  # of the job
    jobs: tuple[str, ...]  # methods, or benchmarks of `generate`
    memory: Memory

    @property
    def named(self) -> str:
        first, *more = self.jobs
        return f"{first} and {len(more)} more" if more else first


def needs(study: Study, methods: list[str]) -> list[Need]:
    """Of every job of these methods; those that need the same together."""
    found: dict[tuple[str, str, Memory], list[str]] = {}
    for method in methods:
        stage = study.methods[method].stage
        if stage is None:
            continue
        validation = study.settings.validation
        length = validation.decoding.max_response_tokens
        sampled = {"validation": rollouts(study, validation.batch_rows, length)}
        if not isinstance(stage, SftStage):
            sampled["rollouts"] = rollouts(study, stage.generate_batch_rows, stage.decoding.max_response_tokens)
        for phase, memory in (sampled | {"update": update(study, stage)}).items():
            found.setdefault(("train", phase, memory), []).append(method)
    for benchmark in study.benchmarks.values():
        found.setdefault(("generate", "answers", answers(study, benchmark)), []).append(benchmark.name)
    return [Need(rule, phase, tuple(jobs), memory) for (rule, phase, memory), jobs in found.items()]
