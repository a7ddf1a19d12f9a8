"""What training has cost, step by step: rollouts, expert rows, tokens, minutes. Of a run, and of all behind a result.

Tokens are counted in two ways that add up to `tokens`:

    trained    prompt and response tokens through a forward and a backward pass; rollouts of groups whose rewards
               are all equal have no gradient, are not computed and do not count
    generated  response tokens sampled in rollouts, with the end token; reading the prompts before them is not counted

Validation costs extra, the same for every method per validation, and is left out; so are the expert's own tokens, which
every method that reads expert rows shares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chord.analysis.figures.curves import RunCurves, read_curves
from chord.io.files import read_json

Array = NDArray[np.float64]
RUN_FILES = ("curves.csv", "manifest.json")
COSTS = ("rollouts", "expert_rows", "weighted_expert_rows", "trained_tokens", "generated_tokens", "tokens", "minutes")


@dataclass(frozen=True)
class Run:
    """A run with all that its cost needs."""

    curves: RunCurves
    delivered_step: int  # the optimizer step whose weights are its result
    spec_hash: str
    expert_set: int | None  # the expert rows that it may read, where these are not the study's expert set

    @property
    def seed_index(self) -> int:
        return self.curves.seed_index


def read_run(folder: Path) -> Run:
    """folder: `runs/<method>/seed-<n>`."""
    manifest = read_json(folder / "manifest.json")
    stage, result = manifest["spec"]["stage"], manifest["result"]
    # Manifests say it in their result; those of older runs only where the stage reads a part.
    expert_set = result.get("expert_set", stage.get("expert_set"))
    return Run(read_curves(folder), result["delivered_step"], manifest["spec_hash"], expert_set)


def by_method(runs: Sequence[Run]) -> dict[str, dict[int, Run]]:
    """Method -> seed index -> run."""
    found: dict[str, dict[int, Run]] = {}
    for run in runs:
        found.setdefault(run.curves.method, {})[run.seed_index] = run
    return found


def chains_of_runs(runs: dict[str, dict[int, Run]], chain: Sequence[str]) -> dict[int, list[Run]]:
    """Seed index -> the runs of the chain, first to last; only seeds that have them all."""
    seeds = set.intersection(*(set(runs.get(method, {})) for method in chain)) if chain else set()
    return {seed: [runs[method][seed] for method in chain] for seed in sorted(seeds)}


def step_costs(curves: RunCurves) -> dict[str, Array]:
    """Every cost of COSTS for each line of the curves; 0 where the step had none of it.

    Expert rows count once each time they are read, and weighted as their loss was: by a_ex times the mean token weight.
    """

    def column(name: str) -> Array:
        return np.nan_to_num(curves.column(name))

    trained = column("train_tokens")
    generated = column("rollouts") * column("response_tokens_mean")
    return {
        "rollouts": column("rollouts"),
        "expert_rows": column("expert_rows"),
        "weighted_expert_rows": column("expert_rows") * column("a_ex") * column("token_weight_mean"),
        "trained_tokens": trained,
        "generated_tokens": generated,
        "tokens": trained + generated,
        "minutes": column("step_seconds") / 60.0,
    }


def chain_costs(chain: Sequence[Run]) -> dict[str, float]:
    """Everything that was spent on these runs, steps after the delivered ones included."""
    totals = dict.fromkeys(COSTS, 0.0)
    for run in chain:
        for name, values in step_costs(run.curves).items():
            totals[name] += float(values.sum())
    return totals


def tokens_so_far(run: Run) -> Array:
    """Tokens spent by the run itself up to and with each line of its curves."""
    return np.cumsum(step_costs(run.curves)["tokens"])


def tokens_before(chain: Sequence[Run]) -> float:
    """Tokens that the start of the chain's last run has taken: of each earlier run up to the step it delivered."""
    return sum(float(tokens_so_far(run)[run.curves.column("step") <= run.delivered_step][-1]) for run in chain[:-1])
