"""Completions that stream to disk: finished batches stay there, and a killed job resumes after them."""

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from chord.errors import UserError
from chord.io import parquet
from chord.io.continuation import clear_unless_identical
from chord.io.progress_bar import progress_bar
from chord.io.seeds import derive_seed
from chord.rollouts.engine import fixed_batches

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


class FinishedBatches:
    """The batches of a command that may be killed: a hidden folder beside its result, with one parquet file per batch.

    It is resumed by the very same job alone, and deleted when the result is there.
    """

    def __init__(self, result: Path):
        self.folder = result.parent / f".{result.name}.parts"
        self.lock = result.parent / f".{result.name}.lock"  # for whoever writes the result

    def claim(self, identity: dict) -> None:
        """Call it before anything else. identity: all that decides the content; batches of another go."""
        clear_unless_identical(self.folder, identity)

    def _path(self, batch: int) -> Path:
        return self.folder / f"batch-{batch:06d}.parquet"

    def has(self, batch: int) -> bool:
        """Whether the batch is there and undamaged; a damaged one is deleted, to be made again."""
        if not self._path(batch).exists():
            return False
        try:
            parquet.read(self._path(batch))
        except UserError as error:
            log.warning("%s", error)
            self._path(batch).unlink()
            return False
        return True

    def write(self, batch: int, table: pa.Table) -> None:
        parquet.write(self._path(batch), table)

    def read(self, batches: int, schema: pa.Schema) -> pa.Table:
        """The rows of all batches, in their order."""
        return pa.concat_tables([schema.empty_table(), *(parquet.read(self._path(batch)) for batch in range(batches))])

    def remove(self) -> None:
        if self.folder.exists():
            shutil.rmtree(self.folder)


def stream(
    rows: list[dict],
    prompts: list[list],
    samples: int,
    noise: tuple[int | str, ...],
    batch_rows: int,
    finished: FinishedBatches,
    complete_batches: CompleteBatches,
) -> pa.Table:
    """So many completions of each row, row by row, as COLUMNS and `seed`; `finished` gets each batch when it is done.

    prompts: one a row. noise: what the seed of a completion depends on besides the row's id and the sample's number.
    complete_batches: gives the batches back with their completions, in any order.
    """
    seeds = [derive_seed(*noise, row["id"], sample) for row in rows for sample in range(samples)]
    prompts = [prompt for prompt in prompts for _ in range(samples)]
    places = fixed_batches(prompts, batch_rows)
    batches = [
        Batch(number, [prompts[i] for i in members], [seeds[i] for i in members])
        for number, members in enumerate(places)
        if not finished.has(number)
    ]
    log.info("%d completions, %d of %d batches to do", len(prompts), len(batches), len(places))
    earlier = len(places) - len(batches)
    completed = progress_bar(complete_batches(batches), "answering", "batches", len(places), earlier)
    for done, (batch, completions) in enumerate(completed, start=earlier + 1):
        finished.write(batch.number, _table(completions))
        log.info("%d of %d batches done", done, len(places))
    order = [index for members in places for index in members]
    back = sorted(range(len(order)), key=order.__getitem__)
    return finished.read(len(places), COLUMNS).take(back).append_column("seed", pa.array(seeds, pa.int64()))


def _table(completions: list[Completion]) -> pa.Table:
    return pa.table({name: [getattr(one, name) for one in completions] for name in COLUMNS.names}, schema=COLUMNS)
