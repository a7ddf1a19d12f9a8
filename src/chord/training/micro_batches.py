"""How the rows of an optimizer step become this rank's forward passes, and what the sum over each row is divided by."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from chord.objectives import divisors
from chord.training.scale.sharding import is_sharded
from chord.training.sequences import Sequence
from chord.training.train_spec import Stage


@dataclass(frozen=True)
class Term:
    """This rank's rows of one of the two sums, L_rl or L_ex."""

    name: Literal["rl", "expert"]
    rows: list[Sequence]
    advantages: Tensor | None = None  # (rows,): of rollouts, and of expert rows that join their groups
    flat: frozenset[int] = frozenset()  # rows without a gradient: their tokens count, but no pass computes them
    weights: list[Tensor] | None = None  # (response tokens,) of each row, where they depend on other expert rows
    old_logps: list[Tensor] | None = None  # (response tokens,) of each row, if the expert loss has an old policy
    engine_logps: list[list[float]] | None = None  # of each row, where they may differ from the model's or are read


@dataclass(frozen=True)
class MicroBatch:
    """The rows of one forward pass. Without rows it has no effect: all ranks take part in a step, or in each pass."""

    rows: list[tuple[Term, int]]  # (term, index of the row in it)
    counts: list[float]  # what the sum over each row is divided by: the global token count, or what a compat rule says

    @property
    def sequences(self) -> list[Sequence]:
        return [term.rows[i] for term, i in self.rows] or [Sequence([0], [0])]

    def places(self, name: str) -> list[int]:
        """The places of the rows of the terms with this name."""
        return [place for place, (term, _) in enumerate(self.rows) if term.name == name]

    def parts(self) -> list[tuple[Term, list[int], list[int], float]]:
        """(term, indices of rows in it, their places in the micro-batch, their count) for each term and count."""
        places = defaultdict(list)
        for place, ((term, _), count) in enumerate(zip(self.rows, self.counts, strict=True)):
            places[term.name, count].append(place)
        return [
            (self.rows[part[0]][0], [self.rows[place][1] for place in part], part, count)
            for (_, count), part in places.items()
        ]


def micro_batches(
    stage: Stage, sums: list[list[Term]], shares_prompts: bool, accelerator: Accelerator
) -> list[MicroBatch]:
    """The passes of this rank over all terms. sums: terms that are divided by the same number. Every rank calls it."""
    counts = {
        term.name: row for terms in sums for term, row in zip(terms, _counts(stage, terms, accelerator), strict=True)
    }
    rows = [(term, i) for terms in sums for term in terms for i in range(len(term.rows)) if i not in term.flat]
    batches = [
        MicroBatch([rows[i] for i in chunk], [counts[rows[i][0].name][rows[i][1]] for i in chunk])
        for chunk in passes([term.rows[i] for term, i in rows], stage.micro_batch_tokens, shares_prompts)
    ]
    most = max(gather_object([len(batches)])) if is_sharded(accelerator) else 1
    return batches + [MicroBatch([], [])] * (most - len(batches))


def _counts(stage: Stage, terms: list[Term], accelerator: Accelerator) -> list[list[float]]:
    """For each row of each term, the divisor of its sum; it does not depend on the split into passes.

    The compat rules divide as their frameworks do, where micro-batches have a fixed number of rows.
    """
    size = stage.micro_batch_rows or max(1, *(len(term.rows) for term in terms))
    chunks = [
        (number, term.rows[start : start + size])
        for number, term in enumerate(terms)
        for start in range(0, len(term.rows), size)
    ]
    sizes = [(sum(len(row.response_ids) for row in rows), len(rows)) for _, rows in chunks]
    ranks = gather_object([sizes])
    every = [size for own in ranks for size in own]
    divided = divisors([tokens for tokens, _ in every], [rows for _, rows in every], stage.normalisation)
    first = sum(map(len, ranks[: accelerator.process_index]))
    counts: list[list[float]] = [[] for _ in terms]
    for (number, rows), count in zip(chunks, divided[first : first + len(chunks)], strict=True):
        counts[number] += [count] * len(rows)
    return counts


def passes(sequences: list[Sequence], limit: int, shares_prompts: bool) -> list[list[int]]:
    """Split rows into passes of at most `limit` tokens each; a row with more gets a pass of its own.

    shares_prompts: whether a pass computes equal prompts once, without padding; otherwise it pads each of its rows to
    the longest. Returns the indices of each pass's rows.
    """
    return _packed(sequences, limit) if shares_prompts else _padded(sequences, limit)


def _packed(sequences: list[Sequence], limit: int) -> list[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, sequence in enumerate(sequences):
        groups[tuple(sequence.prompt_ids)].append(index)
    split: list[list[int]] = []
    room = 0
    for members in groups.values():
        has_prompt = False  # the current pass
        for index in members:
            sequence = sequences[index]
            tokens = len(sequence.response_ids) if has_prompt else len(sequence)
            if tokens > room or not split:
                split.append([])
                room, tokens = limit, len(sequence)
            split[-1].append(index)
            room -= tokens
            has_prompt = True
    return split


def _padded(sequences: list[Sequence], limit: int) -> list[list[int]]:
    """Rows of similar length come together, the longest first, so that a lack of memory shows at once."""
    split: list[list[int]] = []
    for index in sorted(range(len(sequences)), key=lambda i: -len(sequences[i])):
        if not split or (len(split[-1]) + 1) * len(sequences[split[-1][0]]) > limit:
            split.append([])
        split[-1].append(index)
    return split
