"""Generates with transformers: it runs every model of the hub on any device, with the weights that are in memory."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from chord.errors import UserError
from chord.io.models import load_tokenizer, load_weights
from chord.rollouts.cache import remaining
from chord.rollouts.chat import turn_end
from chord.rollouts.continuation import Continuation
from chord.rollouts.engine import Decoding, Sample, check_lengths, fixed_batches
from chord.rollouts.sampling import draw, uniform_noise


class HuggingFaceEngine:
    """An `Engine` for a model in memory, such as the (unwrapped) model that a trainer is updating."""

    def __init__(
        self,
        model: PreTrainedModel,
        pad_token_id: int,
        eos_token_ids: list[int],
        batch_size: int,
        autocast: torch.dtype | None = None,
    ):
        """autocast: the precision of the computation; None means the precision of the weights."""
        if not eos_token_ids:
            raise UserError("eos_token_ids is empty; expected an end token, or no response could end")
        self.model = model
        self.pad_token_id = pad_token_id
        self.eos_token_ids = list(eos_token_ids)
        self.batch_size = batch_size
        self.autocast = autocast

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        """One sample for each prompt, in input order; see `Engine`."""
        if len(prompt_ids) != len(seeds):
            raise ValueError(f"{len(prompt_ids)} prompts, but {len(seeds)} seeds; expected one seed per prompt")
        check_lengths(prompt_ids, decoding, self.model.config.max_position_embeddings)
        samples: dict[int, Sample] = {}
        with torch.no_grad(), _ready_to_generate(self.model, self.autocast):
            for batch in fixed_batches(prompt_ids, self.batch_size):
                batch_samples = self._generate_batch(
                    [prompt_ids[i] for i in batch], [seeds[i] for i in batch], decoding
                )
                samples.update(zip(batch, batch_samples, strict=True))
        return [samples[index] for index in range(len(prompt_ids))]

    def score(self, sequences: list[list[int]]) -> list[list[float]]:
        """The log-probability of each token except the first; see `Engine`.

        Sequences are scored one at a time, without padding and with little memory.
        """
        scores = []
        with torch.no_grad(), _ready_to_generate(self.model, self.autocast):
            for sequence in sequences:
                ids = torch.tensor([sequence], device=self.model.device)
                logps = self.model(ids).logits[0, :-1].float().log_softmax(-1)
                scores.append(logps.gather(1, ids[0, 1:, None]).squeeze(1).tolist())
        return scores

    def _generate_batch(self, prompts: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        """The samples of one batch. A row that has ended leaves it at once."""
        device, limit = self.model.device, decoding.max_response_tokens
        noise = None
        if decoding.temperature > 0:
            noise = torch.from_numpy(uniform_noise(seeds, limit)).to(device)
        ends = torch.tensor(self.eos_token_ids, device=device)
        rows = torch.arange(len(prompts), device=device)  # the rows of the batch that have not ended
        lengths = torch.full((len(prompts),), limit, device=device)
        tokens = torch.empty(len(prompts), limit, dtype=torch.long, device=device)
        logps, entropies = (torch.empty(len(prompts), limit, device=device) for _ in range(2))
        continuation = Continuation(self.model, prompts, limit, self.pad_token_id)
        for step in range(limit):
            drawn = draw(continuation.logits, decoding, None if noise is None else noise[rows, step])
            for records, values in zip((tokens, logps, entropies), drawn, strict=True):
                records[rows, step] = values
            ended = torch.isin(drawn[0], ends)
            lengths[rows[ended]] = step + 1
            if step + 1 == limit or ended.all():
                break
            last = drawn[0]
            if ended.any():
                kept = remaining(~ended)
                rows, last = rows[kept], last[kept]
                continuation.keep(kept)
            continuation.append(last)
        samples = []
        for prompt, length, *records in zip(
            prompts, *(part.tolist() for part in (lengths, tokens, logps, entropies)), strict=True
        ):
            token_ids, token_logps, token_entropies = (record[:length] for record in records)
            if not all(map(math.isfinite, token_logps)):
                raise FloatingPointError(f"the model gives NaN or infinite logits (prompt token ids {prompt})")
            truncated = token_ids[-1] not in self.eos_token_ids
            samples.append(Sample(token_ids, truncated, token_logps, token_entropies))
        return samples


def load_model(folder: str | Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model for generation, and its tokenizer: on the GPU if there is one, in its own dtype."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return load_weights(folder, dtype="auto").to(device).eval(), load_tokenizer(folder)


def stop_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, list[int]]:
    """Returns (padding token, end tokens).

    Besides the tokenizer's end token, chat models may end a turn with the tokens of the generation configuration and
    with the token that ends a reply in the chat template.
    """
    configured = model.generation_config.eos_token_id
    configured = configured if isinstance(configured, list) else [configured]
    candidates = (tokenizer.eos_token_id, turn_end(tokenizer), *configured)
    ends = sorted({token for token in candidates if token is not None})
    if not ends:
        raise UserError(f"{tokenizer.name_or_path}: neither tokenizer nor generation configuration names an end token")
    return (ends[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id), ends


@contextmanager
def _ready_to_generate(model: PreTrainedModel, autocast: torch.dtype | None) -> Iterator[None]:
    """Switch to evaluation mode, and back afterwards."""
    training = model.training
    model.eval()
    try:
        # One context for all steps of a rollout: autocast keeps its casts of the weights until the end.
        with torch.autocast(model.device.type, autocast, enabled=autocast is not None):
            yield
    finally:
        model.train(training)
