"""Completes batches of prompts with a model folder: in processes with one thread and one model each, or in one engine.

A batch is a function of the question list (`fixed_batches`) and is computed by one process, with the same number of
threads everywhere, so the result does not depend on which process computes it.
"""

import logging
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from chord.io.children import end_with
from chord.io.provenance import environment
from chord.rollouts.backends import Backend, HuggingFaceBackend, VllmBackend
from chord.rollouts.chat import response_texts
from chord.rollouts.completions import Batch, Completion
from chord.rollouts.engine import Decoding, Engine
from chord.rollouts.huggingface import HuggingFaceEngine, load_model, stop_tokens
from chord.rollouts.parity import check_parity, probe_texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)
HINTS = {
    "vllm": "vLLM has loaded the folder's weights; look in its log for weights that it did not load.",
    "server": "The server serves other weights, or in another precision (vLLM turns float32 into float16 without "
    "--dtype); restart it with this model folder.",
}


class Completer:
    """An engine and a tokenizer that turn batches into texts."""

    def __init__(self, engine: Engine, tokenizer: "PreTrainedTokenizerBase", decoding: Decoding):
        self.engine, self.tokenizer, self.decoding = engine, tokenizer, decoding

    def complete(self, batch: Batch) -> list[Completion]:
        samples = self.engine.generate(batch.prompts, batch.seeds, self.decoding)
        texts = response_texts(self.tokenizer, [sample.token_ids for sample in samples])
        return [
            Completion(text, sample.truncated, len(sample.token_ids))
            for text, sample in zip(texts, samples, strict=True)
        ]


def open_engine(
    backend: Backend, folder: Path, probes: list[list[int]], batch_rows: int
) -> tuple[Engine, "PreTrainedTokenizerBase"]:
    """Returns an engine for a model folder, and its tokenizer.

    Raises ParityError if an engine does not give the log-probabilities that transformers gives.
    probes: token sequences to compare on (`probe_texts`). batch_rows: rows of a forward pass of transformers.
    """
    model, tokenizer = load_model(folder)
    pad, ends = stop_tokens(model, tokenizer)
    engine = HuggingFaceEngine(model, pad, ends, batch_rows)
    if isinstance(backend, HuggingFaceBackend):
        return engine, tokenizer
    expected, dtype = engine.score(probes), str(model.dtype).removeprefix("torch.")
    del engine, model  # before the other engine takes the memory
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if isinstance(backend, VllmBackend):
        from chord.rollouts.vllm import VllmEngine

        other = VllmEngine(folder, ends, dtype, backend)
    else:
        from chord.rollouts.server import ServerEngine

        other = ServerEngine(backend, ends)
    differences = check_parity(expected, other.score(probes), dtype, HINTS[backend.kind])
    log.info(
        "%s: log-probabilities differ from the model's by %.2g nats on average, %.2g at most",
        backend.kind,
        *differences,
    )
    return other, tokenizer


def machine_record() -> dict[str, object]:
    """What may move the last bits of a logit besides a specification: the versions of packages, and the device."""
    return {"environment": environment(), "device": "cuda" if torch.cuda.is_available() else "cpu"}


def complete_batches(
    backend: Backend, model: Path, decoding: Decoding, batches: list[Batch]
) -> Iterator[tuple[Batch, list[Completion]]]:
    """Yield each batch with its completions as soon as they are ready."""
    if not batches:  # an earlier attempt has completed them all, so no model is needed
        return
    workers = min(backend.workers, len(batches)) if isinstance(backend, HuggingFaceBackend) else 1
    if workers == 1:
        probes = probe_texts(batches[0].prompts)
        with _one_thread() if isinstance(backend, HuggingFaceBackend) else nullcontext():
            completer = Completer(*open_engine(backend, model, probes, _most_rows(batches)), decoding)
            for batch in batches:
                yield batch, completer.complete(batch)
        return
    arguments = (backend, model, decoding, _most_rows(batches))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start, arguments) as pool:
        pending = {pool.submit(_complete, batch): batch for batch in batches}
        try:
            for future in as_completed(pending):
                yield pending[future], future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # after an error, do not wait for an hour of remaining work


def _most_rows(batches: list[Batch]) -> int:
    """The rows of the largest batch, so that each batch is one forward pass."""
    return max(len(batch.seeds) for batch in batches)


_completer: Completer  # of this worker process


def _start(backend: Backend, model: Path, decoding: Decoding, batch_rows: int) -> None:
    global _completer
    end_with(multiprocessing.parent_process().pid)  # a killed parent closes nothing, and they would wait for ever
    torch.set_num_threads(1)
    _completer = Completer(*open_engine(backend, model, [], batch_rows), decoding)


def _complete(batch: Batch) -> list[Completion]:
    return _completer.complete(batch)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
