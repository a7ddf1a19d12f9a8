"""The rollouts of a hybrid step: sampled, judged, and made into terms of the loss as the router says."""

from dataclasses import replace
from random import Random
from statistics import fmean

import torch
from accelerate.utils import gather_object
from torch import Tensor
from trl import GRPOTrainer

from chord.io.seeds import derive_seed
from chord.objectives import Judged, Router
from chord.rollouts import Engine, Sample, encode_prompts
from chord.tasks import Verdict, judge_samples
from chord.training.micro_batches import Term
from chord.training.optimizer_step import OptimizerStep
from chord.training.sequences import Sequence
from chord.training.train_spec import HybridStage
from chord.training.waiting import Waiting


class RolloutTerms(OptimizerStep):
    """Mixed into TRL's GRPOTrainer."""

    stage: HybridStage
    router: Router
    engine: Engine
    prompt_rows: list[dict]
    experts: list[Sequence]
    waiting: Waiting
    seed_parts: tuple[int, int]
    # Of this rank and step: the samples, what each of them continues (tokens of the trace), and their verdicts.
    _samples: list[Sample]
    _prefixes: list[list[int]]
    _verdicts: list[Verdict]

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
        teacher_prompts = self._teacher_prompts(groups)
        rows = [
            Sequence(
                prompt[is_prompt.bool()].tolist(),
                response[is_response.bool()].tolist(),
                teacher_prompt_ids=teacher_prompts[i // k],
            )
            for i, (prompt, is_prompt, response, is_response) in enumerate(
                zip(*(scored[key] for key in keys), strict=True)
            )
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
            engine_logps=(
                [self._samples[i].logps for i in kept]
                if self._sampled_elsewhere or self.objective.importance_correction
                else None
            ),
        )
        taught = routes.taught.nonzero().flatten().tolist()
        if self.router.waits:
            self.waiting.prompts += gather_object([groups[group] for group in taught])
            self.log_values(waiting=len(self.waiting.prompts))
        if self.router.waits or self.router.reads == "experts":
            return sampled, None
        return sampled, self._taught_term(groups, taught, routes.trace_advantages)

    def _teacher_prompts(self, groups: list[int]) -> list[list[int] | None]:
        """What the policy reads as its own teacher in place of each prompt. groups: indices of prompts."""
        if not self.stage.teaches_itself:
            return [None] * len(groups)
        shown = [{"messages": self.prompt_rows[row]["teacher_messages"]} for row in groups]
        return encode_prompts(self.processing_class, shown)

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

    def _row_entropies(self, model, rows: list[Sequence]) -> Tensor:
        """Mean token entropy of each rollout, nats, (rows,); zeros if the router does not read it."""
        if not self.router.reads_entropies:
            return torch.zeros(len(rows))
        if self._sampled_elsewhere:
            values = self.values_by_row(model, Term("rl", rows))
            return torch.tensor([tokens.entropy.mean().item() for tokens in values])
        return torch.tensor([fmean(sample.entropies) for sample in self._samples])

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
