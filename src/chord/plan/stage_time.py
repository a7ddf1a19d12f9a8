"""The time of a training job: what its engine samples, its updates, and the weights that it hands to the engine.

It trains on the prompt and response of every row, but rollouts share their prompt: it counts once for as many of them
as a micro-batch holds. The model ignores that rows without advantage are not computed.
"""

from dataclasses import dataclass

from chord.plan.memory import rank, rollout_tokens
from chord.plan.speed import Rows, rollout_seconds, training_seconds, waiting_seconds
from chord.plan.traffic import Traffic, of_pass, of_step, of_sync
from chord.plan.work import Work, response_tokens, stage_work, work
from chord.study import Study
from chord.training.train_spec import HybridStage, Stage


@dataclass(frozen=True)
class StageTime:
    """Seconds of a stage, after the job's start."""

    sampling: float
    updates: float
    syncs: float
    waiting: float  # in addition, if in every call of the engine one response has the maximal length
    exchanged: Traffic  # in updates and syncs

    @property
    def seconds(self) -> float:
        """All responses have their typical length."""
        return self.sampling + self.updates + self.syncs


def method_time(study: Study, method: str) -> StageTime:
    """The time of a method's own stage."""
    stage, response = study.methods[method].stage, response_tokens(study, method)
    return _stage_time(study, stage, work(study, method), response, study.settings.cost.expert_tokens)


def priming_time(study: Study) -> StageTime:
    """Priming teaches the style that the policy answers in: its rows are as long as its responses."""
    stage, response = study.priming.stage, study.settings.cost.response_tokens
    return _stage_time(study, stage, stage_work(study, stage, study.data.priming), response, response)


def _stage_time(study: Study, stage: Stage, counts: Work, response: int, expert_response: int) -> StageTime:
    """response, expert_response: tokens of a response of the policy, and of one that it learns from."""
    cost, scale, validation = study.settings.cost, study.settings.training.scale, study.settings.validation
    together = study.data.validation * validation.k
    sampling = rollout_seconds(study, counts.validated, response, validation.batch_rows, together)
    calls = counts.validated / together
    waiting = calls * waiting_seconds(study, response, validation.decoding.max_response_tokens)
    expert = cost.prompt_tokens + expert_response
    kinds = [Rows(counts.expert_rows * expert, expert)]
    if stage.uses_rollouts:
        together = stage.prompts_per_step * stage.rollouts_per_prompt
        sampling += rollout_seconds(study, counts.rollouts, response, stage.generate_batch_rows, together)
        calls += counts.rollouts / together
        waiting += counts.rollouts / together * waiting_seconds(study, response, rollout_tokens(study, stage))
        row_tokens = response + cost.prompt_tokens / _sharing(stage, cost.prompt_tokens, response)
        kinds.append(Rows(counts.rollouts * row_tokens, cost.prompt_tokens + response))
    full = sum(rows.tokens / max(stage.micro_batch_tokens, rows.length) for rows in kinds)
    # A model that is read without gradient makes one of the three passes that training makes.
    learning = {"reference": kinds[:1], "teacher": kinds[1:]}
    kinds += [Rows(rows.tokens / 3, rows.length) for name in stage.passes_without_gradient for rows in learning[name]]
    micro_batches = max(full, counts.steps * scale.ranks)  # a step begins new ones on every rank
    updating = syncing = Traffic()
    if study.gpu:
        one = rank(study, stage)
        updating = of_pass(one) * (micro_batches / scale.ranks) + of_step(one) * counts.steps
        syncing = of_sync(one) * calls
    return StageTime(
        sampling=sampling,
        updates=training_seconds(study, kinds, micro_batches, stage, updating),
        syncs=syncing.seconds(study.gpu) if study.gpu else 0.0,
        waiting=waiting,
        exchanged=updating + syncing,
    )


def _sharing(stage: HybridStage, prompt: int, response: int) -> int:
    """The number of rollouts that share one computation of their prompt: those of a group that a micro-batch holds."""
    fitting = (stage.micro_batch_tokens - prompt) // response
    return min(max(fitting, 1), stage.rollouts_per_prompt)
