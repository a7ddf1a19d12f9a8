"""Forward passes over the responses of rows: what the loss reads of them, of the model in training and of frozen ones.

A pass holds rows without padding, each prompt once; models that cannot share prompts (`chord.shared_prompts`) get
padded rows.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from collections.abc import Sequence as Places
from typing import NamedTuple

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object, is_peft_model
from torch import Tensor
from transformers import PreTrainedModel

from chord.objectives import ExpertPart, ExpertTokens, Objective
from chord.shared_prompts import share_prompts
from chord.training.distributions import add_distributions
from chord.training.frozen_model import FrozenModel, FrozenValues, frozen_copy
from chord.training.micro_batches import Term, passes
from chord.training.old_policy import OldPolicy
from chord.training.scale.sharding import is_sharded
from chord.training.sequences import Sequence, batch_of
from chord.training.train_spec import Stage

log = logging.getLogger(__name__)


class ResponseValues(NamedTuple):
    """Values of response tokens, (rows, longest response)."""

    logp: Tensor
    entropy: Tensor  # nats
    mask: Tensor  # False behind the end of a response
    top_logps: Tensor | None = None  # (rows, longest response, K), without gradient
    # Of the rows that learn from a frozen model, 0 at others:
    frozen_logp: Tensor | None = None
    soft_nll: Tensor | None = None  # with gradient
    soft_entropy: Tensor | None = None

    def of(self, places: list[int]) -> "ResponseValues":
        """Of these rows."""
        return ResponseValues(*(None if values is None else values[places] for values in self))


class ResponsePasses:
    """Mixed into a trainer of TRL, whose model has TRL's fused output layer."""

    stage: Stage
    objective: Objective
    reference: FrozenModel | None = None  # the start model, if a part of the objective reads it
    teacher: FrozenModel | None = None  # if rollouts learn from one
    old_policy: OldPolicy | None = None  # if the expert loss reads it

    def prepare(self, model: PreTrainedModel) -> None:
        """To be called before the trainer wraps the model, while it has the weights that the stage starts from.

        If it is to be sharded, only the first rank's model has them, so that rank decides for all.
        """
        self._seconds: dict[str, float] = defaultdict(float)
        if self.objective.reads_reference:
            self.reference = frozen_copy(model)
        first = PartialState().is_main_process
        (reason,) = broadcast_object_list([share_prompts(model) if first else None])
        self.shares_prompts = reason is None
        if self.shares_prompts and not first:
            share_prompts(model)
        if reason and first:
            log.warning("prompts are computed once for each response, as this model cannot share them: %s", reason)

    def equip(self) -> None:
        """To be called after the trainer has given the model its output layer: add what parts of the objective read."""
        updates = self.objective.expert_loss.inner_updates
        if updates is not None and self.stage.reads_expert_rows:
            self.old_policy = OldPolicy(self, updates)
            self.add_callback(self.old_policy)
        if self.stage.teaches_itself:
            self.teacher = FrozenModel(self.model, self.shares_prompts)
        parts = self.objective.token_weight, self.objective.expert_loss
        distillation = self.objective.distillation
        if any(part.reads_top or part.soft_target is not None for part in parts) or (
            distillation is not None and distillation.reads_distribution
        ):
            add_distributions(self.model.get_base_model() if is_peft_model(self.model) else self.model)

    def forward(
        self,
        model,
        rows: list[Sequence],
        places: Places[int] = (),
        readers: Iterable[ExpertPart] = (),
        taught: Places[int] = (),
    ) -> ResponseValues:
        """Log-probabilities, with gradient, and entropies of the rows' responses, without the whole logits (TRL).

        The rows at `places` have in addition what `readers`, parts of the objective, read, and those at `taught` what
        distillation reads of the teacher.
        """
        device = self.accelerator.device
        lengths = torch.tensor([len(row.response_ids) for row in rows], device=device)
        batch = batch_of(rows, self.shares_prompts, self._tokenizer.pad_token_id)
        top = max((part.reads_top for part in readers), default=0)
        reading = {"at": batch.at_rows(places, device), "top": top} if top and places else {}
        with self.accelerator.autocast():
            frozen = list(self._frozen_values(rows, places, readers, taught))
            if targets := [values.soft_target(batch, device) for values in frozen if values.states is not None]:
                reading["targets"] = targets
            outputs = model(**batch.inputs(device), fused_lm_head=True, **reading)
        logp = batch.by_row(outputs.log_probs)
        values = ResponseValues(
            logp,
            batch.by_row(outputs.entropy.detach()),
            torch.arange(logp.shape[1], device=device) < lengths[:, None],
            batch.by_row(outputs.top_logps) if "top" in reading else None,
        )
        if frozen:
            values = values._replace(frozen_logp=torch.zeros_like(logp))
            for one in frozen:
                values.frozen_logp[one.places, : one.logp.shape[1]] = one.logp.to(logp.dtype)
        if targets:
            soft = {name: batch.by_row(getattr(outputs, name)) for name in ("soft_nll", "soft_entropy")}
            values = values._replace(**soft)
        return values

    def _frozen_values(
        self, rows: list[Sequence], places: Places[int], readers: Iterable[ExpertPart], taught: Places[int]
    ) -> Iterator[FrozenValues]:
        """What the start model says of the rows at `places`, if a part reads it, and the teacher of those `taught`."""
        settings = self._tokenizer.pad_token_id, self.accelerator.device
        beta = next((part.soft_target for part in readers if part.soft_target is not None), None)
        if places and (beta is not None or any(part.reads_reference for part in readers)):
            yield self.reference.values(rows, places, beta, *settings)
        if taught and self.teacher:
            yield self.teacher.values(
                rows, taught, 0.0 if self.objective.distillation.reads_distribution else None, *settings
            )

    def logps_of_ranks(self, model, rows: list[Sequence]) -> list[Tensor]:
        """Log-probabilities of the response tokens of each row, without gradient; the ranks share the work."""
        rank, n_ranks = self.accelerator.process_index, self.accelerator.num_processes
        own = self.values_by_row(model, Term("expert", rows[rank::n_ranks]))
        ranks = gather_object([[tokens.logp.cpu() for tokens in own]])
        return [ranks[place % n_ranks][place // n_ranks] for place in range(len(rows))]

    def whole_batch_weights(self, model, term: Term) -> list[Tensor]:
        """For each of this rank's rows, (response tokens,) weights that depend on all expert tokens of the step."""
        weight = self.objective.token_weight
        rows = self.values_by_row(model, term, (weight,))
        # A rank may have no rows, if the router chooses them.
        ranks = gather_object([ExpertTokens(*map(_joined, zip(*rows, strict=True))) if rows else None])
        weights = weight(ExpertTokens(*map(_joined, zip(*(one for one in ranks if one is not None), strict=True))))
        lengths = [0 if tokens is None else len(tokens.logp) for tokens in ranks]
        own = weights.split(lengths)[self.accelerator.process_index]
        return list(own.to(self.accelerator.device).split([len(row.response_ids) for row in term.rows]))

    def values_by_row(self, model, term: Term, readers: tuple[ExpertPart, ...] = ()) -> list[ExpertTokens]:
        """What the readers see of each row's response tokens, (tokens,), without gradient."""
        rows: dict[int, ExpertTokens] = {}
        with self.timed("weigh_seconds"), torch.no_grad():
            split = passes(term.rows, self.stage.micro_batch_tokens, self.shares_prompts)
            if is_sharded(self.accelerator):  # then all ranks take part in every pass
                split += [[]] * (max(gather_object([len(split)])) - len(split))
            for indices in split:
                rows_of_pass = [term.rows[i] for i in indices] or [Sequence([0], [0])]
                values = self.forward(model, rows_of_pass, range(len(indices)), readers)
                if not indices:
                    continue
                tokens = expert_tokens(term, indices, values)
                for place, (i, mask) in enumerate(zip(indices, values.mask, strict=True)):
                    rows[i] = ExpertTokens(*(None if column is None else column[place][mask] for column in tokens))
        return [rows[i] for i in range(len(term.rows))]


def expert_tokens(term: Term, indices: list[int], values: ResponseValues) -> ExpertTokens:
    """What the parts of the objective see of these rows of the term, which have these values; (rows, tokens)."""
    logp, mask = values.logp, values.mask

    def row_mean(of_tokens: Tensor) -> Tensor:
        return ((of_tokens * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)).expand_as(logp)

    tokens = ExpertTokens(
        logp,
        values.entropy,
        top_logps=values.top_logps,
        reference_logp=values.frozen_logp,
        soft_nll=values.soft_nll,
        soft_entropy=values.soft_entropy,
    )
    if values.frozen_logp is not None:
        tokens = tokens._replace(row_log_ratio=row_mean(logp.detach() - values.frozen_logp))
    if term.old_logps is not None:
        old_logp = torch.zeros_like(values.entropy)
        old_logp[mask] = torch.cat([term.old_logps[i] for i in indices])
        tokens = tokens._replace(old_logp=old_logp)
    if term.advantages is not None:
        advantage = term.advantages[indices, None].expand_as(logp)
        tokens = tokens._replace(advantage=advantage, row_entropy=row_mean(values.entropy))
    return tokens


def _joined(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    """One column of the tokens of several rows or ranks, in the machine's memory; None if nobody reads it."""
    return None if parts[0] is None else torch.cat(parts).cpu()
