"""Draws SFT, RL, validation and priming rows so that no function is on two sides, test questions included.

Rows that offer the same function, or whose questions are near-duplicates (`chord.data.contamination`), belong to one
family, and so do rows that are linked by others. A family is on one side, whole or in part. Two functions are the same
if their names are (letters and digits; case and signs do not count), or the names of their parameters, if there are at
least two. A function that is only offered, and not called, counts as well.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from chord.data.contamination import Report, TestQuestion, TestQuestions
from chord.data.pool import Pool
from chord.data.row_format import identity, question_of
from chord.data.splits import PRIMING, VALIDATION, Draw, draw_order, question_index, take

SAME_PARAMETERS = 2  # `city` alone makes no two functions the same


def draw_by_function(
    pool: Pool, sizes: Mapping[str, int], benchmarks: Mapping[str, list[dict]], seed: int, draw: int
) -> Draw:
    """Draw the splits that have a size. benchmarks: name -> rows that no split may repeat, in question or function.

    Validation is drawn first, then priming, and both are the same in every draw; then SFT, then RL. Each takes whole
    families in an order of its own (`choose_families`). Where it takes part of one, the rest of that family is on no
    side.
    """
    tests = list(chain.from_iterable(benchmarks.values()))
    report = Report([*benchmarks])
    questions = question_index(benchmarks)
    for row in pool.rows:
        if matches := questions.matches(question_of(row)):
            report.drop(row["id"], matches)
    by_identity = {identity(row): row for row in reversed(pool.rows)}
    rows = list(reversed(by_identity.values()))
    pool.drops["repeated"] = len(pool.rows) - len(rows)
    numbers = families([*rows, *tests])
    tested = set(numbers[len(rows) :])
    left: dict[int, list[dict]] = {}
    for row, family in zip(rows, numbers, strict=False):
        if family not in tested:
            left.setdefault(family, []).append(row)
    pool.drops["function_or_question_of_a_benchmark"] = len(rows) - sum(map(len, left.values()))

    splits, available = {}, {}
    for split, number in ((VALIDATION, ()), (PRIMING, ()), ("sft", (draw,)), ("rl", (draw,))):
        if split not in sizes:
            continue
        available[split] = sum(map(len, left.values()))
        order = draw_order(seed, split, *number)
        chosen = choose_families(left, sizes[split], order)
        candidates = list(chain.from_iterable(left.pop(family) for family in chosen))
        splits[split] = take(split, candidates, sizes, order, pool)
    return Draw({name: splits[name] for name in sizes}, available, report)


def families(rows: Sequence[dict]) -> list[int]:
    """The number of the family of each row. Rows without functions are linked by their questions only."""
    numbers: dict[tuple, int] = {}
    links = [
        (place, len(rows) + numbers.setdefault(key, len(numbers)))
        for place, row in enumerate(rows)
        for function in row["meta"].get("functions", ())
        for key in _keys(function)
    ]
    texts = [question_of(row) for row in rows]
    questions = TestQuestions(TestQuestion("", str(place), text) for place, text in enumerate(texts))
    links += [(place, int(match.row_id)) for place, text in enumerate(texts) for match in questions.matches(text)]
    size = len(rows) + len(numbers)
    first, second = zip(*links, strict=True) if links else ((), ())
    graph = coo_array((np.ones(len(links)), (first, second)), shape=(size, size))
    return connected_components(graph, directed=False)[1][: len(rows)].tolist()


def _keys(function: dict) -> list[tuple]:
    """Two functions with a key in common are the same."""
    name = "".join(filter(str.isalnum, function["name"].casefold()))
    parameters = frozenset(function["parameters"]["properties"])
    return [("name", name)] + [("parameters", parameters)] * (len(parameters) >= SAME_PARAMETERS)


def choose_families(families: Mapping[int, list[dict]], count: int, order: Callable[[dict], int]) -> list[int]:
    """The families whose rows fill `count` places, in their order; the last may have more rows than there is room.

    A family that would be more than a tenth of these rows is taken only if no other is left, the smallest first: or one
    function would decide what a benchmark or a validation measures.
    """
    chosen, missing, skipped = [], count, []
    for family in sorted(families, key=lambda family: min(map(order, families[family]))):
        if not missing:
            break
        if len(families[family]) <= min(missing, max(1, count // 10)):
            chosen.append(family)
            missing -= len(families[family])
        else:
            skipped.append(family)
    for family in sorted(skipped, key=lambda family: len(families[family])):
        if missing <= 0:
            break
        chosen.append(family)
        missing -= len(families[family])
    return chosen
