"""Generates with transformers: it runs every model of the hub on any device, with the weights that are in memory."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from chord.errors import UserError
from chord.io.models import load_tokenizer, load_weights
from chord.rollouts.cache import buffered_cache
from chord.rollouts.chat import turn_end
from chord.rollouts.engine import Decoding, Sample, check_lengths, fixed_batches
from chord.rollouts.sampling import StepSampler, uniform_noise


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
        """The samples of one batch. Whenever half of its rows have ended, the others continue as a smaller batch."""
        device = self.model.device
        width = max(len(ids) for ids in prompts)
        # Left padding: the responses start in the same column. `generate` takes position ids from the mask.
        sequences = torch.tensor([[self.pad_token_id] * (width - len(ids)) + ids for ids in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts], device=device)
        noise = None
        if decoding.temperature > 0:
            noise = torch.from_numpy(uniform_noise(seeds, decoding.max_response_tokens).T.copy()).to(device)
        cache = buffered_cache(self.model.config, width + decoding.max_response_tokens)
        rows = torch.arange(len(prompts), device=device)  # the rows of the batch that have not ended
        ends = torch.tensor(self.eos_token_ids, device=device)
        tokens, logps, entropies = ([[] for _ in prompts] for _ in range(3))
        n_steps = 0
        while len(rows) and n_steps < decoding.max_response_tokens:
            sampler = StepSampler(decoding, None if noise is None else noise[n_steps:, rows])
            start = sequences.shape[1]
            sequences = self.model.generate(
                input_ids=sequences,
                attention_mask=mask,
                generation_config=GenerationConfig(
                    do_sample=False,  # the sampler has already chosen
                    max_new_tokens=decoding.max_response_tokens - n_steps,
                    pad_token_id=self.pad_token_id,
                    eos_token_id=self.eos_token_ids,
                    use_cache=True,  # a training configuration may have switched it off
                ),
                logits_processor=LogitsProcessorList([sampler]),
                stopping_criteria=StoppingCriteriaList([_HalfEnded(ends)]),
                past_key_values=cache,
                synced_gpus=False,  # these weights are not sharded, even if a trainer in this process shards others
            )
            new = sequences[:, start:]
            for records, values in zip((tokens, logps, entropies), (new, *sampler.records(new.shape[1])), strict=True):
                for row, part in zip(rows.tolist(), values.tolist(), strict=True):
                    records[row] += part
            n_steps += new.shape[1]
            unfinished = ~torch.isin(new, ends).any(1)
            rows, sequences = rows[unfinished], sequences[unfinished]
            mask = torch.cat([mask, mask.new_ones(new.shape)], dim=1)[unfinished]
            cache.batch_select_indices(unfinished.nonzero().squeeze(1))
        samples = []
        for row, prompt in enumerate(prompts):
            end = next((place for place, token in enumerate(tokens[row], 1) if token in self.eos_token_ids), None)
            sample = Sample(tokens[row][:end], end is None, logps[row][:end], entropies[row][:end])
            if not all(map(math.isfinite, sample.logps)):
                raise FloatingPointError(f"the model gives NaN or infinite logits (prompt token ids {prompt})")
            samples.append(sample)
        return samples


class _HalfEnded(StoppingCriteria):
    """Ends a call of `generate` once half of its rows have ended, which it would otherwise compute to the last step."""

    def __init__(self, ends: Tensor):
        self.ends = ends
        self.ended: Tensor | bool = False

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        self.ended = torch.isin(input_ids[:, -1], self.ends) | self.ended
        return (self.ended.float().mean() >= 0.5).expand(len(input_ids))


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
    """Switch to evaluation mode and drop the model's own decoding defaults; restore both afterwards.

    `generate` takes whatever a call omits from the model's generation_config.json. Models of the hub set repetition
    penalties, top_k and banned words there, which would silently change the distribution.
    """
    training, defaults = model.training, model.generation_config
    model.eval()
    model.generation_config = GenerationConfig()
    try:
        # One context for all steps of a rollout: autocast keeps its casts of the weights until the end.
        with torch.autocast(model.device.type, autocast, enabled=autocast is not None):
            yield
    finally:
        model.generation_config = defaults
        model.train(training)
