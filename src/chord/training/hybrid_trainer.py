"""The hybrid stage: one optimizer step of a_rl * L_rl + a_ex * L_ex (arXiv 2508.11408, eq. 3) on TRL's GRPOTrainer.

TRL gives the loop, rewards, group-normalised advantages, optimizer, checkpoints and distribution; the loss stands in
`chord.objectives.hybrid`, its passes in `chord.training.response_passes`. Work that cannot change the gradient is left
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
from chord.objectives import Judged, RunStatistics, Separate
from chord.rollouts import Engine, Sample, encode_prompts
from chord.tasks import Verdict, judge_samples
from chord.training.frozen_model import FrozenModel
from chord.training.micro_batches import Term
from chord.training.optimizer_step import OptimizerStep
from chord.training.run_statistics import run_statistics
from chord.training.sequences import Sequence, row_order
from chord.training.train_spec import HybridStage
from chord.training.waiting import Waiting


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
        """prompts: RL rows (docs/architecture.md). experts: encoded expert rows; if the router reads traces, one for
        each prompt, in the order of the prompts and with its reward. seed_parts: (study seed, seed index). teacher:
        of a stage with a distillation.

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
        # Of this rank and step: the samples, what each of them continues (tokens of the trace), and their verdicts.
        self._samples: list[Sample] = []
        self._prefixes: list[list[int]] = []
        self._verdicts: list[Verdict] = []
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

    # Rollouts and rewards: TRL calls these two from `_generate_and_score_completions`.

    def _rollout(self, prompts: list, trainer: GRPOTrainer) -> dict:
        """Sample a response to each of this rank's prompts; each prompt is repeated rollouts_per_prompt times."""
        with self.timed("generate_seconds"):
            k = self.stage.rollouts_per_prompt
            rendered = encode_prompts(self.processing_class, [{"messages": messages} for messages in prompts[::k]])
            prompt_ids = [rendered[i // k] + prefix for i, prefix in enumerate(self._prefixes)]
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

        row: the index of each sample's prompt. A sample that continues a prefix is judged together with it.
        """
        with self.timed("score_seconds"):
            responses = [
                replace(sample, token_ids=prefix + sample.token_ids)
                for prefix, sample in zip(self._prefixes, self._samples, strict=True)
            ]
            judged = judge_samples(self._tokenizer, [self.prompt_rows[i] for i in row], responses)
            self._verdicts = [verdict for _, verdict in judged]
        # chord.training.hopeless reads these four, which are of all ranks.
        self._log_mean("unparsed", [not verdict.parsed for verdict in self._verdicts])
        self._log_mean("right", [verdict.correct for verdict in self._verdicts])
        own = [verdict.reward for verdict in self._verdicts]
        rewards = gather_object(own)
        self.log_values(reward_low=min(rewards), reward_high=max(rewards))
        return own

    # The two terms.

    def _sampled_terms(self, model, inputs: list[dict]) -> tuple[Term, Term | None]:
        """What the router makes of this rank's share of the step's prompts: rollouts, and traces or prefixes of them.

        The second term is None if the step's expert rows, if it has any, do not belong to its prompts.
        """
        k = self.stage.rollouts_per_prompt
        groups = [prompt["row"] for prompt in inputs[::k]]
        self._prefixes = self._draw_prefixes(groups)
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
        routes = self.router.route(self._judged(model, groups, rows, scored["advantages"]))
        kept = [i for i in range(len(rows)) if routes.kept[i // k]]
        advantages = routes.advantages.flatten()[kept]
        sampled = Term(
            "rl",
            [rows[i] for i in kept],
            advantages.to(self.accelerator.device),
            # A teacher teaches each of them.
            flat=frozenset() if self.teacher else frozenset((advantages == 0).nonzero().flatten().tolist()),
            engine_logps=[self._samples[i].logps for i in kept] if self._sampled_elsewhere else None,
        )
        taught = routes.taught.nonzero().flatten().tolist()
        if self.router.waits:
            self.waiting.prompts += gather_object([groups[group] for group in taught])
            self.log_values(waiting=len(self.waiting.prompts))
        if self.router.waits or self.router.reads == "experts":
            return sampled, None
        return sampled, self._taught_term(groups, taught, routes.trace_advantages)

    def _draw_prefixes(self, groups: list[int]) -> list[list[int]]:
        """The tokens of the trace that each rollout of this rank continues. groups: indices of prompts."""
        k, step = self.stage.rollouts_per_prompt, self.state.global_step + 1
        prefixes = []
        for place, row in enumerate(groups, start=self.accelerator.process_index * len(groups)):
            # Without its end token, after which there is nothing to continue.
            trace = self.experts[row].response_ids[:-1] if self.router.prefixes else []
            draws = Random(derive_seed(*self.seed_parts, "prefix", step, place))
            prefixes += [trace[:length] for length in self.router.prefix_tokens(step, len(trace), k, draws)]
        return prefixes

    def _judged(self, model, groups: list[int], rows: list[Sequence], advantages: Tensor) -> Judged:
        """What the router is shown. groups: indices of prompts. rows, advantages: of the rollouts, these by TRL."""
        shape = (len(groups), self.stage.rollouts_per_prompt)
        rewards = torch.tensor([verdict.reward for verdict in self._verdicts]).view(shape)
        # Equal rewards mean advantage 0, but the rounding of TRL's group mean leaves 1e-4 of it.
        mixed = (rewards != rewards[:, :1]).any(1, keepdim=True)
        traces = [self.experts[row] for row in groups] if self.router.reads == "traces" else []
        return Judged(
            rewards=rewards,
            right=torch.tensor([verdict.correct for verdict in self._verdicts]).view(shape),
            advantages=advantages.cpu().view(shape) * mixed,
            entropies=self._row_entropies(model, rows).view(shape),
            trace_rewards=torch.tensor([trace.reward for trace in traces]),
            prefix_tokens=torch.tensor([len(prefix) for prefix in self._prefixes]).view(shape),
        )

    def _taught_term(self, groups: list[int], taught: list[int], advantages: Tensor | None) -> Term:
        """The traces of this rank's taught groups, or the prefixes of them that their rollouts continued.

        groups: indices of prompts. taught: places in groups. advantages: of all groups.
        """
        rows = [self.experts[groups[group]] for group in taught]
        if self.router.prefixes:  # of the group's last rollout, which has one if any has
            k = self.stage.rollouts_per_prompt
            rows = [
                Sequence(row.prompt_ids, self._prefixes[group * k + k - 1])
                for row, group in zip(rows, taught, strict=True)
            ]
        return Term("expert", rows, None if advantages is None else advantages[taught].to(self.accelerator.device))

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

    def _row_entropies(self, model, rows: list[Sequence]) -> Tensor:
        """Mean token entropy of each rollout, nats, (rows,); zeros if the router does not read it."""
        if not self.router.reads_entropies:
            return torch.zeros(len(rows))
        if self._sampled_elsewhere:
            values = self.values_by_row(model, Term("rl", rows))
            return torch.tensor([tokens.entropy.mean().item() for tokens in values])
        return torch.tensor([fmean(sample.entropies) for sample in self._samples])

    def _held_out_nll(self, model) -> float:
        """Mean -log p over the tokens of the held-out expert rows. Logs it."""
        own = self.held_out[self.accelerator.process_index :: self.accelerator.num_processes]
        rows = self.values_by_row(model, Term("expert", own))
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


def _split(experts: list[Sequence], held_out: int) -> tuple[list[Sequence], list[Sequence]]:
    """(the rows to train on, the last rows, which are held out)."""
    n_trained = len(experts) - held_out
    if held_out and n_trained < 1:
        raise UserError(f"schedule.held_out: expected fewer than the {len(experts)} expert rows, got {held_out}")
    return experts[:n_trained], experts[n_trained:]
