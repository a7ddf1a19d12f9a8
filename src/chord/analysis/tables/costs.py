"""What training has cost (rollouts, expert rows, tokens, minutes): a step, a run, all runs that lead to a result.

Tokens are counted in ways that add up to `tokens`:

    trained    prompt and response tokens through a forward and a backward pass; rollouts of groups whose rewards
               are all equal have no gradient, are not computed and do not count
    frozen     prompt and response tokens through a forward pass of a second, frozen model: the start model that a
               loss compares with, or a teacher
    generated  response tokens sampled in rollouts, with the end token; reading the prompts before them is not counted

Validation costs extra, the same for every method per validation, and is left out; so are the expert's own tokens, which
every method that reads expert rows shares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from chord.analysis.catalogue import TABLES
from chord.analysis.figures.run_curves import RunCurves, read_curves
from chord.analysis.report.run_records import run_name
from chord.analysis.specs import TableSpec
from chord.analysis.tables.table import Entry, Table
from chord.analysis.tables.wording import count, plural, span
from chord.io.files import read_json
from chord.io.provenance import json_hash

Array = NDArray[np.float64]
RUN_FILES = ("curves.csv", "manifest.json")
# Metric -> its title in the table, and its meaning (docs/files.md).
METRICS = {
    "rollouts": ("Rollouts", "number of sampled responses"),
    "expert_rows": ("Expert rows", "counted each time a row, or a prefix of it, is read"),
    "weighted_expert_rows": ("weighted", "expert rows times a_ex and the mean token weight"),
    "expert_passes": ("passes", "expert rows over the rows of the expert set that the run may read"),
    "trained_tokens": (
        "Tokens trained",
        "prompt and response, forward and backward; a prompt counts for each of its rows, though it is computed once; "
        "rollouts of groups with equal rewards have no gradient and are not computed",
    ),
    "generated_tokens": ("generated", "responses of rollouts; reading the prompts is not counted"),
    "frozen_tokens": (
        "read without gradient",
        "prompt and response tokens that the start model or a teacher reads, or the policy as its own teacher",
    ),
    "tokens": ("in total", "the sum of these three"),
    "processor_minutes": ("Core minutes", "wall time of the steps times ranks and threads, or on GPUs times ranks"),
}
TITLES = {name: title for name, (title, _) in METRICS.items()}
COSTS = tuple(name for name in METRICS if name != "expert_passes")


@dataclass(frozen=True)
class Run:
    """A run, as far as its cost needs it."""

    curves: RunCurves
    delivered_step: int  # the optimizer step whose weights are its result
    spec_hash: str
    expert_set: int | None  # how many expert rows it may read, if not all of the study's
    learns_from: tuple[str, ...]  # what it is told beyond its prompts
    processors: int  # cores, or GPUs where it trains on these
    on_gpus: bool

    @property
    def seed_index(self) -> int:
        return self.curves.seed_index


def read_run(folder: Path) -> Run:
    """folder: `runs/<method>/seed-<n>`."""
    manifest = read_json(folder / "manifest.json")
    stage, result = manifest["spec"]["stage"], manifest["result"]
    # Manifests of older runs have it only in the stage, and only if the stage reads a part.
    expert_set = result.get("expert_set", stage.get("expert_set"))
    on_gpus = manifest["device"] != "cpu"
    return Run(
        read_curves(folder),
        result["delivered_step"],
        manifest["spec_hash"],
        expert_set,
        tuple(manifest["learns_from"]),
        processors=manifest["ranks"] * (1 if on_gpus else manifest["threads"]),
        on_gpus=on_gpus,
    )


def by_method(runs: Sequence[Run]) -> dict[str, dict[int, Run]]:
    """Method -> seed index -> run."""
    methods: dict[str, dict[int, Run]] = {}
    for run in runs:
        methods.setdefault(run.curves.method, {})[run.seed_index] = run
    return methods


def chains_of_runs(runs: dict[str, dict[int, Run]], chain: Sequence[str]) -> dict[int, list[Run]]:
    """Seed index -> the runs of the chain, first to last. Seeds that lack one of them are left out."""
    seeds = set.intersection(*(set(runs.get(method, {})) for method in chain)) if chain else set()
    return {seed: [runs[method][seed] for method in chain] for seed in sorted(seeds)}


def step_costs(run: Run) -> dict[str, Array]:
    """Every cost of COSTS for each line of the curves; 0 if the step had none of it.

    Expert rows count once each time they are read, and weighted as their loss was: by a_ex times the mean token weight.
    """

    curves = run.curves

    def column(name: str) -> Array:
        return np.nan_to_num(curves.column(name))

    trained = column("train_tokens")
    frozen = column("frozen_tokens") if "frozen_tokens" in curves.columns else np.zeros_like(trained)
    generated = column("rollouts") * column("response_tokens_mean")
    return {
        "rollouts": column("rollouts"),
        "expert_rows": column("expert_rows"),
        "weighted_expert_rows": column("expert_rows") * column("a_ex") * column("token_weight_mean"),
        "trained_tokens": trained,
        "generated_tokens": generated,
        "frozen_tokens": frozen,
        "tokens": trained + generated + frozen,
        "processor_minutes": run.processors * column("step_seconds") / 60.0,
    }


def chain_costs(chain: Sequence[Run]) -> dict[str, float]:
    """The cost of these runs, including steps after the delivered ones."""
    totals = dict.fromkeys(COSTS, 0.0)
    for run in chain:
        for name, values in step_costs(run).items():
            totals[name] += float(values.sum())
    return totals


def tokens_so_far(run: Run) -> Array:
    """Tokens spent by the run itself, up to and including each line of its curves."""
    return np.cumsum(step_costs(run)["tokens"])


def tokens_before(chain: Sequence[Run]) -> float:
    """Tokens spent on the start of the chain's last run: by each earlier run, up to the step that it delivered."""
    return sum(float(tokens_so_far(run)[run.curves.column("step") <= run.delivered_step][-1]) for run in chain[:-1])


