"""Which rows an optimizer step sees: a function of (seed, step) alone, so a resumed run needs no position and
every method of a seed sees the same rows in the same order, whether or not its schedule uses them."""

import numpy as np


def row_order(n_rows: int, count: int, seed: int) -> list[int]:
    """The first `count` indices of an endless pass over `n_rows` rows, newly permuted in every epoch."""
    if n_rows < 1 <= count:
        raise ValueError("a stream needs at least one row")
    order: list[int] = []
    epoch = 0
    while len(order) < count:
        order.extend(np.random.default_rng([seed, epoch]).permutation(n_rows).tolist())
        epoch += 1
    return order[:count]
