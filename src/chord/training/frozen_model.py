"""A frozen model beside the one in training: the stage's start model, or a teacher."""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import is_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.utils import add_fused_lm_head

from chord.errors import UserError
from chord.io.models import load_tokenizer, load_weights
from chord.shared_prompts import share_prompts


@dataclass(frozen=True)
class FrozenModel:
    """It has TRL's fused output layer, and each rank has all of it."""

    model: PreTrainedModel
    shares_prompts: bool  # whether it was given to `chord.shared_prompts`


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
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    return FrozenModel(model.requires_grad_(False).eval().to(PartialState().device), shares)
