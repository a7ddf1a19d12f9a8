"""Rollouts by an engine with its own copy of the weights, which it gets again before each generation."""

import copy
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import torch
from accelerate.utils import gather_object
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer

from chord.io.devices import server_gpus
from chord.rollouts import Decoding, Engine, Sample
from chord.rollouts.huggingface import HuggingFaceEngine
from chord.rollouts.parity import check_parity, probe_texts
from chord.training.scale.scale_spec import OwnRollouts, ServerRollouts
from chord.training.scale.weights import full_weights
from chord.training.sequences import Sequence, collate
from chord.training.train_spec import TrainSpec

DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


class WeightedEngine(Engine, Protocol):
    """An engine whose weights can be replaced."""

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Use these weights from now on. Every rank calls it, and consumes all of `weights`."""
        ...

    def sleep(self) -> None:
        """Free as much memory as possible until the next `load_weights`."""
        ...

    def close(self) -> None:
        """End what the engine has started."""
        ...


def full_copy(model: PreTrainedModel, precision: str) -> PreTrainedModel:
    """A copy for sampling, in the precision of the training passes. Make it before a trainer shards the model."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    # The weights are copied first, each to where it belongs: the machine may have no room for a second model.
    weights = {id(one): nn.Parameter(one.detach().to(device, dtype, copy=True), False) for one in model.parameters()}
    return copy.deepcopy(model, weights).to(device, dtype)


class Replica(HuggingFaceEngine):
    """An engine over a full copy of the model, which each rank has if the trained weights are sharded."""

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Use these weights from now on; see `WeightedEngine`."""
        own = self.model.state_dict()
        for name, weight in weights:
            own[name].copy_(weight)

    def sleep(self) -> None:
        """Does nothing: the copy keeps its memory."""

    def close(self) -> None:
        """Does nothing: the copy ends with its process."""


def open_synced(
    spec: TrainSpec,
    model: PreTrainedModel,
    start: Path,
    out: Path,
    stops: tuple[int, list[int]],
    texts: list[list[int]],
    precision: str,
) -> "SyncedEngine | None":
    """The spec's engine with its own copy of the weights; None if the model in training samples itself.

    model: before a trainer shards it. start: its folder. out: the run's folder. stops: padding token, end tokens.
    texts: token sequences for the comparison. precision: "fp32" or "bf16", of the training passes.
    """
    settings, (pad, ends), dtype = spec.scale.rollouts, stops, DTYPES[precision]
    if isinstance(settings, OwnRollouts):
        if not spec.scale.shards_weights:
            return None
        rows = [spec.validation.batch_rows, getattr(spec.stage, "generate_batch_rows", spec.validation.batch_rows)]
        engine = Replica(full_copy(model, precision), pad, ends, min(rows))
    elif isinstance(settings, ServerRollouts):
        from chord.training.scale.own_server import OwnServer

        engine = OwnServer(start, ends, dtype, settings, out, server_gpus(spec.scale.ranks, settings.gpus))
    else:
        from chord.rollouts.vllm import VllmEngine

        engine = VllmEngine(start, ends, dtype, settings, in_training=True)
    positions = getattr(settings, "max_model_len", None) or model.config.max_position_embeddings
    # One position less, as vLLM generates a token when it scores.
    return SyncedEngine(engine, [text[: positions - 1] for text in probe_texts(texts)], dtype)


class SyncedEngine:
    """An `Engine` whose samples are those of the model in training. Every rank calls its methods.

    It syncs before each generation, even if the weights have not changed since the last one (a validation, then the
    next step's rollouts): a sleeping engine has lost them anyway, and a resumed run logs the same as a straight one.
    After each sync the log-probabilities of a fixed text must equal the trainer's, else it raises ParityError.
    """

    def __init__(self, engine: WeightedEngine, probes: list[list[int]], dtype: str):
        """probes: token sequences for the comparison (`probe_texts`). dtype: the engine's, for the tolerance."""
        self.engine, self.probes, self.dtype = engine, probes, dtype

    def follow(self, trainer: Trainer) -> None:
        """Take the weights of this trainer's model, and log into its metrics."""
        self.trainer = trainer

    def generate(self, prompt_ids: list[list[int]], seeds: list[int], decoding: Decoding) -> list[Sample]:
        """One sample for each prompt, in input order; see `Engine`."""
        self._sync()
        samples = self.engine.generate(prompt_ids, seeds, decoding)
        self.engine.sleep()
        return samples

    def score(self, sequences: list[list[int]]) -> list[list[float]]:
        """log p of each token but the first; see `Engine`."""
        self._sync()
        scores = self.engine.score(sequences)
        self.engine.sleep()
        return scores

    def close(self) -> None:
        """End the engine when all ranks are done: vLLM in their processes also ends the ranks' process groups."""
        self.engine.close()

    def _sync(self) -> None:
        started = time.perf_counter()
        trainer = self.trainer
        expected = trainer_scores(trainer, self.probes)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # vLLM needs the memory in the same process that the update has left unused
        model = trainer.accelerator.unwrap_model(trainer.model)
        self.engine.load_weights(under_all_names(full_weights(model), model.all_tied_weights_keys))
        # All ranks see the differences of all: a rank that stopped alone would leave the others waiting.
        ranks = gather_object([(expected, self.engine.score(self.probes))])
        mean, maximum = check_parity(
            *([text for one in side for text in one] for side in zip(*ranks, strict=True)),
            self.dtype,
            f"The engine was given the weights after step {trainer.state.global_step}.",
        )
        logged = trainer._metrics["train"]  # averaged and written with the step's line
        logged["parity_mean"].append(mean)
        logged["parity_max"] = [max([maximum, *logged["parity_max"]])]
        logged["sync_seconds"] = [sum(logged["sync_seconds"]) + time.perf_counter() - started]


def under_all_names(weights: Iterable[tuple[str, Tensor]], tied: Mapping[str, str]) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights, once under each of their names. tied: another name -> the name of the weight that it shares.

    vLLM computes with what it prepared for each layer at loading. If a tied output layer gets no weights, it keeps the
    old ones (on a CPU; a GPU computes with the shared tensor).
    """
    others: dict[str, list[str]] = {}
    for other, name in tied.items():
        others.setdefault(name, []).append(other)
    for name, tensor in weights:
        if name not in tied:
            for alias in (name, *others.get(name, [])):
                yield alias, tensor


def trainer_scores(trainer: Trainer, texts: list[list[int]]) -> list[list[float]]:
    """log p of each token except the first, by the forward pass of training (TRL's) and in its precision."""
    rows = [Sequence(text[:1], text[1:]) for text in texts]
    padded = collate(rows, 0, trainer.accelerator.device)  # any token will do, as it comes after all scored tokens
    model = trainer.model_wrapped
    model.eval()
    with torch.no_grad(), trainer.accelerator.autocast():
        outputs = model(**padded, fused_lm_head=True)
    model.train()  # the mode of training, in which alone TRL logs its metrics
    return [row[mask].tolist() for row, mask in zip(outputs.log_probs, outputs.label_mask, strict=True)]
