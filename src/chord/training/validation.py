"""Validation during training: avg@k before the first step, every so many steps and after the last one.

It has the prompts, the sampler and the verdicts of the final evaluation.
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

    The seeds do not contain the step, nor the method: all checkpoints of all methods of one seed index meet the same
    noise. The difference between two checkpoints is then paired, the curve is smoother, and the best checkpoint is
    chosen for its weights and less for a lucky draw.
    """
    seeds = [derive_seed(study_seed, seed_index, "validate", row["id"], sample) for row in rows for sample in range(k)]
    prompt_ids = [ids for ids in encode_prompts(tokenizer, rows) for _ in range(k)]
    samples = engine.generate(prompt_ids, seeds, decoding)
    judged = judge_samples(tokenizer, [row for row in rows for _ in range(k)], samples)
    return fmean(verdict.correct for _, verdict in judged), fmean(len(sample.token_ids) for sample in samples)


class OverRanks:
    """Generation that the ranks share: each samples some of the prompts and gets the samples of all.

    So all ranks know the same accuracy, to the last bit, and decide alike which weights are the best.
    """

    def __init__(self, engine: Engine, ranks: PartialState):
        self.engine = engine
        self.ranks = ranks

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        """As of `Engine`. Every rank calls it with the same arguments."""
        first, every = self.ranks.process_index, self.ranks.num_processes
        samples = gather_object(self.engine.generate(prompt_ids[first::every], seeds[first::every], decoding))
        order = [i for rank in range(every) for i in range(rank, len(prompt_ids), every)]
        return [sample for _, sample in sorted(zip(order, samples, strict=True), key=lambda pair: pair[0])]


def best_step(log: list[dict]) -> int | None:
    """The step of the highest validation accuracy after the start, the earliest of equals; log: lines or curve rows."""
    validated = [line for line in log if line["step"] and line.get("validation_accuracy") is not None]
    return max(validated, key=lambda line: line["validation_accuracy"])["step"] if validated else None


class Validate(TrainerCallback):
    """Puts validation_accuracy, validation_response_tokens and validation_seconds into the step's log line.

    With `best`, a folder `best-<step>` in it holds the weights of the best step so far; earlier ones go when a
    checkpoint is marked as complete.
    """

    def __init__(self, trainer: Trainer, measure: Measure, every: int, best: Path | None):
        """best: folder (the checkpoints') in which to keep the best weights; None keeps none."""
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
        # The trainer's log holds all earlier values, and the checkpoint holds the log: nothing to remember here.
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
