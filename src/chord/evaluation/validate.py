"""Accuracy on validation rows during training, by the same prompts, sampler and verdicts as the final evaluation."""

from statistics import fmean
from typing import TYPE_CHECKING

from chord.io.seeds import derive_seed
from chord.rollouts import Decoding, Engine, encode_prompts
from chord.tasks import judge_samples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def accuracy(
    engine: Engine,
    tokenizer: "PreTrainedTokenizerBase",
    rows: list[dict],
    k: int,
    study_seed: int,
    seed_index: int,
    decoding: Decoding,
) -> tuple[float, float]:
    """(avg@k, mean response tokens with the end token) of the engine's current weights.

    The seeds do not contain the step, nor the method: all checkpoints of all methods of one seed index meet the same
    noise. The difference between two checkpoints is then paired, the curve is smoother, and the best checkpoint is
    chosen for its weights and less for a lucky draw.
    """
    seeds = [derive_seed(study_seed, seed_index, "validate", row["id"], sample) for row in rows for sample in range(k)]
    prompt_ids = [ids for ids in encode_prompts(tokenizer, rows) for _ in range(k)]
    samples = engine.generate(prompt_ids, seeds, decoding)
    judged = judge_samples(tokenizer, [row for row in rows for _ in range(k)], samples)
    return fmean(verdict.correct for _, verdict in judged), fmean(len(sample.token_ids) for sample in samples)
