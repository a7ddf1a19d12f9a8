"""Model folders, opened in one way: safetensors only, no code of the folder's own, no network."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

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
