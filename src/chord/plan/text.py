"""Writes the plan as aligned text."""

from collections.abc import Iterable, Sequence

from chord.data.rows_spec import PrepareSpec
from chord.io.devices import available_cores
from chord.plan.disk_space import disk
from chord.plan.job_counts import estimated_minutes, job_gpus, jobs, spent_and_wall_minutes
from chord.plan.memory import Need, needs
from chord.plan.rank import GIB, PARTS
from chord.plan.work import planned_methods, questions, work
from chord.study import Benchmark, Study
from chord.training.scale.scale_spec import OwnRollouts, Scale


def plan_text(study: Study, cores: int | None = None) -> str:
    """The plan of a study. cores: number of single-threaded jobs that run at once (default: this process's cores)."""
    cores = cores or available_cores()
    settings, gpu = study.settings, study.gpu
    lines = [f"{study.name}: {study.title}", *([] if study.meaningful else ["Its numbers mean nothing."]), ""]
    shape = f"   {study.shape.parameters():,} parameters" if study.shape else ""
    lines += aligned(
        [
            ["model", f"{study.model}{shape}"],
            ["seeds", f"{len(study.seed_indices)} (study seed {settings.seed})"],
            ["prompts", _prompts_text(study.data)],
            *([] if settings.training.scale == Scale() else [["training", _scale_text(settings.training.scale)]]),
        ]
    )
    lines += ["", "Methods: one run of the last stage (multiply by the number of seeds)"]
    header = ["", "stages", "steps", "rollouts", "expert rows", "passes", "weighted", "tokens at most"]
    rows = [_method_row(study, method) for method in planned_methods(study)]
    lines += aligned([[*header, "GPU-hours*" if gpu else "minutes*"], *rows], right=range(2, 9))
    if study.priming:
        minutes = sum(estimated_minutes(study, job) for job in ("train", "start_gates"))
        time = f"{_time(study, 'train', minutes)} {'GPU-hours' if gpu else 'minutes'}*"
        lines += [f"  Priming, once: {study.data.priming:,} expert rows, {time} with its gates"]
    lines += ["", "Benchmarks: one run"]
    header = ["", "questions", "k", "samples", "tokens at most", "temperature", "top-p", "decoding"]
    lines += aligned([header, *map(_benchmark_row, study.benchmarks.values())], right=range(1, 7))
    if settings.protocols:
        lines += ["", "Protocols: training settings of all methods in a comparison"]
        lines += aligned([[name, protocol.title] for name, protocol in settings.protocols.items()])
    if study.shape:
        where = f"one {gpu.name} ({gpu.memory_gib:g} GiB), and of the machine for a job" if gpu else "one process"
        lines += ["", f"Memory of {where}, in GiB, for the longest rows that the settings allow*"]
        header = ["", "for", *PARTS, "in all"]
        rows = [_need_row(need) for need in needs(study, planned_methods(study))]
        lines += aligned([header, *rows], right=range(2, len(header)))
        lines += ["", "Disk, in GiB*"]
        lines += aligned([[what, f"{size / GIB:,.2f}"] for what, size in disk(study).items()], right=[1])
    lines += ["", "Comparisons: from scratch, each with the jobs that it shares with others"]
    sizes = (
        ["GPU-hours*", f"hours on {settings.cost.gpus} GPU{'s' * (settings.cost.gpus > 1)}*"]
        if gpu
        else ["core-minutes*", f"minutes on {cores} cores*"]
    )
    header = ["", "paper", "runs", "jobs", *sizes]
    every = {name: (study.comparisons[name].paper, jobs(study, [name])) for name in study.regular}
    if len(every) > 1:
        every["all"] = ("", jobs(study, study.regular))
    on_demand = [name for name in study.comparisons if name not in study.regular]
    every |= {name: (f"{study.comparisons[name].paper}; not part of all", jobs(study, [name])) for name in on_demand}
    rows = [_size_row(study, name, *shown, cores) for name, shown in every.items()]
    lines += aligned([header, *rows], right=range(2, 6))
    lines += _late_jobs(study, every)
    origin = (
        f"Derived from the data sheet of {gpu.name} (docs/plan.md), not measured"
        if gpu
        else f"Speeds were measured on: {settings.cost.measured_on}"
    )
    lines += ["", f"* An estimate. {origin}."]
    return "\n".join(lines)


