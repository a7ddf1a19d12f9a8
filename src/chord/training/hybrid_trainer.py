"""The hybrid stage: one optimizer step of a_rl * L_rl + a_ex * L_ex (arXiv 2508.11408, eq. 3) on TRL's GRPOTrainer.

TRL gives the loop, rewards, group-normalised advantages, optimizer, checkpoints and distribution; the loss stands in
`chord.objectives.hybrid`, its passes in `chord.training.optimizer_step`. Work that cannot change the gradient is left
out: no rollouts where a_rl = 0, no expert rows where a_ex = 0, no pass through groups whose rewards are equal.
"""

import warnings
from dataclasses import replace
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
from chord.objectives import ExpertPart, ExpertTokens
from chord.rollouts import Engine, Sample, encode_prompts
from chord.tasks import judge_samples
from chord.training.micro_batches import Term, passes
from chord.training.optimizer_step import OptimizerStep, expert_tokens
from chord.training.run_statistics import run_statistics
from chord.training.scale.sharding import is_sharded
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
    ):
        """prompts: RL rows (docs/architecture.md). experts: encoded expert rows; if the router joins them, one for each
        prompt, in the order of the prompts and with its reward. seed_parts: (study seed, seed index).

        UserError if the schedule holds all expert rows out.
        """
        self.stage = stage
        self.objective = stage.objective
        self.engine = engine
        self.prompt_rows = prompts
        self.experts, self.held_out = _split(experts, self.objective.schedule.held_out_rows)
        self.seed_parts = seed_parts
        self.joins = stage.uses_experts and self.objective.router.joins
        self._samples: list[Sample] = []  # of this rank and step
        self._rewards: list[float] = []  # of these samples
        order = row_order(len(prompts), stage.steps * stage.prompts_per_step, derive_seed(*seed_parts, "prompt order"))
        # Expert rows that join a group are those of the step's prompts.
        n_experts = stage.steps * stage.expert_rows_of_a_step
        self.expert_order = (
            order if self.joins else row_order(len(self.experts), n_experts, derive_seed(*seed_parts, "expert order"))
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
        self.read_distributions()

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
        a_rl, a_ex = self.objective.weights(step, statistics)
        sampled = joined = None
        if a_rl:
            sampled, joined = self._sampled_terms(model, inputs)
            statistics = statistics._replace(reward=self._metrics["train"]["reward"][-1])
            a_rl, a_ex = self.objective.weights(step, statistics)
        terms = [sampled] if a_rl else []
        if a_ex:
            terms.append(self._expert_term(model, step, joined))
        # Rows of the same groups are one batch: each term is divided by the tokens of both.
        sums = [terms] if self.joins else [[term] for term in terms]
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
            return Term("rl", rows, advantages, _zeros(mixed), engine_logps=engine_logps), None
        traces = [self.experts[prompt["row"]] for prompt in inputs[::k]]
        trace_rewards = torch.tensor([trace.reward for trace in traces])
        advantages, trace_advantages = self.objective.router.advantages(
            rewards, trace_rewards, self._row_entropies(model, rows).view_as(rewards)
        )
        advantages, device = advantages.flatten(), self.accelerator.device
        return (
            Term("rl", rows, advantages.to(device), _zeros(advantages), engine_logps=engine_logps),
            Term("expert", traces, trace_advantages.to(device)),
        )

    def _expert_term(self, model, step: int, joined: Term | None) -> Term:
        """This rank's share of the step's expert rows: those that joined its rollouts, or rows of their own."""
        n = self.stage.expert_rows_of_a_step
        rows = [self.experts[i] for i in self.expert_order[(step - 1) * n : step * n]]
        self.log_values(expert_rows=n, expert_tokens=sum(len(row.response_ids) for row in rows))
        term = joined or Term("expert", rows[self.accelerator.process_index :: self.accelerator.num_processes])
        if self.objective.token_weight.whole_batch:
            term = replace(term, weights=self._whole_batch_weights(model, term))
        return term

    def _row_entropies(self, model, rows: list[Sequence]) -> Tensor:
        """Mean token entropy of each rollout, nats, (rows,); zeros if the router does not read it."""
        if not self.objective.router.reads_entropies:
            return torch.zeros(len(rows))
        if self._sampled_elsewhere:
            values = self._values_by_row(model, Term("rl", rows))
            return torch.tensor([tokens.entropy.mean().item() for tokens in values])
        return torch.tensor([fmean(sample.entropies) for sample in self._samples])

    def _whole_batch_weights(self, model, term: Term) -> list[Tensor]:
        """For each of this rank's rows, (response tokens,) weights that depend on all expert tokens of the step."""
        weight = self.objective.token_weight
        rows = self._values_by_row(model, term, (weight,))
        ranks = gather_object([ExpertTokens(*map(_joined, zip(*rows, strict=True)))])
        weights = weight(ExpertTokens(*map(_joined, zip(*ranks, strict=True))))
        own = weights.split([len(tokens.logp) for tokens in ranks])[self.accelerator.process_index]
        return list(own.to(self.accelerator.device).split([len(row.response_ids) for row in term.rows]))

    def _values_by_row(self, model, term: Term, readers: tuple[ExpertPart, ...] = ()) -> list[ExpertTokens]:
        """What the readers see of each row's response tokens, (tokens,), without gradient."""
        rows: dict[int, ExpertTokens] = {}
        with self.timed("weigh_seconds"), torch.no_grad():
            split = passes(term.rows, self.stage.micro_batch_tokens, self.shares_prompts)
            if is_sharded(self.accelerator):  # then all ranks take part in every pass
                split += [[0]] * (max(gather_object([len(split)])) - len(split))
            for indices in split:
                values = self.forward(model, [term.rows[i] for i in indices], range(len(indices)), readers)
                tokens = expert_tokens(term, indices, values)
                for place, (i, mask) in enumerate(zip(indices, values.mask, strict=True)):
                    rows[i] = ExpertTokens(*(None if column is None else column[place][mask] for column in tokens))
        return [rows[i] for i in range(len(term.rows))]

    def _held_out_nll(self, model) -> float:
        """Mean -log p over the tokens of the held-out expert rows. Logs it."""
        own = self.held_out[self.accelerator.process_index :: self.accelerator.num_processes]
        rows = self._values_by_row(model, Term("expert", own))
        return self._log_mean("held_out_nll", [-logp for tokens in rows for logp in tokens.logp.tolist()])

    @property
    def _sampled_elsewhere(self) -> bool:
        """Whether an engine with weights of its own sampled: it gives no entropies, and its log-probs may differ."""
        return any(sample.entropies is None for sample in self._samples)

    def _log_mean(self, name: str, values: list) -> float:
        """Log and return the mean over the values of all ranks."""
        local = torch.tensor([float(sum(values)), len(values)], dtype=torch.float64, device=self.accelerator.device)
        total, count = self.accelerator.reduce(local, "sum").tolist()
        self.log_values(**{name: total / count})
        return total / count


def _entropies(sample: Sample) -> list[float]:
    """For each token, nats. If the engine does not give it: -log p of the token, whose expected value it is."""
    return [-logp for logp in sample.logps] if sample.entropies is None else sample.entropies


def _joined(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    """One column of the tokens of several rows or ranks, in the machine's memory; None if nobody reads it."""
    return None if parts[0] is None else torch.cat(parts).cpu()


def _split(experts: list[Sequence], held_out: int) -> tuple[list[Sequence], list[Sequence]]:
    """(the rows to train on, the last rows, which are held out)."""
    n_trained = len(experts) - held_out
    if held_out and n_trained < 1:
        raise UserError(f"schedule.held_out: expected fewer than the {len(experts)} expert rows, got {held_out}")
    return experts[:n_trained], experts[n_trained:]


def _zeros(values: Tensor) -> frozenset[int]:
    """The indices where values, (rows,), are 0 or False."""
    return frozenset((values == 0).nonzero().flatten().tolist())
