"""One optimizer step over all of its rows: what the trainers of both stages have in common.

Both know all rows of a step before the first backward pass, so each sum is divided by its global token count, however
the rows are split into passes or over ranks. A pass holds rows of both terms (`chord.training.response_passes`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from accelerate import Accelerator
from torch import Tensor

from chord.objectives import Gradients, SampledTokens, distilled_policy_loss, expert_loss, hybrid_loss, policy_loss
from chord.training.curve_columns import CORRECTION_COLUMNS
from chord.training.gradients_apart import TermGradient, compare, parts_of, put_gradient, take_gradient
from chord.training.micro_batches import Term, micro_batches
from chord.training.response_passes import ResponsePasses, ResponseValues, expert_tokens
from chord.training.scale.sharding import accumulating


class OptimizerStep(ResponsePasses):
    """Mixed into a trainer of TRL, whose model has TRL's fused output layer."""

    def expert_term(self, model, term: Term) -> Term:
        """This rank's expert rows of the step, with what has to be known of them before the first backward pass."""
        if self.old_policy:
            term = replace(term, old_logps=self.old_policy.own_logps(model, self.state.global_step + 1))
        if self.objective.token_weight.whole_batch:
            term = replace(term, weights=self.whole_batch_weights(model, term))
        return term

    def accumulate(self, model, sums: list[list[Term]], a_rl: float, a_ex: float) -> Tensor:
        """Run the forward and backward passes of a step. Returns the step's loss over all ranks, detached.

        sums: terms that are divided by the same number.
        """
        totals = self._totals(sums)
        self._add_gradient(model, sums, a_rl, a_ex, totals)
        return self._log_step(totals, a_rl, a_ex)

    def accumulate_apart(
        self, model, sums: list[list[Term]], weigh: Callable[[Gradients], tuple[float, float]]
    ) -> Tensor:
        """As `accumulate`, but each term has passes of its own, and (a_rl, a_ex) follow from the gradients of both."""
        halves = self.objective.schedule.separates == "halves"
        totals = self._totals(sums)
        measured = {}
        for name in ("rl", "expert"):
            parts = []
            for part in parts_of(sums, name, halves, self.accelerator):
                self._add_gradient(model, part.sums, 1.0, 1.0, totals)
                parts.append((part.prompts, take_gradient(model)))
            measured[name] = TermGradient.of_parts(parts, self.accelerator)
        rl, expert = measured["rl"], measured["expert"]
        gradients = compare(rl, expert, self.accelerator)
        a_rl, a_ex = weigh(gradients)
        put_gradient(model, rl.values, expert.values, a_rl, a_ex)
        self.log_values(**{name: value for name, value in gradients._asdict().items() if value is not None})
        return self._log_step(totals, a_rl, a_ex)

    def _totals(self, sums: list[list[Term]]) -> "_Totals":
        learning = {name for name, frozen in (("rl", self.teacher), ("expert", self.reference)) if frozen}
        corrected = self.objective.importance_correction is not None
        return _Totals(self.accelerator.device, [term for terms in sums for term in terms], learning, corrected)

    def _add_gradient(self, model, sums: list[list[Term]], a_rl: float, a_ex: float, totals: "_Totals") -> None:
        """Add the gradient of these terms to what the parameters have, and their values to the totals."""
        token_weight, expert_loss = self.objective.token_weight, self.objective.expert_loss
        readers = (expert_loss,) if token_weight.whole_batch else (expert_loss, token_weight)
        batches = micro_batches(self.stage, sums, self.shares_prompts, self.accelerator)
        for number, batch in enumerate(batches, start=1):
            with accumulating(self.accelerator, model, last=number == len(batches)):
                values = self.forward(model, batch.sequences, batch.places("expert"), readers, batch.places("rl"))
                losses = dict.fromkeys(("rl", "expert"), 0.0 * values.logp.sum())  # without rows the gradient is 0
                for term, indices, places, count in batch.parts():
                    part = values.of(places)
                    share, logged = self._term_loss(term, indices, part, count)
                    losses[term.name] = losses[term.name] + share
                    totals.add(term, indices, part.mask, share, logged)
                loss = hybrid_loss(losses["rl"], losses["expert"], a_rl, a_ex)
                # Gradients are averaged over ranks; the count is already global.
                self.accelerator.backward(loss * self.accelerator.num_processes)

    def _log_step(self, totals: "_Totals", a_rl: float, a_ex: float) -> Tensor:
        """Log the step's weights and totals. Returns its loss over all ranks."""
        self.log_values(a_rl=a_rl, a_ex=a_ex, mu=a_ex / (a_rl + a_ex))
        logged = totals.over_ranks(self.accelerator)
        self.log_values(**logged)
        loss = hybrid_loss(logged.get("rl_loss", 0.0), logged.get("expert_loss", 0.0), a_rl, a_ex)
        return torch.tensor(loss, device=self.accelerator.device)

    def _term_loss(
        self, term: Term, indices: list[int], values: ResponseValues, count: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The share of L_rl or L_ex that these rows of the term have, and token values whose means are logged."""
        if term.name == "rl":
            return self._rollout_loss(term, indices, values, count)
        tokens = expert_tokens(term, indices, values)
        if term.weights is None:
            weight = self.objective.token_weight(tokens)
        else:
            weight = torch.zeros_like(tokens.entropy)
            weight[values.mask] = torch.cat([term.weights[i] for i in indices])
        loss = expert_loss(tokens, values.mask, count, weight, self.objective.expert_loss)
        return loss, {"token_weight_mean": weight, "expert_nll": -tokens.logp.detach()}

    def _rollout_loss(
        self, term: Term, indices: list[int], values: ResponseValues, count: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """`_term_loss` of rollouts. There is one update for each batch of them, so log p is still that of sampling."""
        logp, mask, logged, weight = values.logp, values.mask, {}, 1.0
        if term.engine_logps is not None:
            engine_logp = torch.zeros_like(logp)
            engine_logp[mask] = engine_logp.new_tensor([one for i in indices for one in term.engine_logps[i]])
            logged["rollout_drift"] = (logp.detach() - engine_logp).abs()
            if correction := self.objective.importance_correction:
                weight, beyond = correction.weights(logp, engine_logp, mask)
                logged |= {"importance_weight_mean": weight, "importance_clipped": beyond}
        advantages, clip = term.advantages[indices], self.objective.clip
        if self.teacher is None:
            return policy_loss(logp, logp.detach(), advantages, mask, count, clip, weight), logged
        logged["teacher_gap"] = logp.detach() - values.frozen_logp
        kl = None if values.soft_nll is None else values.soft_nll - values.soft_entropy
        tokens = SampledTokens(logp, values.frozen_logp, kl)
        distillation = self.objective.distillation
        return distilled_policy_loss(tokens, advantages, mask, count, distillation, clip, weight), logged

    # Metrics: TRL averages what lies in `_metrics` at each log, which is each step.

    def log_values(self, **values: float) -> None:
        for name, value in values.items():
            self._metrics["train"][name].append(value)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[name] += time.perf_counter() - started


class _Totals:
    """Sums over the passes of a step. All ranks have the same columns, also those without a row of a term."""

    def __init__(self, device: torch.device, terms: list[Term], learning: set[str], corrected: bool):
        """learning: the names of terms that learn from what is read without gradient. corrected: for engine drift."""
        self.learning = learning
        self.means: dict[str, str] = {}  # column of token values -> name of their term
        for term in terms:
            columns = ["token_weight_mean", "expert_nll"] if term.name == "expert" else []
            if term.engine_logps is not None:
                columns += ["rollout_drift", *(CORRECTION_COLUMNS if corrected else ())]
            columns += ["teacher_gap"] if term.name == "rl" and "rl" in learning else []
            self.means |= dict.fromkeys(columns, term.name)
        self.tokens = ["train_tokens", *(["frozen_tokens"] if learning else [])]
        sums = [*self.tokens, *(f"{term.name}_{kind}" for term in terms for kind in ("loss", "tokens")), *self.means]
        self.sums = {name: torch.zeros((), dtype=torch.float64, device=device) for name in sums}

    def add(self, term: Term, indices: list[int], mask: Tensor, loss: Tensor, token_values: dict[str, Tensor]) -> None:
        self.sums["train_tokens"] += sum(len(term.rows[i]) for i in indices)
        if term.name in self.learning:
            self.sums["frozen_tokens"] += sum(len(term.rows[i].for_teacher()) for i in indices)
        self.sums[f"{term.name}_loss"] += loss.detach()
        self.sums[f"{term.name}_tokens"] += mask.sum()
        for name, values in token_values.items():
            self.sums[name] += (values * mask).sum()

    def over_ranks(self, accelerator: Accelerator) -> dict[str, float]:
        """The sums and means of all ranks; no mean if no rank has a row of its term."""
        reduced = accelerator.reduce(torch.stack(list(self.sums.values())), "sum").tolist()
        total = dict(zip(self.sums, reduced, strict=True))
        values = {name: value for name, value in total.items() if name in self.tokens or name.endswith("_loss")}
        return values | {
            name: total[name] / total[f"{term}_tokens"] for name, term in self.means.items() if total[f"{term}_tokens"]
        }
