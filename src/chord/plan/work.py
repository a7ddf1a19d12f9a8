"""Counts the work of a run from the configuration: steps, rollouts, expert rows, tokens at most.

The counts are exact if nothing is rejected, and the tokens are upper bounds. A router that chooses its traces
has at most the expert rows that are counted. The typical length of responses is the study's own estimate (`cost`): one
for a policy before it trains on expert rows, and the expert's afterwards.
"""

import math
from dataclasses import dataclass

from chord.data.rows_spec import BfclSource, Place
from chord.study import Benchmark, Study
from chord.study.limits import expert_prompts
from chord.training.train_spec import SftStage, Stage


@dataclass(frozen=True)
class Work:
    """The work of one run of a method's own stage; earlier stages belong to the methods that it starts from."""

    steps: int
    rollouts: int
    expert_rows: int
    expert_passes: float  # over the expert set
    expert_weight: float  # sum of a_ex over the expert rows: their weight before token weights and rewards
    validated: int  # completions of validation rows
    max_tokens: int  # sampled, and read from experts, if every response has the maximal length


def planned_methods(study: Study) -> list[str]:
    """The methods that the target `all` needs, in the study's order."""
    shown = [method for name in study.regular for method in study.comparisons[name].methods]
    needed = {step.name for method in shown for step in study.needed(method)}
    return [method for method in study.methods if method in needed]


def work(study: Study, method: str) -> Work:
    """The work of one run of a method with a stage."""
    stage = study.methods[method].stage
    return stage_work(study, stage, expert_prompts(stage, study.data).count)


def stage_work(study: Study, stage: Stage, expert_rows_there: int) -> Work:
    """The work of one run of a stage. expert_rows_there: all rows of which a step reads some."""
    if isinstance(stage, SftStage):
        rollouts, rollout_tokens = 0, 0
        expert_rows = stage.epochs * (stage.expert_set or expert_rows_there)
        expert_weight = float(expert_rows)
        steps = math.ceil(expert_rows / stage.expert_rows_per_step)
    else:
        steps = stage.steps
        weights = [stage.schedule.weights(step) for step in range(1, steps + 1)]
        # No step samples rollouts if RL has no weight, or reads expert rows if experts have none.
        rollouts, rollout_tokens = 0, 0
        if stage.uses_rollouts:
            rollouts = sum(a_rl > 0 for a_rl, _ in weights) * stage.prompts_per_step * stage.rollouts_per_prompt
            rollout_tokens = stage.decoding.max_response_tokens
        expert_rows = sum(a_ex > 0 for _, a_ex in weights) * stage.expert_rows_of_a_step
        expert_weight = sum(a_ex for _, a_ex in weights) * stage.expert_rows_of_a_step
    expert_set = (
        (stage.expert_set or expert_rows_there) - stage.held_out_rows if stage.reads_expert_rows else study.data.rl
    )
    validation = study.settings.validation
    # Before the first step, every `validate_every` steps, and after the last one.
    validations = 1 + math.ceil(steps / stage.validate_every)
    validated = validations * study.data.validation * validation.k
    return Work(
        steps=steps,
        rollouts=rollouts,
        expert_rows=expert_rows,
        expert_passes=expert_rows / expert_set,
        expert_weight=expert_weight,
        validated=validated,
        max_tokens=rollouts * rollout_tokens
        + expert_rows * study.experts.max_response_tokens
        + validated * validation.decoding.max_response_tokens,
    )


def questions(benchmark: Benchmark) -> int:
    """The number of questions; for a dataset the estimate in the benchmark's file, or 0 without one."""
    source, of_group = benchmark.data.source, benchmark.data.rows_per_group
    if isinstance(source, BfclSource) and of_group:
        return of_group * len(source.categories)
    if isinstance(source, Place):
        return benchmark.questions or 0
    groups = {"world": "k", "skills": "groups", "reasoning_gym": "datasets"}[source.kind]
    return of_group * len(getattr(source, groups))


def response_tokens(study: Study, method: str) -> int:
    """Typical length of the responses of a method's policy."""
    has_seen_experts = any(
        study.trains(step.name) and work(study, step.name).expert_rows > 0 for step in study.chain(method)
    )
    return study.settings.cost.expert_tokens if has_seen_experts else study.settings.cost.response_tokens
