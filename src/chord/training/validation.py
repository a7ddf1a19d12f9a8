"""Validation during training: avg@k before the first step, at regular steps and after the last one.

Prompts, sampling and verdicts are those of the final evaluation.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from accelerate import PartialState
from accelerate.utils import gather_object
from transformers import Trainer, TrainerCallback

from chord.io.files import atomic_folder
from chord.io.seeds import derive_seed
from chord.rollouts import Decoding, Engine, Sample, encode_prompts
from chord.tasks import judge_samples
from chord.training.scale.weights import save_full

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# () -> (accuracy, mean response tokens) of the current weights
Measure = Callable[[], tuple[float, float]]


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

    The seeds depend on neither the step nor the method, so all checkpoints of all methods with one seed index get the
    same noise: differences between checkpoints are paired, the curve is smoother, and the choice of the best checkpoint
    depends less on a lucky draw.
    """
    seeds = [derive_seed(study_seed, seed_index, "validate", row["id"], sample) for row in rows for sample in range(k)]
    prompt_ids = [ids for ids in encode_prompts(tokenizer, rows) for _ in range(k)]
    samples = engine.generate(prompt_ids, seeds, decoding)
    judged = judge_samples(tokenizer, [row for row in rows for _ in range(k)], samples)
    return fmean(verdict.correct for _, verdict in judged), fmean(len(sample.token_ids) for sample in samples)


class OverRanks:
    """An engine that divides the prompts among the ranks and gives every rank all samples.

    So all ranks compute the same accuracy, to the last bit, and agree on the best weights.
    """

    def __init__(self, engine: Engine, ranks: PartialState):
        self.engine = engine
        self.ranks = ranks

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        """See `Engine`. Every rank calls it with the same arguments."""
        rank, n_ranks = self.ranks.process_index, self.ranks.num_processes
        samples = gather_object(self.engine.generate(prompt_ids[rank::n_ranks], seeds[rank::n_ranks], decoding))
        order = [i for first in range(n_ranks) for i in range(first, len(prompt_ids), n_ranks)]
        return [sample for _, sample in sorted(zip(order, samples, strict=True), key=lambda pair: pair[0])]


def best_step(log: list[dict]) -> int | None:
    """The step after the start with the highest validation accuracy, the earliest of equals. log: lines, or curves."""
    validated = [line for line in log if line["step"] and line.get("validation_accuracy") is not None]
    return max(validated, key=lambda line: line["validation_accuracy"])["step"] if validated else None


class Validate(TrainerCallback):
    """Puts validation_accuracy, validation_response_tokens and validation_seconds into the step's log line.

    With `best`, its subfolder `best-<step>` holds the weights of the best step so far; earlier ones are deleted when
    a checkpoint is marked as complete.
    """

    def __init__(self, trainer: Trainer, measure: Measure, every: int, best: Path | None):
        """best: the folder of checkpoints, in which to keep the best weights; None keeps none."""
        self.trainer = trainer
        self.measure = measure
        self.every = every
        self.best = best

    def on_train_begin(self, args, state, control, **_):
        if state.global_step == 0:
            self.trainer.log(self._values())

    def on_step_end(self, args, state, control, **_):
        if state.global_step % self.every and state.global_step != state.max_steps:
            return
        values = self._values()
        # The trainer's log has all earlier values, and the checkpoint has the log, so nothing is remembered here.
        line = {"step": state.global_step, **values}
        if self.best and best_step([*state.log_history, line]) == state.global_step:
            model = self.trainer.accelerator.unwrap_model(self.trainer.model)
            main = state.is_world_process_zero
            with atomic_folder(self.best / f"best-{state.global_step}") if main else nullcontext() as folder:
                save_full(model, folder)
        for name, value in values.items():
            self.trainer._metrics["train"][name].append(value)

    def _values(self) -> dict[str, float]:
        started = time.perf_counter()
        accuracy, tokens = self.measure()
        return {
            "validation_accuracy": accuracy,
            "validation_response_tokens": tokens,
            "validation_seconds": time.perf_counter() - started,
        }
