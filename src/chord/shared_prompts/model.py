"""Models that compute packed rows, and the log-probabilities of responses that share prompts."""

from collections.abc import Iterable, Sequence

import torch
from accelerate.utils import is_peft_model
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from chord.shared_prompts.attention import PACKED_ATTENTION
from chord.shared_prompts.layout import pack

# Two prompts, one with two responses: what `share_prompts` computes in both ways, to see whether a model can share.
PROBE = [([3, 4, 5, 6], [[7, 8, 9], [9, 8]]), ([5, 3], [[4, 4, 6]])]
# Of log-probabilities, nats. On these tokens, which make no sense, SmolLM2-135M in fp32 differs by 0.001 between plain
# rows with SDPA and with eager attention, and by 0.0003 between packed and plain rows.
TOLERANCE = {torch.float32: 0.02, torch.bfloat16: 0.2, torch.float16: 0.1}


def share_prompts(model: PreTrainedModel) -> str | None:
    """Let a causal language model compute packed rows; other calls of it stay as they are.

    Returns None, or the reason why this model cannot share prompts: it attends in other ways than to all earlier
    tokens, or packed and plain rows differ. Then nothing has changed. To be called before the model is sharded or
    wrapped, which may follow.
    """
    if is_peft_model(model):
        model = model.get_base_model()
    if model.config._attn_implementation == PACKED_ATTENTION:
        return None
    if reason := _unsuitable(model):
        return reason
    plain = model.config._attn_implementation
    hook = model.base_model.register_forward_hook(_keep_response_tokens, with_kwargs=True)
    model.set_attn_implementation(PACKED_ATTENTION)
    shares = False
    try:
        reason = _difference(model)
        shares = reason is None
    except NotImplementedError as error:
        reason = f"it has {error}"
    finally:
        if not shares:
            hook.remove()
            model.set_attn_implementation(plain)
    return reason


def _unsuitable(model: PreTrainedModel) -> str | None:
    """What the configuration says against sharing. A probe is too short to see a window, which may be in masks only."""
    config = model.config.get_text_config()
    if others := set(getattr(config, "layer_types", None) or ()) - {"full_attention"}:
        return f"it has layers of the kind {', '.join(sorted(others))}"
    if getattr(config, "sliding_window", None):
        return "it has a sliding window"
    return None if model._supports_attention_backend else "its attention cannot be exchanged"


def _keep_response_tokens(module: nn.Module, args: tuple, kwargs: dict, output):
    """A hook of the decoder: nothing behind it, above all the output layer, computes tokens that nobody reads."""
    if layout := kwargs.get("layout"):
        tokens = torch.tensor(layout.response_tokens, device=output.last_hidden_state.device)
        output.last_hidden_state = output.last_hidden_state[:, tokens]
    return output


@torch.no_grad()
def _difference(model: PreTrainedModel) -> str | None:
    """The reason why packed rows of this model are not plain rows, or None."""
    was_training = model.training
    row = pack(PROBE)
    try:
        model.train()
        model(**row.inputs(model.device))  # attention with dropout raises
        model.eval()
        packed = model(**row.inputs(model.device)).logits[0]
        if len(packed) != len(row.labels):
            return "its output layer reads other states than those of its base model"
        plain = []
        for prompt, responses in PROBE:
            for response in responses:
                ids = torch.tensor([[*prompt, *response]], device=model.device)
                plain.append(model(ids, use_cache=False).logits[0, len(prompt) - 1 : -1])
        difference = (packed.float().log_softmax(-1) - torch.cat(plain).float().log_softmax(-1)).abs().max().item()
    finally:
        model.train(was_training)
    if difference <= TOLERANCE[model.dtype]:
        return None
    return f"its log-probabilities differ by {difference:.2g} between packed and plain rows"


class PackedBatch:
    """Rows of (prompt token ids, response token ids) in one packed row, where equal prompts stand once."""

    def __init__(self, sequences: Sequence[tuple[Sequence[int], Sequence[int]]]):
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, (prompt, _) in enumerate(sequences):
            groups.setdefault(tuple(prompt), []).append(index)
        self.row = pack([(prompt, [sequences[i][1] for i in members]) for prompt, members in groups.items()])
        self.order = [index for members in groups.values() for index in members]  # of the rows in the packed one

    def inputs(self, device: torch.device) -> dict:
        """Arguments for a model that was given to `share_prompts`; labels are those of all responses."""
        return self.row.inputs(device) | {"shift_labels": torch.tensor([self.row.labels], device=device)}

    def at_rows(self, places: Iterable[int], device: torch.device) -> Tensor:
        """Which labels belong to the rows at these places, (1, labels)."""
        chosen = set(places)
        flags = torch.tensor([index in chosen for index in self.order], device=device)
        return flags.repeat_interleave(torch.tensor(self.row.lengths, device=device)).unsqueeze(0)

    def by_row(self, values: Tensor) -> Tensor:
        """(1, labels, ...) as (rows, longest response, ...), 0 behind the end of a response."""
        by_index = dict(zip(self.order, values[0].split(self.row.lengths), strict=True))
        return pad_sequence([by_index[index] for index in range(len(by_index))], batch_first=True)


def response_values(
    model: nn.Module, sequences: Sequence[tuple[Sequence[int], Sequence[int]]], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Log-probabilities, with gradient, and entropies in nats of response tokens; each (rows, longest response).

    Rows with equal prompts share them. Behind the end of a response the values are 0. One response at least has tokens.

    model: given to `share_prompts` and to TRL's `add_fused_lm_head`, or a wrapper of such a model. sequences: (prompt
    token ids, response token ids) of each row.
    """
    batch = PackedBatch(sequences)
    outputs = model(**batch.inputs(device), fused_lm_head=True)
    return batch.by_row(outputs.log_probs), batch.by_row(outputs.entropy)


def shared_prompt_logps(
    model: nn.Module, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int
) -> tuple[Tensor, Tensor]:
    """What `GRPOTrainer._get_per_token_logps_and_entropies` of TRL gives, with each distinct prompt computed once.

    input_ids, attention_mask: (rows, tokens), prompts padded at the left and responses at the right. logits_to_keep:
    columns of the responses. Returns log-probabilities and entropies in nats, each (rows, logits_to_keep), 0 where the
    mask is 0. The temperature is that of the model's fused output layer.
    """
    prompts, responses = input_ids[:, :-logits_to_keep], input_ids[:, -logits_to_keep:]
    in_prompt, in_response = attention_mask.bool().split([prompts.shape[1], logits_to_keep], dim=1)
    # A response that is masked as a whole takes part with its first token, so that a batch of them has a gradient of 0.
    lengths = in_response.sum(1).clamp(min=1).tolist()
    sequences = [
        (prompt[mask].tolist(), response[:length].tolist())
        for prompt, mask, response, length in zip(prompts, in_prompt, responses, lengths, strict=True)
    ]
    logps, entropies = (
        nn.functional.pad(values, (0, logits_to_keep - values.shape[1])) * in_response
        for values in response_values(model, sequences, input_ids.device)
    )
    return logps, entropies
