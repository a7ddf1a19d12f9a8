"""Completions that stream to disk: finished batches are kept, and a killed job goes on behind them."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from chord.rollouts.batches import fixed_batches
from chord.rollouts.parts import Parts

log = logging.getLogger(__name__)
COLUMNS = pa.schema({"text": pa.string(), "tokens": pa.int32(), "truncated": pa.bool_()})


@dataclass(frozen=True)
class Batch:
    number: int
    prompts: list[list]  # token ids, or the messages of a chat
    seeds: list[int]


@dataclass(frozen=True)
class Completion:
    text: str
    truncated: bool
    tokens: int | None = None  # with the end token; None where only the text is known


CompleteBatches = Callable[[list[Batch]], Iterator[tuple[Batch, list[Completion]]]]


def stream(
    prompts: list[list], seeds: list[int], batch_rows: int, parts: Parts, complete_batches: CompleteBatches
) -> pa.Table:
    """The completion of every prompt, in input order (COLUMNS). `parts` hold each batch as soon as it is complete.

    complete_batches: gives the batches back with their completions, in any order.
    """
    places = fixed_batches(prompts, batch_rows)
    batches = [
        Batch(number, [prompts[i] for i in members], [seeds[i] for i in members])
        for number, members in enumerate(places)
        if not parts.has(number)
    ]
    log.info("%d completions, %d of %d batches to do", len(prompts), len(batches), len(places))
    for done, (batch, completions) in enumerate(complete_batches(batches), start=len(places) - len(batches) + 1):
        parts.write(batch.number, _table(completions))
        log.info("%d of %d batches done", done, len(places))
    order = [index for members in places for index in members]
    back = sorted(range(len(order)), key=order.__getitem__)
    return parts.read(len(places), COLUMNS).take(back)


def _table(completions: list[Completion]) -> pa.Table:
    return pa.table({name: [getattr(one, name) for one in completions] for name in COLUMNS.names}, schema=COLUMNS)
