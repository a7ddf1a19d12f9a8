"""What each run does, counted from the configuration: steps, rollouts, expert rows, tokens at most.

Counts are exact where nothing is rejected, tokens are upper bounds. How long responses typically are is the study's own
guess (`cost`): the policy's length until it has met expert rows, and the expert's from then on.
"""

import math
from dataclasses import dataclass

from chord.data.rows_spec import Place
from chord.study import Benchmark, Study
from chord.training.train_spec import SftStage


@dataclass(frozen=True)
class Work:
    """What one run of a method's own stage does; the stages before it belong to the methods it starts from."""

    steps: int
    rollouts: int
    expert_rows: int
    expert_passes: float  # over the expert set
    expert_weight: float  # sum of a_ex over the expert rows: how much of them counts, before token weights and rewards
    validated: int  # completions of validation rows
    max_tokens: int  # sampled, and read from experts, if every response is as long as it may be


def planned_methods(study: Study) -> list[str]:
    """The methods that the target `all` needs, in the study's order."""
    shown = [method for name in study.regular for method in study.comparisons[name].methods]
    needed = {step.name for method in shown for step in study.chain(method)}
    return [method for method in study.methods if method in needed]


def work(study: Study, method: str) -> Work:
    """The work of one run of a method that has a stage."""
    stage = study.methods[method].stage
    if isinstance(stage, SftStage):
        rollouts, rollout_tokens = 0, 0
        expert_rows = stage.epochs * (stage.expert_set or study.data.sft)
        expert_weight = float(expert_rows)
        steps = math.ceil(expert_rows / stage.expert_rows_per_step)
    else:
        steps = stage.steps
        weights = [stage.schedule.weights(step) for step in range(1, steps + 1)]
        # Nothing is sampled at steps where RL has no weight, and no expert row is read where experts have none.
        rollouts, rollout_tokens = 0, 0
        if stage.uses_rollouts:
            rollouts = sum(a_rl > 0 for a_rl, _ in weights) * stage.prompts_per_step * stage.rollouts_per_prompt
            rollout_tokens = stage.decoding.max_response_tokens
        expert_rows = sum(a_ex > 0 for _, a_ex in weights) * stage.expert_rows_of_a_step
        expert_weight = sum(a_ex for _, a_ex in weights) * stage.expert_rows_of_a_step
    expert_set = study.data.rl if "traces" in stage.inputs else stage.expert_set or study.data.sft
    validation = study.settings.validation
    # Before the first step, every so many steps, and after the last one.
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
    """How many; of a dataset what its file says, about. 0 where it says nothing."""
    source = benchmark.data.source
    if isinstance(source, Place):
        return benchmark.questions or 0
    return benchmark.data.rows_per_group * len(source.k if source.kind == "world" else source.groups)


def response_tokens(study: Study, method: str) -> int:
    """Typical length of the responses of a method's policy."""
    met_experts = any(
        study.trains(step.name) and work(study, step.name).expert_rows > 0 for step in study.chain(method)
    )
    return study.settings.cost.expert_tokens if met_experts else study.settings.cost.response_tokens
