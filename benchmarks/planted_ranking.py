"""What known bugs of public trainers do to a ranking: methods of `tiny`, trained with each bug planted into our step.

    make replicate                                    # its data are used
    python -m benchmarks.planted_ranking --csv FILE   # 20 runs a seed, a core-minute or two each; resumes

Each bug of tests/helpers/planted_bugs.py that shows on one rank is planted into a process that trains one run, with the
study's specification, rows and start model. The accuracy is that on validation prompts after the last step, which
selects nothing here; the table has its mean over seeds.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import pytest

from chord.study import load_study
from chord.training.run import run
from tests.helpers import planted_bugs

STUDY, START = Path("results/tiny"), Path("models/world-base")
METHODS = ("rl", "sft_best", "chord_mu", "chord_phi")
BUGS = ("mean_per_micro_batch", "only_last_pass_is_kept", "one_term_is_divided_by_the_passes", "masked_tokens_count")


def train(folder: Path, bug: str, method: str, seed: int) -> float:
    """Train one run with the bug ("none": our step as it is); returns the last validation accuracy in percent."""
    out = folder / bug / method / f"seed-{seed}"
    if not (out / "manifest.json").is_file():
        with pytest.MonkeyPatch.context() as patch:
            if bug != "none":
                getattr(planted_bugs, bug)(patch)
            rows = {name: STUDY / "data" / f"{name}.jsonl" for name in ("validation", "rl", "experts")}
            spec = load_study("tiny").train_spec(method, seed)
            run(spec, START, rows["validation"], out, prompts=rows["rl"], experts=rows["experts"])
    return 100 * pd.read_csv(out / "curves.csv")["validation_accuracy"].dropna().iloc[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/planted_ranking"), help="folder of the runs")
    parser.add_argument("--csv", type=Path, required=True, help="the table, a row for each run")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each method with each bug (default: 2)")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time, a core each (default: 2)")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    runs = list(product(("none", *BUGS), METHODS, range(options.seeds)))
    with ProcessPoolExecutor(options.jobs, get_context("spawn"), max_tasks_per_child=1) as pool:
        accuracies = list(pool.map(train, *zip(*((options.out, *one) for one in runs), strict=True)))
    table = pd.DataFrame(runs, columns=["bug", "method", "seed"]).assign(validation_accuracy=accuracies)
    table.to_csv(options.csv, index=False, float_format="%.2f")
    means = table.pivot_table("validation_accuracy", "bug", "method", sort=False)
    print(means.round(1).to_string())


if __name__ == "__main__":
    main()
