"""Measures planning: `snakemake -n` on a study of 1,000 runs, and a call of `smoke` that has nothing to do.

    python -m benchmarks.plan              limits: 30 s for 1,000 runs, 5 s for a call with nothing to do
    python -m benchmarks.plan --profile    also show where the time of the first plan goes

The study is `tiny` with more seeds and all comparisons. It is planned from nothing, after everything is done, and after
one method has changed; finished results are empty files that Snakemake has recorded. Seconds are the user CPU time of
Snakemake and its children, which other work on the machine hardly changes; wall time is shown as well.
"""

import argparse
import math
import os
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chord.plan import jobs
from chord.study import load_study
from tests.helpers.workflow import ROOT, copy_checkout, pretend_finished, snakemake

SMOKE = ("--config", "study=smoke", "--", "main")


def timed(title: str, folder: Path, *arguments: str) -> None:
    wall, user = time.perf_counter(), os.times().children_user
    snakemake(folder, *arguments)
    wall, user = time.perf_counter() - wall, os.times().children_user - user
    print(f"{title:32} {user:6.1f} s user {wall:6.1f} s wall", flush=True)


def many_runs(folder: Path, runs: int, profile: bool) -> None:
    one_seed = load_study("tiny", ROOT, seeds=1)
    methods = len(jobs(one_seed, one_seed.comparisons)["train"])
    seeds = math.ceil(runs / methods)
    study = ("--config", "study=tiny", f"seeds={seeds}")
    plan = ("-n", "--quiet", "all", *study)
    count = f"{seeds * methods:,} runs"
    timed(f"{count}, from nothing", folder, *plan)
    if profile:
        file = folder / "plan.prof"
        command = [sys.executable, "-m", "cProfile", "-o", file, "-m", "snakemake", *plan]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        pstats.Stats(str(file)).sort_stats("tottime").print_stats(25)
    pretend_finished(folder, *study)
    timed(f"{count}, all done", folder, *plan)
    method = folder / "config/methods/chord_phi.yaml"
    method.write_text(method.read_text(encoding="utf-8").replace("mu: 0.1", "mu: 0.11"), encoding="utf-8")
    timed(f"{count}, one method changed", folder, *plan)


def nothing_to_do(folder: Path) -> None:
    pretend_finished(folder, *SMOKE)
    timed("smoke, nothing to do", folder, *SMOKE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--profile", action="store_true", help="show where the time of planning goes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkout = copy_checkout(Path(folder) / "checkout")
        nothing_to_do(checkout)
        many_runs(checkout, arguments.runs, arguments.profile)


if __name__ == "__main__":
    main()
