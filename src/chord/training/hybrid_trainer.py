"""The hybrid stage: one optimizer step of a_rl * L_rl + a_ex * L_ex (arXiv 2508.11408, eq. 3) on TRL's GRPOTrainer.

TRL gives the loop, rewards, group-normalised advantages, optimizer, checkpoints and distribution; the loss stands in
`chord.objectives.hybrid`, its passes in `chord.training.response_passes`, rollouts in `chord.training.rollout_terms`.
Work that cannot change the gradient is left out: no rollouts where a_rl = 0, no expert rows where a_ex = 0, no pass
through groups whose rewards are equal.
"""

import warnings
from random import Random

from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer

from chord.errors import UserError
from chord.io.seeds import derive_seed
from chord.objectives import RunStatistics, Separate
from chord.rollouts import Engine
from chord.training.frozen_model import FrozenModel
from chord.training.micro_batches import Term
from chord.training.resume.trainer_state import TrainerState
from chord.training.rollout_terms import RolloutTerms
from chord.training.run_statistics import run_statistics
from chord.training.sequences import Sequence, row_order
from chord.training.train_spec import HybridStage
from chord.training.waiting import Waiting


class HybridTrainer(RolloutTerms, TrainerState, GRPOTrainer):
    """GRPOTrainer whose optimizer step also learns from expert sequences."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        args: GRPOConfig,
        stage: HybridStage,
        engine: Engine,
        prompts: list[dict],
        experts: list[Sequence],
        seed_parts: tuple[int, int],
        teacher: FrozenModel | None = None,
    ):
        """prompts: RL rows (docs/files.md), with `teacher_messages` if the policy teaches itself. experts: encoded
        expert rows; if the stage reads traces, one for each prompt, in the order of the prompts and with its reward.
        seed_parts: (study seed, seed index). teacher: another model that teaches the rollouts.

        UserError if the schedule holds all expert rows out.
        """
        self.stage = stage
        self.teacher = teacher
        self.objective = stage.objective
        self.engine = engine
        self.prompt_rows = prompts
        self.experts, self.held_out = _split(experts, self.objective.schedule.held_out_rows)
        self.seed_parts = seed_parts
        self.router = self.objective.router if stage.uses_experts else Separate()
        self.waiting = Waiting()
        order = row_order(len(prompts), stage.steps * stage.prompts_per_step, derive_seed(*seed_parts, "prompt order"))
        n_experts = stage.steps * stage.expert_rows_per_step if stage.reads_expert_rows else 0
        self.expert_order = row_order(len(self.experts), n_experts, derive_seed(*seed_parts, "expert order"))
        self.prepare(model)
        with warnings.catch_warnings():
            # TRL marks the hook as experimental; its version is pinned and tests compare with stock TRL.
            warnings.filterwarnings("ignore", message="You are using 'rollout_func'", category=UserWarning)
            super().__init__(
                model=model,
                args=args,
                processing_class=tokenizer,
                # The whole stage is one pass over this list, so that resuming is skipping.
                train_dataset=Dataset.from_list([{"prompt": prompts[i]["messages"], "row": i} for i in order]),
                reward_funcs=self._reward,
                rollout_func=self._rollout,
            )
        self.equip()
        if self.router.waits:
            self.add_callback(self.waiting)

    @staticmethod
    def config(stage: HybridStage, world_size: int, **common) -> GRPOConfig:
        """TRL's arguments with which one `training_step` gets all rollouts of this rank's share of the step."""
        if problem := stage.divisibility_error(world_size):
            raise UserError(problem)
        group = stage.rollouts_per_prompt or 2  # if nothing is sampled, the least that TRL accepts
        return GRPOConfig(
            max_steps=stage.steps,
            per_device_train_batch_size=stage.prompts_per_step * group // world_size,
            gradient_accumulation_steps=1,
            num_generations=group,
            max_completion_length=stage.decoding and stage.decoding.max_response_tokens,
            shuffle_dataset=False,
            beta=0.0,
            loss_type="dapo",
            epsilon=stage.clip,
            **common,
        )

    def training_step(self, model, inputs, num_items_in_batch=None) -> Tensor:
        """Sample, score and accumulate the gradient of a whole optimizer step. Returns its loss, detached."""
        self._seconds.clear()
        model.train()
        step = self.state.global_step + 1
        draw = Random(derive_seed(*self.seed_parts, "schedule", step)).random()
        statistics = run_statistics(self.state.log_history, draw)
        if self.objective.schedule.measures(step, statistics):
            nlls = [*statistics.held_out_nlls, self._held_out_nll(model)]
            statistics = statistics._replace(held_out_nlls=nlls)
        sft_step = self.router.waits and len(self.waiting.prompts) >= self.stage.expert_rows_per_step
        a_rl, a_ex = self._weights(step, statistics, sft_step)
        sampled = taught = None
        if a_rl:
            sampled, taught = self._sampled_terms(model, inputs)
            statistics = statistics._replace(reward=self._metrics["train"]["reward"][-1])
            a_rl, a_ex = self._weights(step, statistics, sft_step)
        terms = [sampled] if a_rl else []
        if a_ex:
            terms.append(self._expert_term(model, taught or Term("expert", self._own_rows(step))))
        # Rows of the same groups are one batch: each term is divided by the tokens of both.
        sums = [terms] if self.router.joins else [[term] for term in terms]
        with self.timed("backward_seconds"):
            if len(terms) == 2 and self.objective.schedule.separates != "nothing":
                loss = self.accumulate_apart(
                    model,
                    sums,
                    lambda gradients: self.objective.weights(step, statistics._replace(gradients=gradients)),
                )
            else:
                loss = self.accumulate(model, sums, a_rl, a_ex)
        self.log_values(**self._seconds)
        return loss

    def _weights(self, step: int, statistics: RunStatistics, sft_step: bool) -> tuple[float, float]:
        """(a_rl, a_ex): those of the schedule, but one of them is 0 if the router has SFT steps of their own."""
        a_rl, a_ex = self.objective.weights(step, statistics)
        if not self.router.waits:
            return a_rl, a_ex
        return (0.0, a_ex) if sft_step else (a_rl, 0.0)

    def _own_rows(self, step: int) -> list[Sequence]:
        """This rank's share of a step's expert rows that do not belong to its prompts."""
        n = self.stage.expert_rows_per_step
        chosen = self.waiting.take(n) if self.router.waits else self.expert_order[(step - 1) * n : step * n]
        return [self.experts[i] for i in chosen[self.accelerator.process_index :: self.accelerator.num_processes]]

    def _expert_term(self, model, term: Term) -> Term:
        """The term, with what has to be known before the first backward pass. Its rows on all ranks are logged."""
        ranks = gather_object([(len(term.rows), sum(len(row.response_ids) for row in term.rows))])
        rows, tokens = map(sum, zip(*ranks, strict=True))
        self.log_values(expert_rows=rows, expert_tokens=tokens)
        return self.expert_term(model, term) if rows else term

    def _held_out_nll(self, model) -> float:
        """Mean -log p over the tokens of the held-out expert rows. Logs it."""
        own = self.held_out[self.accelerator.process_index :: self.accelerator.num_processes]
        rows = self.values_by_row(model, Term("expert", own))
        return self._log_mean("held_out_nll", [-logp for tokens in rows for logp in tokens.logp.tolist()])


def _split(experts: list[Sequence], held_out: int) -> tuple[list[Sequence], list[Sequence]]:
    """(the rows to train on, the last rows, which are held out)."""
    n_trained = len(experts) - held_out
    if held_out and n_trained < 1:
        raise UserError(f"schedule.held_out: expected fewer than the {len(experts)} expert rows, got {held_out}")
    return experts[:n_trained], experts[n_trained:]
