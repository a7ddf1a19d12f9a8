"""The hybrid stage: one optimizer step of a_rl * L_rl + a_ex * L_ex (arXiv 2508.11408, eq. 3) on TRL's GRPOTrainer.

TRL gives the loop, rewards, group-normalised advantages, optimizer, checkpoints and distribution; the loss stands in
`chord.objectives.hybrid`, its passes in `chord.training.response_passes`. Work that cannot change the gradient is left
out: no rollouts where a_rl = 0, no expert rows where a_ex = 0, no pass through groups whose rewards are equal.
"""

import warnings
from random import Random
from statistics import fmean

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer

from chord.errors import UserError
from chord.io.seeds import derive_seed
from chord.objectives import RunStatistics
from chord.rollouts import Engine, Sample, encode_prompts
from chord.tasks import judge_samples
from chord.training.frozen_model import FrozenModel
from chord.training.micro_batches import Term
from chord.training.optimizer_step import OptimizerStep
from chord.training.sequences import Sequence, row_order
from chord.training.train_spec import HybridStage


class HybridTrainer(OptimizerStep, GRPOTrainer):
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
        """prompts: RL rows (docs/architecture.md). experts: encoded expert rows; if the router joins them, one for each
        prompt, in the order of the prompts and with its reward. seed_parts: (study seed, seed index). teacher:
        of a stage with a distillation.
        """
        self.stage = stage
        self.teacher = teacher
        self.objective = stage.objective
        self.engine = engine
        self.prompt_rows = prompts
        self.experts = experts
        self.seed_parts = seed_parts
        self.joins = stage.uses_experts and self.objective.router.joins
        self._samples: list[Sample] = []  # of this rank and step
        self._rewards: list[float] = []  # of these samples
        order = row_order(len(prompts), stage.steps * stage.prompts_per_step, derive_seed(*seed_parts, "prompt order"))
        # Expert rows that join a group are those of the step's prompts.
        n_experts = stage.steps * stage.expert_rows_of_a_step
        self.expert_order = (
            order if self.joins else row_order(len(experts), n_experts, derive_seed(*seed_parts, "expert order"))
        )
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
        statistics = RunStatistics(
            sft_norms=[line["grad_norm"] for line in self.state.log_history if line.get("a_rl") == 0.0],
            draw=Random(derive_seed(*self.seed_parts, "schedule", step)).random(),
        )
        a_rl, a_ex = self.objective.weights(step, statistics)
        sampled = joined = None
        if a_rl:
            sampled, joined = self._sampled_terms(model, inputs)
            reward = self._metrics["train"]["reward"][-1]
            a_rl, a_ex = self.objective.weights(step, statistics._replace(reward=reward))
        self.log_values(a_rl=a_rl, a_ex=a_ex, mu=a_ex / (a_rl + a_ex))
        terms = [sampled] if a_rl else []
        if a_ex:
            terms.append(self._expert_term(model, step, joined))
        # Rows of the same groups are one batch: each term is divided by the tokens of both.
        sums = [terms] if self.joins else [[term] for term in terms]
        with self.timed("backward_seconds"):
            loss = self.accumulate(model, sums, a_rl, a_ex)
        self.log_values(**self._seconds)
        return loss

    # Rollouts and rewards: TRL calls these two from `_generate_and_score_completions`.

    def _rollout(self, prompts: list, trainer: GRPOTrainer) -> dict:
        """Sample a response to each of this rank's prompts; each prompt is repeated rollouts_per_prompt times."""
        with self.timed("generate_seconds"):
            k = self.stage.rollouts_per_prompt
            rendered = encode_prompts(self.processing_class, [{"messages": messages} for messages in prompts[::k]])
            prompt_ids = [ids for ids in rendered for _ in range(k)]
            step = self.state.global_step + 1
            first = self.accelerator.process_index * len(prompts)
            seeds = [derive_seed(*self.seed_parts, "rollout", step, first + i) for i in range(len(prompts))]
            samples = self._samples = self.engine.generate(prompt_ids, seeds, self.stage.decoding)
        self._log_mean("entropy", [value for sample in samples for value in _entropies(sample)])
        self._log_mean("truncated", [sample.truncated for sample in samples])
        self._log_mean("response_tokens_mean", [len(sample.token_ids) for sample in samples])
        return {
            "prompt_ids": prompt_ids,
            "completion_ids": [sample.token_ids for sample in samples],
            "logprobs": None,
        }

    def _reward(self, row: list[int], **_) -> list[float]:
        """Judge this rank's samples as evaluation does, not the text that TRL parses with some templates.

        row: the index of each sample's prompt.
        """
        with self.timed("score_seconds"):
            judged = judge_samples(self._tokenizer, [self.prompt_rows[i] for i in row], self._samples)
            self._rewards = [verdict.reward for _, verdict in judged]
        # chord.training.hopeless reads these four, which are of all ranks.
        self._log_mean("unparsed", [not verdict.parsed for _, verdict in judged])
        self._log_mean("right", [verdict.correct for _, verdict in judged])
        rewards = gather_object(self._rewards)
        self.log_values(reward_low=min(rewards), reward_high=max(rewards))
        return self._rewards

    # The two terms.

    def _sampled_terms(self, model, inputs: list[dict]) -> tuple[Term, Term | None]:
        """Rollouts of this rank's share of the step's prompts, and the expert rows that the router joins to them."""
        scored = self._generate_and_score_completions(inputs)
        metrics = self._metrics["train"]
        self.log_values(
            rollouts=len(inputs) * self.accelerator.num_processes,
            reward_mean=metrics["reward"][-1],
            zero_variance_groups=metrics["frac_reward_zero_std"][-1],
        )
        keys = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")
        rows = [
            Sequence(prompt[is_prompt.bool()].tolist(), response[is_response.bool()].tolist())
            for prompt, is_prompt, response, is_response in zip(*(scored[key] for key in keys), strict=True)
        ]
        engine_logps = [sample.logps for sample in self._samples] if self._sampled_elsewhere else None
        k = self.stage.rollouts_per_prompt
        rewards = torch.tensor(self._rewards).view(-1, k)
        if not self.joins:
            # Equal rewards mean advantage 0, but the rounding of TRL's group mean leaves 1e-4 of it.
            mixed = (rewards != rewards[:, :1]).any(1).repeat_interleave(k)
            advantages = scored["advantages"] * mixed.to(scored["advantages"].device)
            return Term("rl", rows, advantages, self._flat(mixed), engine_logps=engine_logps), None
        traces = [self.experts[prompt["row"]] for prompt in inputs[::k]]
        trace_rewards = torch.tensor([trace.reward for trace in traces])
        advantages, trace_advantages = self.objective.router.advantages(
            rewards, trace_rewards, self._row_entropies(model, rows).view_as(rewards)
        )
        advantages, device = advantages.flatten(), self.accelerator.device
        return (
            Term("rl", rows, advantages.to(device), self._flat(advantages), engine_logps=engine_logps),
            Term("expert", traces, trace_advantages.to(device)),
        )

    def _expert_term(self, model, step: int, joined: Term | None) -> Term:
        """This rank's share of the step's expert rows: those that joined its rollouts, or rows of their own."""
        n = self.stage.expert_rows_of_a_step
        rows = [self.experts[i] for i in self.expert_order[(step - 1) * n : step * n]]
        self.log_values(expert_rows=n, expert_tokens=sum(len(row.response_ids) for row in rows))
        term = joined or Term("expert", rows[self.accelerator.process_index :: self.accelerator.num_processes])
        return self.expert_term(model, term)

    def _row_entropies(self, model, rows: list[Sequence]) -> Tensor:
        """Mean token entropy of each rollout, nats, (rows,); zeros if the router does not read it."""
        if not self.objective.router.reads_entropies:
            return torch.zeros(len(rows))
        if self._sampled_elsewhere:
            values = self.values_by_row(model, Term("rl", rows))
            return torch.tensor([tokens.entropy.mean().item() for tokens in values])
        return torch.tensor([fmean(sample.entropies) for sample in self._samples])

    def _flat(self, values: Tensor) -> frozenset[int]:
        """The rollouts without a gradient: where values, (rows,), are 0 or False. A teacher teaches each of them."""
        return frozenset() if self.teacher else frozenset((values == 0).nonzero().flatten().tolist())

    @property
    def _sampled_elsewhere(self) -> bool:
        """Whether an engine with weights of its own sampled: it gives no entropies, and its log-probs may differ."""
        return any(sample.entropies is None for sample in self._samples)

    def _log_mean(self, name: str, values: list) -> None:
        """Log the mean over the values of all ranks."""
        local = torch.tensor([float(sum(values)), len(values)], dtype=torch.float64, device=self.accelerator.device)
        total, count = self.accelerator.reduce(local, "sum").tolist()
        self.log_values(**{name: total / count})


def _entropies(sample: Sample) -> list[float]:
    """For each token, nats. If the engine does not give it: -log p of the token, whose expected value it is."""
    return [-logp for logp in sample.logps] if sample.entropies is None else sample.entropies
