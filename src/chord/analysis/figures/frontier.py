"""The compute frontier: a method's validation accuracy against all tokens spent on it, those of its start included.

A point stands for one validation: x is the tokens (trained and generated, see `costs`) that led to these weights, y
their accuracy, both averaged over seeds at the same optimizer step. A run that starts from another's result goes on
where that run had delivered it, so what the start cost is on the same axis as what came of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chord.analysis.figures.curves import Curve, RunCurves, curve
from chord.analysis.tables.costs import Run, chains_of_runs, tokens_before, tokens_so_far
from chord.errors import UserError


@dataclass(frozen=True)
class Frontier:
    """One method: the line of its own run, and the way of its start there (x and mean y), which other lines share."""

    own: Curve
    lead: tuple[tuple[float, float], ...]


def frontier(runs: dict[str, dict[int, Run]], chain: Sequence[str], column: str) -> Frontier:
    """runs: method -> seed index -> run. chain: the methods that lead to the result, first to last."""
    chains = chains_of_runs(runs, chain)
    if not chains:
        raise UserError(f"no seed has a run of each of {', '.join(chain)}")
    own = _over_tokens(list(chains.values()), column)
    if len(chain) == 1:
        return Frontier(own, ())
    start = frontier({name: {seed: runs[name][seed] for seed in chains} for name in chain[:-1]}, chain[:-1], column)
    # As far as every seed's start went; from there to where this run begins is a straight line.
    delivered = min(links[-2].delivered_step for links in chains.values())
    steps = curve([links[-2].curves for links in chains.values()], "step", column).x
    way = zip(start.own.x[steps <= delivered], start.own.mean[steps <= delivered], strict=True)
    return Frontier(own, (*start.lead, *((float(x), float(y)) for x, y in way), (float(own.x[0]), float(own.mean[0]))))


def _over_tokens(chains: list[list[Run]], column: str) -> Curve:
    """The last runs of the chains, lined up at the optimizer steps that all have; x is their mean tokens there."""
    runs = [_with_tokens(chain) for chain in chains]
    found, tokens = curve(runs, "step", column), curve(runs, "step", "tokens")
    return Curve(tokens.mean[np.isin(tokens.x, found.x)], found.values, found.seeds)


def _with_tokens(chain: list[Run]) -> RunCurves:
    """The curves of the chain's last run with a column of tokens, those of its start included."""
    run = chain[-1]
    columns = run.curves.columns | {"tokens": tokens_before(chain) + tokens_so_far(run)}
    return RunCurves(run.curves.path, run.curves.method, run.seed_index, columns)
