"""The table of costs: exposure to the expert, tokens and minutes of all runs behind each method's result."""

from collections.abc import Sequence
from statistics import fmean

from chord.analysis.catalogue import TABLES
from chord.analysis.report.run_records import run_name
from chord.analysis.specs import TableSpec
from chord.analysis.tables.costs import Run, by_method, chain_costs, chains_of_runs
from chord.analysis.tables.entries import count, plural, span
from chord.analysis.tables.table import Entry, Table
from chord.io.provenance import json_hash

COLUMNS = {
    "rollouts": "Rollouts",
    "expert_rows": "Expert rows",
    "weighted_expert_rows": "weighted",
    "expert_passes": "passes",
    "trained_tokens": "Tokens trained",
    "generated_tokens": "generated",
    "tokens": "in total",
    "minutes": "Minutes",
}


def build(spec: TableSpec, runs: Sequence[Run], expert_set: int | None) -> Table:
    """What the runs that lead to each method's result have cost, as means over seeds.

    expert_set: number of rows in the study's expert set. A run whose protocol gives it a part of them has made so many
    passes over that part.
    """
    found = by_method(runs)
    rows, records, seeds_used, sets_used = [], [], set(), set()
    shown = [name for name in COLUMNS if name != "expert_passes" or expert_set]
    for method in spec.methods:
        chain = spec.chains[method.name]
        chains = chains_of_runs(found, chain)
        per_seed = [_costs(runs, expert_set) for runs in chains.values()] if chain else [_costs((), expert_set)]
        seeds_used |= {len(chains)} if chains else set()
        behind = [run for runs in chains.values() for run in runs]
        sets_used |= {run.expert_set or expert_set for run in behind if chain_costs([run])["expert_rows"]}
        identity = [[run.curves.method, run.seed_index, run.spec_hash] for run in behind]
        config_hash = json_hash(identity) if identity else None  # what trains nothing has no configuration
        entries = []
        for metric in shown:
            values = [costs[metric] for costs in per_seed]
            records.append(
                {
                    "method": method.name,
                    "title": method.title,
                    "metric": metric,
                    "estimate": fmean(values) if values else None,
                    "n_seeds": len(chains),
                    "seeds": list(chains),
                    "seed_estimates": values if chains else [],
                    "runs": [run_name(run.curves.path.parent) for run in behind],
                    "config_hash": config_hash,
                }
            )
            sizes = f"{plural(len(chains), 'seed')}: {' + '.join(chain)}" if chains else ""
            entries.append(Entry(count(fmean(values)), sizes=sizes) if values else Entry())
        rows.append((method.title, *entries))
    definition = TABLES[spec.name]
    header = ("Method", *(COLUMNS[name] for name in shown))
    notes = [
        "Means over seeds of everything spent on a method's result: SFT-then-RL rows hold their SFT run too, and steps"
        " after the delivered one count. Validation and the making of the expert rows are left out.",
        "Weighted: an expert row counts by the weight of its loss, a_ex times the mean token weight.",
        f"Passes: expert rows over the {_list(sets_used)} of the expert set." if expert_set and sets_used else "",
        "Tokens trained: prompt and response through a forward and a backward pass (groups of equal rewards have no"
        " gradient and are not computed); generated: response tokens of rollouts.",
        "Minutes: wall time of the steps on the machine that ran them, other jobs beside them.",
        f"Seeds: {span(seeds_used)}." if seeds_used else "",
    ]
    return Table(spec.name, definition.heading, header, tuple(rows), tuple(filter(None, notes)), tuple(records))


def _costs(runs: Sequence[Run], expert_set: int | None) -> dict[str, float]:
    """Of a chain of runs; `expert_passes` adds up those of each run over the rows that it may read."""
    costs = chain_costs(runs)
    if expert_set:
        costs["expert_passes"] = sum(chain_costs([run])["expert_rows"] / (run.expert_set or expert_set) for run in runs)
    return costs


def _list(sizes: set[int]) -> str:
    return " or ".join(count(size) for size in sorted(sizes))
