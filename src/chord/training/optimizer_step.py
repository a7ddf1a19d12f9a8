"""One optimizer step over all of its rows: what the trainers of both stages have in common.

Both know all rows of a step before the first backward pass, so each sum is divided by its global token count, however
the rows are split into passes or over ranks. A pass holds rows of both terms, without padding, each prompt once; models
that cannot share prompts (`chord.shared_prompts`) get padded rows.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import is_peft_model
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from chord.objectives import ExpertPart, ExpertTokens, Gradients, Objective, expert_loss, hybrid_loss, policy_loss
from chord.shared_prompts import PackedBatch, share_prompts
from chord.training.distributions import add_distributions
from chord.training.gradients_apart import TermGradient, compare, parts_of, put_gradient, take_gradient
from chord.training.micro_batches import Term, micro_batches
from chord.training.scale.sharding import accumulating
from chord.training.sequences import PaddedBatch, Sequence
from chord.training.train_spec import Stage

log = logging.getLogger(__name__)


class ResponseValues(NamedTuple):
    """Values of response tokens, (rows, longest response)."""

    logp: Tensor
    entropy: Tensor  # nats
    mask: Tensor  # False behind the end of a response
    top_logps: Tensor | None = None  # (rows, longest response, K), without gradient

    def of(self, places: list[int]) -> "ResponseValues":
        """Of these rows."""
        return ResponseValues(*(None if values is None else values[places] for values in self))


class OptimizerStep:
    """Mixed into a trainer of TRL, whose model has TRL's fused output layer."""

    stage: Stage
    objective: Objective

    def prepare(self, model: PreTrainedModel) -> None:
        """To be called before the trainer wraps the model."""
        self._seconds: dict[str, float] = defaultdict(float)
        reason = share_prompts(model)
        self.shares_prompts = reason is None
        if reason:
            log.warning("prompts are computed once for each response, as this model cannot share them: %s", reason)

    def accumulate(self, model, sums: list[list[Term]], a_rl: float, a_ex: float) -> Tensor:
        """Run the forward and backward passes of a step. Returns the step's loss over all ranks, detached.

        sums: terms that are divided by the same number.
        """
        totals = _Totals(self.accelerator.device, [term for terms in sums for term in terms])
        self._add_gradient(model, sums, a_rl, a_ex, totals)
        return self._log_step(totals, a_rl, a_ex)

    def accumulate_apart(
        self, model, sums: list[list[Term]], weigh: Callable[[Gradients], tuple[float, float]]
    ) -> Tensor:
        """As `accumulate`, but each term has passes of its own, and (a_rl, a_ex) follow from the gradients of both."""
        halves = self.objective.schedule.separates == "halves"
        totals = _Totals(self.accelerator.device, [term for terms in sums for term in terms])
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

    def _add_gradient(self, model, sums: list[list[Term]], a_rl: float, a_ex: float, totals: "_Totals") -> None:
        """Add the gradient of these terms to what the parameters have, and their values to the totals."""
        token_weight, expert_loss = self.objective.token_weight, self.objective.expert_loss
        readers = (expert_loss,) if token_weight.whole_batch else (expert_loss, token_weight)
        batches = micro_batches(self.stage, sums, self.shares_prompts, self.accelerator)
        for number, batch in enumerate(batches, start=1):
            with accumulating(self.accelerator, model, last=number == len(batches)):
                values = self.forward(model, batch.sequences, batch.places("expert"), readers)
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

    def read_distributions(self) -> None:
        """To be called after the trainer has given the model its output layer, where parts of the objective need it."""
        if any(part.reads_top for part in (self.objective.token_weight, self.objective.expert_loss)):
            add_distributions(self.model.get_base_model() if is_peft_model(self.model) else self.model)

    def forward(
        self, model, rows: list[Sequence], places: Iterable[int] = (), readers: Iterable[ExpertPart] = ()
    ) -> ResponseValues:
        """Log-probabilities, with gradient, and entropies of the rows' responses, without the whole logits (TRL).

        The rows at `places` have in addition what `readers`, parts of the objective, read.
        """
        device = self.accelerator.device
        lengths = torch.tensor([len(row.response_ids) for row in rows], device=device)
        if self.shares_prompts:
            batch = PackedBatch([(row.prompt_ids, row.response_ids) for row in rows])
        else:
            batch = PaddedBatch(rows, self._tokenizer.pad_token_id)
        top = max((part.reads_top for part in readers), default=0)
        reading = {"at": batch.at_rows(places, device), "top": top} if top and places else {}
        with self.accelerator.autocast():
            outputs = model(**batch.inputs(device), fused_lm_head=True, **reading)
        logp = batch.by_row(outputs.log_probs)
        return ResponseValues(
            logp,
            batch.by_row(outputs.entropy.detach()),
            torch.arange(logp.shape[1], device=device) < lengths[:, None],
            batch.by_row(outputs.top_logps) if reading else None,
        )

    def _term_loss(
        self, term: Term, indices: list[int], values: ResponseValues, count: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The share of L_rl or L_ex that these rows of the term have, and token values whose means are logged."""
        if term.name == "rl":
            logged = {}
            if term.engine_logps:
                engine = pad_sequence([values.logp.new_tensor(term.engine_logps[i]) for i in indices], batch_first=True)
                width = values.logp.shape[1]
                engine = torch.nn.functional.pad(engine, (0, width - engine.shape[1]))
                logged["rollout_drift"] = (values.logp.detach() - engine).abs()
            loss = policy_loss(
                values.logp, values.logp.detach(), term.advantages[indices], values.mask, count, self.objective.clip
            )
            return loss, logged
        tokens = expert_tokens(term, indices, values)
        if term.weights is None:
            weight = self.objective.token_weight(tokens)
        else:
            weight = torch.zeros_like(tokens.entropy)
            weight[values.mask] = torch.cat([term.weights[i] for i in indices])
        loss = expert_loss(tokens, values.mask, count, weight, self.objective.expert_loss)
        return loss, {"token_weight_mean": weight, "expert_nll": -tokens.logp.detach()}

    # Metrics: TRL averages what lies in `_metrics` at each log, which is each step.

    def log_values(self, **values: float) -> None:
        for name, value in values.items():
            self._metrics["train"][name].append(value)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[name] += time.perf_counter() - started


def expert_tokens(term: Term, indices: list[int], values: ResponseValues) -> ExpertTokens:
    """What the parts of the objective see of these rows of the term, which have these values; (rows, tokens)."""
    tokens = ExpertTokens(values.logp, values.entropy, top_logps=values.top_logps)
    if term.advantages is None:
        return tokens
    row_entropy = (values.entropy * values.mask).sum(1, keepdim=True) / values.mask.sum(1, keepdim=True)
    return tokens._replace(
        advantage=term.advantages[indices, None].expand_as(tokens.logp),
        row_entropy=row_entropy.expand_as(tokens.logp),
    )


class _Totals:
    """Sums over the passes of a step. All ranks have the same columns, also those without a row of a term."""

    def __init__(self, device: torch.device, terms: list[Term]):
        self.means: dict[str, str] = {}  # column of token values -> name of their term
        for term in terms:
            columns = ["token_weight_mean", "expert_nll"] if term.name == "expert" else []
            self.means |= dict.fromkeys([*columns, *(["rollout_drift"] if term.engine_logps else [])], term.name)
        sums = ["train_tokens", *(f"{term.name}_{kind}" for term in terms for kind in ("loss", "tokens")), *self.means]
        self.sums = {name: torch.zeros((), dtype=torch.float64, device=device) for name in sums}

    def add(self, term: Term, indices: list[int], mask: Tensor, loss: Tensor, token_values: dict[str, Tensor]) -> None:
        self.sums["train_tokens"] += sum(len(term.rows[i]) for i in indices)
        self.sums[f"{term.name}_loss"] += loss.detach()
        self.sums[f"{term.name}_tokens"] += mask.sum()
        for name, values in token_values.items():
            self.sums[name] += (values * mask).sum()

    def over_ranks(self, accelerator: Accelerator) -> dict[str, float]:
        """The sums and means of all ranks; no mean if no rank has a row of its term."""
        reduced = accelerator.reduce(torch.stack(list(self.sums.values())), "sum").tolist()
        total = dict(zip(self.sums, reduced, strict=True))
        values = {name: value for name, value in total.items() if name == "train_tokens" or name.endswith("_loss")}
        return values | {
            name: total[name] / total[f"{term}_tokens"] for name, term in self.means.items() if total[f"{term}_tokens"]
        }
