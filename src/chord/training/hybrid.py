"""The hybrid stage: one optimizer step of a_rl * L_rl + a_ex * L_ex (arXiv 2508.11408, eq. 3) on TRL's GRPOTrainer.

Stock: the loop, rewards, group-normalised advantages, optimizer, checkpoints, distribution. Ours is `training_step`: it
knows all rollouts and expert rows of the step before the first backward pass. So both terms are divided by their global
token counts, however the rows are split into micro-batches or over ranks, and work that cannot change the gradient is
left out: no rollouts where a_rl = 0, no expert rows where a_ex = 0, no pass through groups whose rewards are equal.
"""

import math
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import Literal

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import FusedCausalLMOutput

from chord.errors import UserError
from chord.io.seeds import derive_seed
from chord.objectives import ExpertTokens, RunStatistics, divisors, expert_loss, hybrid_loss, policy_loss
from chord.rollouts import Engine, Sample, encode_prompts
from chord.tasks import judge_samples
from chord.training.scale.sharding import accumulating, is_sharded
from chord.training.sequences import Sequence, collate, row_order
from chord.training.train_spec import HybridStage


@dataclass(frozen=True)
class Term:
    """This rank's rows of one of the two sums."""

    name: Literal["rl", "expert"]
    rows: list[Sequence]
    live: list[bool]  # rows that are not have no gradient: their tokens count, but are not computed
    advantages: Tensor | None = None  # (rows,): those of rollouts, and of expert rows that join their groups
    weights: list[Tensor] | None = None  # of each row, (response tokens,), where they depend on other expert rows


@dataclass(frozen=True)
class MicroBatch:
    """Rows of one forward pass."""

    term: Term
    indices: list[int]
    count: float  # what their sum is divided by: the global token count, or what a compat rule says
    padding: bool = False  # there because another rank makes as many passes, which sharded weights need of all


@dataclass(frozen=True)
class Rollouts:
    """This rank's rollouts of a step, each prompt's in a row, and the expert rows that join their groups."""

    rows: list[Sequence]
    advantages: Tensor  # (rows,)
    live: list[bool]  # rows whose advantage is not 0
    traces: list[Sequence]  # one for each prompt; none where the router joins none
    trace_advantages: Tensor  # (traces,)


