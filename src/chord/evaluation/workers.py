"""Processes that complete batches of prompts, each with a model of its own and one thread.

A batch is a function of the question list (`fixed_batches`) and is computed by one process, with the same number of
threads everywhere, so who computes it shows nowhere in the result.
"""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from chord.rollouts import Decoding
from chord.rollouts.huggingface import HuggingFaceEngine, load_model, stop_tokens


@dataclass(frozen=True)
class Batch:
    number: int
    prompt_ids: list[list[int]]
    seeds: list[int]


@dataclass(frozen=True)
class Completion:
    text: str
    tokens: int  # with the end token
    truncated: bool


class Completer:
    """A model folder, loaded, that turns batches into texts."""

    def __init__(self, model: Path, decoding: Decoding):
        self.decoding = decoding
        self.model, self.tokenizer = load_model(model)
        self.pad, self.ends = stop_tokens(self.model, self.tokenizer)

    def complete(self, batch: Batch) -> list[Completion]:
        engine = HuggingFaceEngine(self.model, self.pad, self.ends, batch_size=len(batch.seeds))
        return [
            Completion(
                self.tokenizer.decode(sample.token_ids, skip_special_tokens=True),
                len(sample.token_ids),
                sample.truncated,
            )
            for sample in engine.generate(batch.prompt_ids, batch.seeds, self.decoding)
        ]


def complete_batches(
    model: Path, decoding: Decoding, batches: list[Batch], workers: int
) -> Iterator[tuple[Batch, list[Completion]]]:
    """Batches with their completions, as they become ready."""
    if not batches:  # all were done before a kill: no model is needed
        return
    workers = min(workers, len(batches))
    if workers == 1:
        with _one_thread():
            completer = Completer(model, decoding)
            for batch in batches:
                yield batch, completer.complete(batch)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start, (model, decoding)) as pool:
        pending = {pool.submit(_complete, batch): batch for batch in batches}
        try:
            for done in as_completed(pending):
                yield pending[done], done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # after an error the rest of an hour's work is not waited for


_completer: Completer  # of this worker process


def _start(model: Path, decoding: Decoding) -> None:
    global _completer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _completer = Completer(model, decoding)


def _end_with_parent() -> None:
    """A killed parent closes nothing; without this its workers would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)


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
