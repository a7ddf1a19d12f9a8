"""Compares the memory that a study's jobs need, with the longest rows that its settings allow, to what they have."""

from dataclasses import dataclass

from chord.plan.rank import BF16, CPU_PROCESS, FP32, GIB, GPU_PROCESS, Memory, Rank, generate, vllm
from chord.rollouts.backends import VllmBackend
from chord.study import Benchmark, Study
from chord.training.scale.scale_spec import Scale, ServerRollouts
from chord.training.train_spec import Stage


def rank(study: Study, stage: Stage, scale: Scale | None = None) -> Rank:
    """A rank of a training job. scale: default: the study's, here and below."""
    scale = scale or study.settings.training.scale
    return Rank(study.shape, scale, stage.lora, study.gpu is not None, len(stage.frozen_models), stage.kept_gradients)


def reads_experts(stage: Stage) -> bool:
    return any(rows != "prompts" for rows in stage.inputs)


def longest(study: Study, stage: Stage) -> int:
    """Tokens of the longest row on which a stage trains."""
    lengths = [study.experts.max_response_tokens] if reads_experts(stage) else []
    if stage.uses_rollouts:
        lengths.append(rollout_tokens(study, stage))
    return study.settings.cost.prompt_tokens + max(lengths)


def rollout_tokens(study: Study, stage: Stage) -> int:
    """Tokens of the longest rollout, with what it continues of an expert's trace."""
    prefix = study.experts.max_response_tokens if stage.uses_experts and stage.router.prefixes else 0
    return prefix + stage.decoding.max_response_tokens


def largest_pass(study: Study, stage: Stage) -> int:
    """Tokens of a stage's largest micro-batch; a row that is longer than the setting has one of its own."""
    return max(stage.micro_batch_tokens, longest(study, stage))


def update(study: Study, stage: Stage, scale: Scale | None = None) -> Memory:
    """Memory of the backward pass of a training stage's largest micro-batch."""
    return rank(study, stage, scale).update(largest_pass(study, stage))


def validation(study: Study, stage: Stage, rows: int | None = None, scale: Scale | None = None) -> Memory:
    """Memory while a training job answers validation rows. rows: number sampled together (default: the study's)."""
    settings = study.settings.validation
    tokens = study.settings.cost.prompt_tokens + settings.decoding.max_response_tokens
    return rank(study, stage, scale).sampling(rows or settings.batch_rows, tokens)


def rollouts(study: Study, stage: Stage, rows: int | None = None, scale: Scale | None = None) -> Memory:
    """Memory while a hybrid stage samples rollouts. rows: number sampled together (default: the stage's)."""
    tokens = study.settings.cost.prompt_tokens + rollout_tokens(study, stage)
    return rank(study, stage, scale).sampling(rows or stage.generate_batch_rows, tokens)


def server(study: Study, stage: Stage) -> Memory:
    """Memory of each GPU of a vLLM server that samples for a training job."""
    limits = [study.settings.validation.decoding.max_response_tokens]
    if stage.uses_rollouts:
        limits.append(rollout_tokens(study, stage))
    return vllm(study.shape, study.settings.training.scale.rollouts, study.settings.cost.prompt_tokens + max(limits))


def answers(study: Study, benchmark: Benchmark, rows: int | None = None) -> Memory:
    """Memory of one device of `generate`. rows: number sampled together (default: the benchmark's)."""
    shape, engine = study.shape, study.settings.generation
    tokens = study.settings.cost.prompt_tokens + benchmark.decoding.max_response_tokens
    if engine.kind == "server":  # its model is on another machine
        return Memory(process=CPU_PROCESS)
    if isinstance(engine, VllmBackend):
        return vllm(shape, engine, tokens)
    head, cache = generate(shape, rows or benchmark.batch_rows, tokens)
    process = GPU_PROCESS if study.gpu else CPU_PROCESS
    return Memory(weights=FP32 * shape.parameters(), head=head, cache=cache, process=process)


def vllm_rows(study: Study, engine: VllmBackend, length: int) -> int:
    """The number of answers of this length that vLLM can sample at once; at least one."""
    devices = engine.tensor_parallel_size
    free = study.gpu.memory_gib * GIB * 0.9 - BF16 * study.shape.parameters() / devices  # vLLM's own default
    room = devices * (engine.kv_cache_gib * GIB if engine.kv_cache_gib else free)
    return max(1, int(room / (BF16 * (study.settings.cost.prompt_tokens + length) * study.shape.cache_values())))


@dataclass(frozen=True)
class Need:
    """The memory that some jobs need, which all need the same."""

    rule: str
    phase: str  # phase of the job in which it needs the memory
    jobs: tuple[str, ...]  # methods, or benchmarks of `generate`
    memory: Memory

    @property
    def job_names(self) -> str:
        first, *more = self.jobs
        return f"{first} and {len(more)} more" if more else first

    @property
    def in_machine(self) -> bool:
        """Whether a job that has GPUs needs the machine's memory instead of a GPU's."""
        return self.phase == "in the machine"


def capacity(study: Study, need: Need) -> float:
    """Bytes that are available: on a GPU, or as requested of the machine, which a job's processes on it share."""
    if study.gpu and not need.in_machine:
        return study.gpu.memory_gib * GIB
    processes = study.settings.training.scale.ranks_per_node if need.rule == "train" and not study.gpu else 1
    return study.resources(need.rule).mem_mb * 1e6 / processes


def needs(study: Study, methods: list[str]) -> list[Need]:
    """The needs of all jobs of these methods; jobs with equal needs are one entry."""
    names: dict[tuple[str, str, Memory], list[str]] = {}
    for method in methods:
        stage = study.methods[method].stage
        if stage is None:
            continue
        phases = {"validation": validation(study, stage)}
        if stage.uses_rollouts:
            phases["rollouts"] = rollouts(study, stage)
        phases["update"] = update(study, stage)
        if isinstance(study.settings.training.scale.rollouts, ServerRollouts):
            phases["server"] = server(study, stage)
        if study.gpu:
            phases["in the machine"] = rank(study, stage).in_machine
        for phase, memory in phases.items():
            names.setdefault(("train", phase, memory), []).append(method)
    for benchmark in study.benchmarks.values():
        names.setdefault(("generate", "answers", answers(study, benchmark)), []).append(benchmark.name)
    return [Need(rule, phase, tuple(jobs), memory) for (rule, phase, memory), jobs in names.items()]
