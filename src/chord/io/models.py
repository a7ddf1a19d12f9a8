"""Model folders, opened in one way: safetensors only, no code of the folder's own, no network."""

from pathlib import Path

import numpy as np
import torch
from accelerate import init_empty_weights
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from chord.errors import UserError

CLOSED = {"trust_remote_code": False, "local_files_only": True}


def load_weights(folder: str | Path, dtype: torch.dtype | str) -> PreTrainedModel:
    """dtype: "auto" is the folder's own. UserError if the folder is damaged, lacks weights, or has no model."""
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; expected a model folder")
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **CLOSED
        )
    except Exception as error:  # the readers of weights and configurations have no common error
        raise _unreadable(folder, "model", error) from error
    if loading["missing_keys"]:  # transformers would fill them with random numbers
        raise UserError(f"{folder}: its safetensors lack the weights {', '.join(sorted(loading['missing_keys'])[:3])}")
    return model


def load_without_weights(folder: str | Path) -> PreTrainedModel:
    """The model in fp32 with 0 for each weight, for a rank that gets them from another one. It takes no memory yet."""
    try:
        config = AutoConfig.from_pretrained(folder, **CLOSED)
        with init_empty_weights(include_buffers=False):
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
    except Exception as error:  # as above
        raise _unreadable(folder, "model", error) from error
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            zeros = np.zeros(weight.shape, np.float32)  # unlike torch's these take memory only when they are written
            setattr(module, name, torch.nn.Parameter(torch.from_numpy(zeros)))
    model.tie_weights()
    if Path(folder, "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return model.eval()


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """UserError if the folder has no readable tokenizer."""
    try:
        return AutoTokenizer.from_pretrained(folder, **CLOSED)
    except Exception as error:  # as above
        raise _unreadable(folder, "tokenizer", error) from error


def _unreadable(folder: str | Path, what: str, error: Exception) -> UserError:
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return UserError(
        f"{folder}: no {what} that can be read ({reason}); if it is a result, delete it and give the command again"
    )