def costs_table(spec: TableSpec, runs: Sequence[Run], expert_set: int | None) -> Table:
    """What the runs that lead to each method's result have cost, as means over seeds.

    expert_set: number of rows in the study's expert set. If a run's protocol gives it only a part of them, its passes
    are counted over that part.
    """
    runs_of = by_method(runs)
    rows, records, seeds_used, sets_used = [], [], set(), set()
    hidden = {"expert_passes"} if not expert_set else set()
    if not any(chain_costs([run])["frozen_tokens"] for run in runs):
        hidden.add("frozen_tokens")
    metrics = [name for name in TITLES if name not in hidden]
    for method in spec.methods:
        chain = spec.chains[method.name]
        chains = chains_of_runs(runs_of, chain)
        per_seed = [_costs(runs, expert_set) for runs in chains.values()] if chain else [_costs((), expert_set)]
        seeds_used |= {len(chains)} if chains else set()
        behind = [run for runs in chains.values() for run in runs]
        sets_used |= {run.expert_set or expert_set for run in behind if chain_costs([run])["expert_rows"]}
        identity = [[run.curves.method, run.seed_index, run.spec_hash] for run in behind]
        config_hash = json_hash(identity) if identity else None  # a method that trains nothing has no configuration
        entries = []
        for metric in metrics:
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
        learns_from = ", ".join(sorted({source for run in behind for source in run.learns_from})) or "nothing"
        for record in records[-len(metrics) :]:
            record["learns_from"] = learns_from
        rows.append((method.title, *entries, Entry(learns_from)))
    definition = TABLES[spec.name]
    on_gpus = {run.on_gpus for run in runs}
    titles = TITLES | ({"processor_minutes": "GPU minutes"} if on_gpus == {True} else {})
    header = ("Method", *(titles[name] for name in metrics), "Learns from")
    notes = [
        "Means over seeds of everything spent on a method's result: SFT-then-RL rows hold their SFT run too, and steps"
        " after the delivered one count. Validation and the making of the expert rows are left out.",
        "Weighted: an expert row counts by the weight of its loss, a_ex times the mean token weight.",
        f"Passes: expert rows over the {_list(sets_used)} of the expert set." if expert_set and sets_used else "",
        "Tokens trained: prompt and response through a forward and a backward pass (groups of equal rewards have no"
        " gradient and are not computed); generated: response tokens of rollouts.",
        "Read by a frozen model: prompt and response tokens of which a loss also asks the start model or a teacher. The"
        " training of a teacher is left out, as the making of the expert rows is."
        if "frozen_tokens" in metrics
        else "",
        f"{titles['processor_minutes']}: wall time of the steps on the machine that ran them, other jobs beside them,"
        " times the run's ranks and threads (on GPUs: its ranks).",
        "Learns from: what training is told beyond its prompts.",
        f"Seeds: {span(seeds_used)}." if seeds_used else "",
    ]
    return Table(spec.name, definition.heading, header, tuple(rows), tuple(filter(None, notes)), tuple(records))


def _costs(runs: Sequence[Run], expert_set: int | None) -> dict[str, float]:
    """The costs of a chain of runs; `expert_passes` adds up the passes of each run over the rows that it may read."""
    costs = chain_costs(runs)
    if expert_set:
        costs["expert_passes"] = sum(chain_costs([run])["expert_rows"] / (run.expert_set or expert_set) for run in runs)
    return costs


def _list(sizes: set[int]) -> str:
    return " or ".join(count(size) for size in sorted(sizes))