def _prompts_text(data: PrepareSpec) -> str:
    priming = f"   priming {data.priming:,}" if data.priming else ""
    return f"SFT {data.sft:,}   RL {data.rl:,}   validation {data.validation:,}{priming}"


def _scale_text(scale: Scale) -> str:
    """The scale of one training job in words."""
    engine = scale.rollouts
    parts = [
        f"{scale.ranks} rank{'s' * (scale.ranks > 1)}",
        *([f"{scale.nodes} nodes"] if scale.nodes > 1 else []),
        *([] if scale.sharding == "none" else [scale.sharding]),
        *(["cpu offload"] if scale.cpu_offload else []),
        *(["layers recomputed"] if scale.gradient_checkpointing else []),
        *([] if scale.precision is None else [scale.precision]),
        *([] if isinstance(engine, OwnRollouts) else [f"rollouts by {engine.kind}"]),
    ]
    return ", ".join(parts)


def _method_row(study: Study, method: str) -> list[str]:
    if not study.trains(method):
        return [method, f"{study.first_start(method)}, as it is", *[""] * 7]
    chain = " > ".join([study.first_start(method), *(step.stage.kind for step in study.chain(method))])
    counts = work(study, method)
    return [
        method,
        chain,
        f"{counts.steps:,}",
        f"{counts.rollouts:,}",
        f"{counts.expert_rows:,}",
        f"{counts.expert_passes:.1f}",
        f"{counts.expert_weight:,.0f}",
        f"{counts.max_tokens:,}",
        _time(study, "train", estimated_minutes(study, "train", method)),
    ]


def _time(study: Study, rule: str, minutes: float) -> str:
    """The minutes of a job, or its GPU-hours if the study is planned for a GPU."""
    return hours_text(minutes / 60 * job_gpus(study, rule)) if study.gpu else f"{minutes:.1f}"


def _late_jobs(study: Study, every: dict[str, tuple[str, dict[str, list[float]]]]) -> list[str]:
    """A line for each rule whose longest job needs more than the time limit in its resources."""
    longest: dict[str, float] = {}
    for _, by_rule in every.values():
        for rule, minutes in by_rule.items():
            longest[rule] = max([longest.get(rule, 0.0), *minutes])
    return [
        f"  {rule}: the longest job takes about {hours_text(minutes / 60)} hours, but resources.{rule}.minutes allows "
        f"{hours_text(study.resources(rule).minutes / 60)}; if it is started again, it resumes"
        for rule, minutes in longest.items()
        if minutes > study.resources(rule).minutes
    ]


def hours_text(hours: float) -> str:
    return f"{hours:,.1f}" if hours >= 10 else f"{hours:.2f}"


def _need_row(need: Need) -> list[str]:
    parts = [getattr(need.memory, part) / GIB for part in PARTS]
    return [
        f"{need.rule}, {need.phase}",
        need.job_names,
        *(f"{part:,.2f}" for part in [*parts, need.memory.total / GIB]),
    ]


def _benchmark_row(benchmark: Benchmark) -> list[str]:
    samples = questions(benchmark) * benchmark.k
    limit = samples * benchmark.decoding.max_response_tokens
    numbers = [questions(benchmark), benchmark.k, samples, limit]
    sampling = [f"{benchmark.decoding.temperature:g}", f"{benchmark.decoding.top_p:g}", benchmark.decoding_name]
    return [benchmark.name, *(f"{number:,}" for number in numbers), *sampling]


def _size_row(study: Study, title: str, paper: str, by_rule: dict[str, list[float]], cores: int) -> list[str]:
    """The times are in hours of GPUs, or in minutes of cores."""
    sizes = spent_and_wall_minutes(study, by_rule, cores)
    times = [hours_text(minutes / 60) if study.gpu else f"{minutes:,.0f}" for minutes in sizes]
    return [title, paper, f"{len(by_rule['train']):,}", f"{sum(map(len, by_rule.values())):,}", *times]


def aligned(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Rows as aligned lines. right: the columns that are aligned at their right."""
    right = set(right)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]  # fmt: skip
