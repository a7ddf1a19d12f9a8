"""Short runs that share an entry of the queue: what they ask for, and what the failure of one costs the other."""

import subprocess
import sys
from pathlib import Path

import pytest

from chord.io.files import read_json
from tests.slurm.cluster import process_of, wait_for
from tests.slurm.site import QUICK, RESULTS, STEPS, newest, site

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return site(tmp_path_factory)


def test_a_run_that_fails_takes_nothing_from_the_others_of_its_entry(cluster, folder):
    runs = [folder / RESULTS / f"runs/chord_phi/seed-{seed}" for seed in SEEDS]
    before = len(cluster.queue())
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", *QUICK]
    command += ["--config", "study=smoke", "--", *(str(run.relative_to(folder) / "manifest.json") for run in runs)]
    environment = cluster.environment | {"OMP_NUM_THREADS": "1"}
    with open(folder / "output", "w+") as said:
        snakemake = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        try:
            first = wait_for(lambda: [run for run in runs if (run / "manifest.json").exists()], snakemake)[0]
            manifest = (first / "manifest.json").read_bytes()
            weights = (first / "model/model.safetensors").read_bytes()
            (second,) = (run for run in runs if run != first)
            assert newest(second) == 0  # one at a time
            wait_for(lambda: newest(second) >= 4, snakemake)
            process_of(folder, "train", str(second.relative_to(folder))).kill()
            wait_for(lambda: not (first / "manifest.json").exists(), snakemake)  # Snakemake deletes what the entry made
            assert snakemake.wait(900) == 0
        except BaseException:
            said.seek(0)
            print(said.read()[-6000:])
            raise
        finally:
            snakemake.kill()

    entries = [job for job in cluster.queue()[before:] if job.comment.startswith("rule_training")]
    assert [job.state for job in entries] == ["FAILED", "COMPLETED"]
    asked = cluster.details(entries[0])
    assert (asked["TresPerJob"], asked["MinMemoryNode"], asked["TimeLimit"]) == ("gres:gpu:1", "3000M", "00:20:00")
    assert (first / "manifest.json").read_bytes() == manifest
    assert (first / "model/model.safetensors").read_bytes() == weights
    assert 4 <= read_json(second / "manifest.json")["resumed_after_step"] < STEPS
    assert not list(folder.glob(f"{RESULTS}/**/checkpoints"))
