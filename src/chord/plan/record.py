"""The plan as one JSON object, for programs (`chord plan --json`). Units are in the names: bytes, minutes."""

from dataclasses import asdict

from chord.io.devices import available_cores
from chord.plan.disk_space import disk
from chord.plan.job_counts import estimated_minutes, job_gpus, jobs, spent_and_wall_minutes
from chord.plan.memory import needs
from chord.plan.rank import PARTS
from chord.plan.verdict import refusals
from chord.plan.work import planned_methods, questions, work
from chord.study import Study


def plan_record(study: Study, cores: int | None = None) -> dict:
    """What plan_text writes, unrounded, and the refusals. cores: as there."""
    cores, shape = cores or available_cores(), study.shape
    return {
        "study": study.name,
        "title": study.title,
        "meaningful": study.meaningful,
        "model": study.model,
        "parameters": shape.parameters() if shape else None,
        "seeds": len(study.seed_indices),
        "prompts": {kind: getattr(study.data, kind) for kind in ("sft", "rl", "validation", "priming")},
        "computes_on": {"gpu": study.gpu.name, "number": study.settings.cost.gpus} if study.gpu else {"cores": cores},
        "methods": [_method(study, method) for method in planned_methods(study)],
        "benchmarks": [
            {
                "name": benchmark.name,
                "questions": questions(benchmark),
                "k": benchmark.k,
                "temperature": benchmark.decoding.temperature,
                "top_p": benchmark.decoding.top_p,
                "max_response_tokens": benchmark.decoding.max_response_tokens,
            }
            for benchmark in study.benchmarks.values()
        ],
        "memory": [
            {"job": need.rule, "phase": need.phase, "of": need.jobs, "bytes": need.memory.total}
            | {f"{part}_bytes": getattr(need.memory, part) for part in PARTS}
            for need in (needs(study, planned_methods(study)) if shape else [])
        ],
        "disk_bytes": disk(study) if shape else {},
        "comparisons": [_comparison(study, name, [name], cores) for name in study.comparisons],
        "all": _comparison(study, "all", study.regular, cores),
        "refusals": refusals(study),
    }


def _method(study: Study, method: str) -> dict:
    if not study.trains(method):
        return {"name": method, "start": study.first_start(method), "stages": []}
    stages = [step.stage.kind for step in study.chain(method)]
    minutes = estimated_minutes(study, "train", method)
    own = {"gpus": job_gpus(study, "train"), "minutes": minutes}
    return {"name": method, "start": study.first_start(method), "stages": stages} | asdict(work(study, method)) | own


def _comparison(study: Study, name: str, comparisons: list[str], cores: int) -> dict:
    by_rule = jobs(study, comparisons)
    spent, wall = spent_and_wall_minutes(study, by_rule, cores)
    return {
        "name": name,
        "runs": len(by_rule["train"]),
        "jobs": {rule: len(minutes) for rule, minutes in by_rule.items()},
        "gpu_minutes" if study.gpu else "core_minutes": spent,
        "minutes": wall,
    }
