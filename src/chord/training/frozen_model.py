"""A model that is read without gradient: the stage's start model or a teacher, whole on each rank, or the policy."""

import copy
from collections.abc import Sequence as Places
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import is_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.utils import add_fused_lm_head

from chord.errors import UserError
from chord.io.models import load_tokenizer, load_weights
from chord.shared_prompts import share_prompts
from chord.training.distributions import SoftTarget, last_states
from chord.training.sequences import Batch, Sequence, batch_of


@dataclass(frozen=True)
class FrozenValues:
    """What a frozen model says of the response tokens of some rows of a batch."""

    places: list[int]  # of the rows in the batch
    logp: Tensor  # (rows, longest of these responses)
    states: Tensor | None  # (rows, longest of these responses, hidden size), if its distributions are read
    head: nn.Linear
    beta: float | None

    def soft_target(self, batch: Batch, device: torch.device) -> SoftTarget:
        """The target at the labels of these rows in the batch, which may have other rows before and between them."""
        at = batch.at_rows(self.places, device)
        labels = batch.by_row(torch.arange(at.numel(), device=device).view(at.shape) + 1)[self.places] - 1
        read = labels[:, : self.states.shape[1]]  # -1 behind the end of a response
        states = self.states.new_zeros(at.numel(), self.states.shape[2])
        states[read[read >= 0]] = self.states[read >= 0]
        return SoftTarget(at, states[at.flatten()], self.head, self.beta)


@dataclass(frozen=True)
class FrozenModel:
    """A model with TRL's fused output layer."""

    model: PreTrainedModel
    shares_prompts: bool  # whether it was given to `chord.shared_prompts`

    @torch.no_grad()
    def values(
        self, rows: list[Sequence], places: Places[int], beta: float | None, pad_token_id: int, device: torch.device
    ) -> FrozenValues:
        """Its values of the rows at these places, with the teacher's prompts where a row has one.

        beta: of the soft target; None: its distributions are not read.
        """
        places = list(places)  # tensors are indexed with it
        batch = batch_of([rows[place].for_teacher() for place in places], self.shares_prompts, pad_token_id)
        with last_states(self.model) as states:
            logp = self.model(**batch.inputs(device), fused_lm_head=True).log_probs
        read = None if beta is None else batch.by_row(states[0][:, : logp.shape[1]])
        return FrozenValues(places, batch.by_row(logp), read, self.model.get_output_embeddings(), beta)


def frozen_copy(model: PreTrainedModel) -> FrozenModel:
    """A copy of a model that nothing has wrapped or sharded, except peft: the copy has no adapters."""
    replica = copy.deepcopy(model)
    return _freeze(replica.unload() if is_peft_model(replica) else replica)


def load_teacher(folder: Path, tokenizer: PreTrainedTokenizerBase) -> FrozenModel:
    """The model of a folder. UserError if its tokens are not those of `tokenizer`, the policy's.

    Then there is no log-probability of the policy's own tokens under the teacher.
    """
    if load_tokenizer(folder).get_vocab() != tokenizer.get_vocab():
        raise UserError(
            f"{folder}: not expressible: its tokenizer is not the policy's; expected a teacher with the same tokens"
        )
    return _freeze(load_weights(folder, torch.float32))


def _freeze(model: PreTrainedModel) -> FrozenModel:
    shares = share_prompts(model) is None
    add_fused_lm_head(model, outputs=("log_probs",))
    return FrozenModel(model.requires_grad_(False).eval().to(PartialState().device), shares)