class HybridTrainer(GRPOTrainer):
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
        """prompts: RL rows (docs/architecture.md). experts: encoded expert rows; where the router joins them, one for
        each prompt in the order of the prompts, with its reward. seed_parts: study seed, index.
        """
        self.stage = stage
        self.objective = stage.objective
        self.engine = engine
        self.prompt_rows = prompts
        self.experts = experts
        self.seed_parts = seed_parts
        self.joins = stage.uses_experts and self.objective.router.joins
        order = row_order(len(prompts), stage.steps * stage.prompts_per_step, derive_seed(*seed_parts, "prompt order"))
        # Expert rows that join a group are those of the step's prompts.
        n_experts = stage.steps * stage.expert_rows_of_a_step
        self.expert_order = (
            order if self.joins else row_order(len(experts), n_experts, derive_seed(*seed_parts, "expert order"))
        )
        self._samples: list[Sample] = []  # of this rank and step, and their rewards
        self._step_rewards: list[float] = []
        self._seconds: dict[str, float] = defaultdict(float)
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

    @staticmethod
    def config(stage: HybridStage, world_size: int, **common) -> GRPOConfig:
        """TRL's arguments under which one `training_step` gets all rollouts of this rank's share of the step."""
        if problem := stage.divisibility_error(world_size):
            raise UserError(problem)
        group = stage.rollouts_per_prompt or 2  # the least that TRL takes, where nothing is sampled
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
        rollouts = None
        norms = [line["grad_norm"] for line in self.state.log_history if line.get("a_rl") == 0.0]
        statistics = RunStatistics(
            sft_norms=norms, draw=Random(derive_seed(*self.seed_parts, "schedule", step)).random()
        )
        a_rl, a_ex = self.objective.weights(step, statistics)
        if a_rl:
            rollouts = self._rollouts(model, inputs)
            reward = self._metrics["train"]["reward"][-1]
            a_rl, a_ex = self.objective.weights(step, statistics._replace(reward=reward))
        self._log_values(a_rl=a_rl, a_ex=a_ex, mu=a_ex / (a_rl + a_ex))
        terms = [Term("rl", rollouts.rows, rollouts.live, rollouts.advantages)] if a_rl else []
        if a_ex:
            terms.append(self._expert_term(model, step, rollouts))
        # Rows of the same groups are one batch: each term is divided by the tokens of both.
        sums = [terms] if self.joins else [[term] for term in terms]
        batches = [batch for together in sums for batch in self._micro_batches(together)]
        with self._timed("backward_seconds"):
            loss = self._accumulate(model, batches, a_rl, a_ex)
        self._log_values(**self._seconds)
        return loss

    # Rollouts and rewards. TRL calls these two from `_generate_and_score_completions`.

    def _rollout(self, prompts: list, trainer: GRPOTrainer) -> dict:
        with self._timed("generate_seconds"):
            # Each prompt stands there rollouts_per_prompt times in a row; it needs to be rendered once.
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
        """row: index of each rollout's prompt. Judges what evaluation judges, not what TRL parses by some templates."""
        with self._timed("score_seconds"):
            judged = judge_samples(self._tokenizer, [self.prompt_rows[i] for i in row], self._samples)
            self._step_rewards = [verdict.reward for _, verdict in judged]
        # Of all ranks, for chord.training.hopeless.
        self._log_mean("unparsed", [not verdict.parsed for _, verdict in judged])
        self._log_mean("right", [verdict.correct for _, verdict in judged])
        everywhere = gather_object(self._step_rewards)
        self._log_values(reward_low=min(everywhere), reward_high=max(everywhere))
        return self._step_rewards

    def _rollouts(self, model, inputs: list[dict]) -> Rollouts:
        """Sample and judge this rank's share of the step's prompts."""
        scored = self._generate_and_score_completions(inputs)
        metrics = self._metrics["train"]
        self._log_values(
            rollouts=len(inputs) * self.accelerator.num_processes,
            reward_mean=metrics["reward"][-1],
            zero_variance_groups=metrics["frac_reward_zero_std"][-1],
        )
        keys = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")
        rows = [
            Sequence(prompt[is_prompt.bool()].tolist(), response[is_response.bool()].tolist())
            for prompt, is_prompt, response, is_response in zip(*(scored[key] for key in keys), strict=True)
        ]
        groups = torch.tensor(self._step_rewards).view(-1, self.stage.rollouts_per_prompt)
        device = self.accelerator.device
        if self.joins:
            traces = [self.experts[one["row"]] for one in inputs[:: self.stage.rollouts_per_prompt]]
            rewards = torch.tensor([trace.reward for trace in traces])
            own, of_traces = self.objective.router.advantages(groups, rewards, self._row_entropies(model, rows, groups))
            live = (own != 0.0).flatten().tolist()
            return Rollouts(rows, own.flatten().to(device), live, traces, of_traces.to(device))
        # Equal rewards mean advantage 0. Told from the rewards: the rounding of TRL's group mean leaves 1e-4 of it.
        mixed = (groups != groups[:, :1]).any(1).repeat_interleave(self.stage.rollouts_per_prompt)
        advantages = scored["advantages"] * mixed.to(scored["advantages"].device)
        return Rollouts(rows, advantages, mixed.tolist(), [], advantages[:0])

    def _row_entropies(self, model, rows: list[Sequence], groups: Tensor) -> Tensor:
        """Mean token entropy of each rollout, nats, in the shape of `groups`, where the router reads it."""
        if not self.objective.router.reads_entropies:
            return torch.zeros_like(groups)
        if not self._sampled_elsewhere:
            return torch.tensor([fmean(sample.entropies) for sample in self._samples]).view_as(groups)
        with self._timed("weigh_seconds"), torch.no_grad():
            mean_by_row = {}
            for chunk in self._chunks(rows, [True] * len(rows)):
                outputs = self._forward(model, [rows[i] for i in chunk])
                means = (outputs.entropy * outputs.label_mask).sum(1) / outputs.label_mask.sum(1)
                mean_by_row |= dict(zip(chunk, means.tolist(), strict=True))
        return torch.tensor([mean_by_row[i] for i in range(len(rows))]).view_as(groups)

    # The two terms, and their micro-batches.

    @property
    def _sampled_elsewhere(self) -> bool:
        """By an engine with weights of its own, which knows no entropies and whose log-probs may not be the model's."""
        return any(sample.entropies is None for sample in self._samples)

    def _expert_term(self, model, step: int, rollouts: Rollouts | None) -> Term:
        """This rank's share of the step's expert rows."""
        n = self.stage.expert_rows_of_a_step
        drawn = self.expert_order[(step - 1) * n : step * n]
        self._log_values(expert_rows=n, expert_tokens=sum(len(self.experts[i].response_ids) for i in drawn))
        if self.joins:
            rows, advantages = rollouts.traces, rollouts.trace_advantages
        else:
            share = drawn[self.accelerator.process_index :: self.accelerator.num_processes]
            rows, advantages = [self.experts[i] for i in share], None
        weights = self._weights_over_the_batch(model, rows) if self.objective.token_weight.whole_batch else None
        return Term("expert", rows, [True] * len(rows), advantages, weights)

    def _weights_over_the_batch(self, model, rows: list[Sequence]) -> list[Tensor]:
        """Of this rank's rows, for each response token, where they depend on all expert tokens of the step."""
        with self._timed("weigh_seconds"), torch.no_grad():
            order, logps, entropies = [], [], []
            for chunk in self._chunks(rows, [True] * len(rows)):
                outputs = self._forward(model, [rows[i] for i in chunk])
                order += chunk
                logps.append(outputs.log_probs[outputs.label_mask])
                entropies.append(outputs.entropy[outputs.label_mask])
            everywhere = gather_object([(torch.cat(logps).cpu(), torch.cat(entropies).cpu())])
            weights = self.objective.token_weight(ExpertTokens(*map(torch.cat, zip(*everywhere, strict=True))))
            own = weights.split([len(logp) for logp, _ in everywhere])[self.accelerator.process_index]
            by_row = own.to(self.accelerator.device).split([len(rows[i].response_ids) for i in order])
            return [weight for _, weight in sorted(zip(order, by_row, strict=True), key=lambda pair: pair[0])]

    def _chunks(self, rows: list[Sequence], live: list[bool]) -> list[list[int]]:
        """Indices of this rank's rows, for each micro-batch."""
        order = list(range(len(rows)))
        if self.stage.normalisation == "global":
            # The composition changes nothing, so choose the one with the least padding, the largest first (memory).
            order.sort(key=lambda i: (not live[i], -len(rows[i])))
        size = self.stage.micro_batch_rows
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _micro_batches(self, terms: list[Term]) -> list[MicroBatch]:
        """Split this rank's rows of terms that are divided by one number."""
        chunks = [(term, chunk) for term in terms for chunk in self._chunks(term.rows, term.live)]
        counts = [(sum(len(term.rows[i].response_ids) for i in chunk), len(chunk)) for term, chunk in chunks]
        everywhere = gather_object(counts)
        first = self.accelerator.process_index * len(counts)  # every rank has the same number of rows, hence of chunks
        by = divisors(*zip(*everywhere, strict=True), self.stage.normalisation)[first : first + len(counts)]
        batches = []
        for (term, chunk), count in zip(chunks, by, strict=True):
            if live := [i for i in chunk if term.live[i]]:
                batches.append(MicroBatch(term, live, count))
        # A rank without a live row of a term still takes part in it, with a gradient that is exactly zero.
        passed = {batch.term.name for batch in batches}
        batches += [MicroBatch(term, [0], math.inf) for term in terms if term.name not in passed]
        if is_sharded(self.accelerator):
            most = max(gather_object([len(batches)]))
            batches += [MicroBatch(terms[0], [0], math.inf, padding=True)] * (most - len(batches))
        return batches

    def _forward(self, model, rows: list[Sequence]) -> FusedCausalLMOutput:
        """Log-probs and entropies without the whole logits tensor (TRL)."""
        padded = collate(rows, self._tokenizer.pad_token_id, self.accelerator.device)
        with self.accelerator.autocast():
            return model(**padded, fused_lm_head=True)

    def _policy_loss(self, batch: MicroBatch, outputs: FusedCausalLMOutput) -> tuple[Tensor, dict[str, Tensor]]:
        """The batch's share of L_rl, and values of each token to log."""
        logp, mask, values = outputs.log_probs, outputs.label_mask, {}
        if self._sampled_elsewhere:
            drawn = torch.zeros_like(logp)
            drawn[mask] = logp.new_tensor([p for i in batch.indices for p in self._samples[i].logps])
            values["rollout_drift"] = (logp.detach() - drawn).abs()
        advantages = batch.term.advantages[batch.indices]
        return policy_loss(logp, logp.detach(), advantages, mask, batch.count, self.objective.clip), values

    def _expert_loss(self, batch: MicroBatch, outputs: FusedCausalLMOutput) -> tuple[Tensor, dict[str, Tensor]]:
        """The batch's share of L_ex, and values of each token to log."""
        term, mask = batch.term, outputs.label_mask
        tokens = ExpertTokens(outputs.log_probs, outputs.entropy.detach())
        if term.advantages is not None:
            row_entropy = (tokens.entropy * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
            tokens = tokens._replace(
                advantage=term.advantages[batch.indices, None].expand_as(tokens.logp),
                row_entropy=row_entropy.expand_as(tokens.logp),
            )
        if term.weights is None:
            weight = self.objective.token_weight(tokens)
        else:
            weight = torch.zeros_like(tokens.entropy)
            weight[mask] = torch.cat([term.weights[i] for i in batch.indices])
        values = {"token_weight_mean": weight, "expert_nll": -tokens.logp.detach()}
        return expert_loss(tokens, mask, batch.count, weight, self.objective.expert_loss), values

    def _accumulate(self, model, batches: list[MicroBatch], a_rl: float, a_ex: float) -> Tensor:
        """Forward and backward of every micro-batch. Returns the step's loss over all ranks."""
        device = self.accelerator.device
        terms = {batch.term.name for batch in batches}
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.float64, device=device))
        for number, batch in enumerate(batches, start=1):
            name = batch.term.name
            with accumulating(self.accelerator, model, last=number == len(batches)):
                rows = [batch.term.rows[i] for i in batch.indices]
                outputs = self._forward(model, rows)
                share, values = (self._policy_loss if name == "rl" else self._expert_loss)(batch, outputs)
                loss = hybrid_loss(share, 0.0, a_rl, a_ex) if name == "rl" else hybrid_loss(0.0, share, a_rl, a_ex)
                # Gradients are averaged over ranks; the count is already global.
                self.accelerator.backward(loss * self.accelerator.num_processes)
            if batch.padding:
                continue
            mask = outputs.label_mask
            sums["loss"] += loss.detach()
            sums[f"{name}_loss"] += share.detach()
            sums["train_tokens"] += sum(map(len, rows))
            for term in ("rl", "expert"):
                sums[f"{term}_count"] += mask.sum() if term == name else 0
            for column, value in values.items():
                sums[column] += (value * mask).sum()
        names = sorted(sums)
        totals = dict(zip(names, self.accelerator.reduce(torch.stack([sums[n] for n in names]), "sum"), strict=True))
        loss = totals.pop("loss")
        counts = {name: totals.pop(f"{name}_count") for name in ("rl", "expert")}
        if "expert" in terms:
            for name in ("token_weight_mean", "expert_nll"):
                totals[name] /= counts["expert"]
        if "rollout_drift" in totals:
            totals["rollout_drift"] /= counts["rl"]
        self._log_values(**{name: value.item() for name, value in totals.items()})
        return loss.to(torch.float32)

    # Metrics: TRL averages what lies in `_metrics` at each log, which is each step.

    def _log_values(self, **values: float) -> None:
        for name, value in values.items():
            self._metrics["train"][name].append(value)

    def _log_mean(self, name: str, values: list) -> None:
        """Mean over the values of all ranks."""
        local = torch.tensor([float(sum(values)), len(values)], dtype=torch.float64, device=self.accelerator.device)
        total, count = self.accelerator.reduce(local, "sum").tolist()
        self._log_values(**{name: total / count})

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - started


def _entropies(sample: Sample) -> list[float]:
    """For each token, nats. Where the engine does not know it, -log p of the token, which has it as its mean."""
    return [-logp for logp in sample.logps] if sample.entropies is None else sample.entropies
