"""The training jobs of a study on other numbers of nodes, with as many ranks on each as the study has on one.

A sharded model is shown in both layouts, shared by all ranks (fsdp2) and by those of each node (hsdp).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from chord.errors import UserError
from chord.plan.memory import needs
from chord.plan.rank import GIB
from chord.plan.speed import BANDWIDTH_SHARE, COMPUTE_SHARE
from chord.plan.stage_time import StageTime, method_time
from chord.plan.text import aligned, hours_text
from chord.plan.traffic import LINK_SHARE, Traffic
from chord.plan.verdict import refusals
from chord.plan.work import planned_methods, work
from chord.study import Study
from chord.training.scale.scale_spec import Scale

HEADER = "nodes GPUs sharding GiB inside between sampling updates hours at-limit GPU-hours".split()


@dataclass(frozen=True)
class Layout:
    """Training jobs on a number of nodes, and the longest run among those of all methods."""

    nodes: int
    gpus: int  # of a job
    sharding: str
    memory: float  # bytes of a GPU in its fullest moment
    longest: str  # the method of the longest run
    step: Traffic  # of one of its steps, with the syncs
    start_seconds: float
    time: StageTime
    problems: list[str]  # why jobs of this layout could not run

    @property
    def seconds(self) -> float:
        return self.start_seconds + self.time.seconds

    @property
    def gpu_hours(self) -> float:
        return self.seconds / 3600 * self.gpus


def layouts(study: Study, nodes: Sequence[int]) -> list[Layout]:
    """The layouts for these numbers of nodes. UserError if there are none: no GPU, no training, a server."""
    if study.gpu is None or not any(map(study.trains, planned_methods(study))):
        raise UserError(f"{study.name}: --nodes: expected a study that trains, with a GPU under cost.gpu")
    if any(count < 1 for count in nodes):
        raise UserError(f"{study.name}: --nodes: expected numbers from 1, got {' '.join(map(str, nodes))}")
    try:
        return [_layout(study, scale) for count in nodes for scale in _scales(study.settings.training.scale, count)]
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"{study.name}: --nodes: training.scale: {message}") from None


def _scales(scale: Scale, nodes: int) -> Iterator[Scale]:
    several = nodes > 1 and scale.ranks_per_node > 1
    for sharding in ["fsdp2", *(["hsdp"] if several else [])] if scale.shards_weights else ["none"]:
        changed = {"nodes": nodes, "ranks": nodes * scale.ranks_per_node, "sharding": sharding}
        yield Scale.model_validate(scale.model_dump() | changed)


def _layout(study: Study, scale: Scale) -> Layout:
    settings = study.settings
    training = settings.training.model_copy(update={"scale": scale})
    cost = settings.cost.model_copy(update={"gpus": max(settings.cost.gpus, scale.gpus)})
    study = replace(study, settings=settings.model_copy(update={"training": training, "cost": cost}))
    methods = planned_methods(study)
    trained = {name: method_time(study, name) for name in methods if study.trains(name)}
    longest = max(trained, key=lambda name: trained[name].seconds)
    unequal = {study.methods[name].stage.divisibility_error(scale.ranks) for name in trained} - {None}
    return Layout(
        nodes=scale.nodes,
        gpus=scale.gpus,
        sharding=scale.sharding,
        memory=max(need.memory.total for need in needs(study, methods) if need.rule == "train" and not need.in_machine),
        longest=longest,
        step=trained[longest].exchanged * (1 / work(study, longest).steps),
        start_seconds=cost.start_seconds,
        time=trained[longest],
        problems=[*sorted(unequal), *refusals(study)],
    )


def layouts_record(study: Study, nodes: Sequence[int]) -> dict:
    """The layouts as one JSON object, unrounded."""
    return {"study": study.name, "gpu": study.gpu and study.gpu.name, "layouts": [*map(_record, layouts(study, nodes))]}


def _record(layout: Layout) -> dict:
    time = layout.time
    return {
        "nodes": layout.nodes,
        "gpus": layout.gpus,
        "sharding": layout.sharding,
        "memory_bytes": layout.memory,
        "longest_run": layout.longest,
        "step_bytes_inside": layout.step.inside,
        "step_bytes_between": layout.step.between,
        "sampling_seconds": time.sampling,
        "update_seconds": time.updates,
        "sync_seconds": time.syncs,
        "seconds": layout.seconds,
        "seconds_at_limit": layout.seconds + time.waiting,
        "gpu_hours": layout.gpu_hours,
        "problems": layout.problems,
    }


def layouts_text(study: Study, nodes: Sequence[int]) -> str:
    """The layouts as a table."""
    every = layouts(study, nodes)
    gpu, names = study.gpu, ", ".join(dict.fromkeys(layout.longest for layout in every))
    of_a_node = study.settings.training.scale.gpus_per_node
    rows = aligned([HEADER, *map(_row, every)], right=[0, 1, *range(3, len(HEADER))])
    problems = [f"  {layout.nodes} nodes, {layout.sharding}: {line}" for layout in every for line in layout.problems]
    return "\n".join(
        [
            f"{study.name} on nodes of {of_a_node} {gpu.name}: the longest run ({names})",
            "",
            *rows,
            *(["", "Not possible", *problems] if problems else []),
            "",
            "GiB: the fullest moment of a GPU. inside, between: GB that a GPU receives in a step, from its",
            "node and from others. Hours of sampling, of updates, and of the run with its start and syncs;",
            "at-limit: if in each step one response has the maximal length, for which the others wait.",
            f"Assumed: a token is sampled at {BANDWIDTH_SHARE:.0%} of {gpu.bandwidth_gb_s:,g} GB/s, updates compute at "
            f"{COMPUTE_SHARE:.0%} of {gpu.bf16_tflops:g} TFLOPS,",
            f"links have {LINK_SHARE:.0%} of {gpu.link_gb_s:g} GB/s inside a node and of {gpu.network_gb_s:g} GB/s "
            "between nodes, for each GPU.",
        ]
    )


def _row(layout: Layout) -> list[str]:
    time = layout.time
    hours = [time.sampling, time.updates, layout.seconds, layout.seconds + time.waiting]
    return [
        str(layout.nodes),
        str(layout.gpus),
        layout.sharding,
        f"{layout.memory / GIB:.1f}",
        f"{layout.step.inside / 1e9:,.0f}",
        f"{layout.step.between / 1e9:,.1f}",
        *(hours_text(seconds / 3600) for seconds in hours),
        hours_text(layout.gpu_hours),
    ]
