"""How the rows of an optimizer step become this rank's forward passes, and what the sum of each pass is divided by."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from chord.objectives import divisors
from chord.training.scale.sharding import is_sharded
from chord.training.sequences import Sequence
from chord.training.train_spec import HybridStage


@dataclass(frozen=True)
class Term:
    """This rank's rows of one of the two sums, L_rl or L_ex."""

    name: Literal["rl", "expert"]
    rows: list[Sequence]
    advantages: Tensor | None = None  # (rows,): of rollouts, and of expert rows that join their groups
    flat: frozenset[int] = frozenset()  # rows without a gradient: their tokens count, but no pass computes them
    weights: list[Tensor] | None = None  # (response tokens,) of each row, where they depend on other expert rows


@dataclass(frozen=True)
class MicroBatch:
    """The rows of one forward pass."""

    term: Term
    indices: list[int]
    count: float  # what their sum is divided by: the global token count, or what a compat rule says
    padding: bool = False  # a pass without effect, because sharded weights need equally many passes of all ranks

    @property
    def rows(self) -> list[Sequence]:
        return [self.term.rows[i] for i in self.indices]


def chunks(stage: HybridStage, rows: list[Sequence], flat: Collection[int] = ()) -> list[list[int]]:
    """The indices of rows, split into micro-batches."""
    order = list(range(len(rows)))
    if stage.normalisation == "global":
        # The composition changes nothing, so choose the one with the least padding, the largest first (memory).
        order.sort(key=lambda i: (i in flat, -len(rows[i])))
    size = stage.micro_batch_rows
    return [order[start : start + size] for start in range(0, len(order), size)]


def micro_batches(stage: HybridStage, terms: list[Term], accelerator: Accelerator) -> list[MicroBatch]:
    """The passes of this rank over terms that are divided by the same number. Every rank calls it."""
    parts = [(term, chunk) for term in terms for chunk in chunks(stage, term.rows, term.flat)]
    sizes = [(sum(len(term.rows[i].response_ids) for i in chunk), len(chunk)) for term, chunk in parts]
    counts = divisors(*zip(*gather_object(sizes), strict=True), stage.normalisation)
    first = accelerator.process_index * len(parts)  # every rank has the same number of rows, hence of parts
    batches = []
    for (term, chunk), count in zip(parts, counts[first : first + len(parts)], strict=True):
        if live := [i for i in chunk if i not in term.flat]:
            batches.append(MicroBatch(term, live, count))
    # A rank without a live row of a term still takes part in it, with a gradient that is exactly zero.
    present = {batch.term.name for batch in batches}
    batches += [MicroBatch(term, [0], math.inf) for term in terms if term.name not in present]
    if is_sharded(accelerator):
        most = max(gather_object([len(batches)]))
        batches += [MicroBatch(terms[0], [0], math.inf, padding=True)] * (most - len(batches))
    return batches
