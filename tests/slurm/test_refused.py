"""A job that `sbatch` refuses while others run: what becomes of those, and of the study."""

import subprocess
import sys
from pathlib import Path

import pytest

from chord.io.files import read_json
from tests.slurm.cluster import wait_for
from tests.slurm.site import ALONE, QUICK, RESULTS, newest, site

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
LONG, FIRST, REFUSED = (f"runs/{run}/seed-0/manifest.json" for run in ("chord_phi", "sft_best", "sft_best_rl"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return site(tmp_path_factory)


def test_a_refused_job_costs_nothing_but_itself(cluster, folder):
    """The partition takes no more jobs when two of them run: the one that comes after is refused."""
    before = len(cluster.queue())
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm", *QUICK, *ALONE]
    command += ["--config", "study=smoke", "--", *(str(RESULTS / run) for run in (LONG, REFUSED))]
    environment = cluster.environment | {"OMP_NUM_THREADS": "1"}
    long, first, refused = (folder / RESULTS / run for run in (LONG, FIRST, REFUSED))
    with open(folder / "output", "w+") as said:
        snakemake = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        try:
            wait_for(lambda: newest(long.parent) and cluster.queue("rule_train_", "sft_best"), snakemake)
            cluster("scontrol", "update", "PartitionName=gpu", "State=DRAIN")
            assert snakemake.wait(900) == 1
            said.seek(0)
            output = said.read()
            assert output.count("SLURM sbatch failed") == 4  # and three retries
            assert "Required partition not available" in output
            assert first.exists()
            assert long.exists()  # it ran on
            assert not refused.exists()
            entries = cluster.queue()[before:]
            assert not [job for job in entries if job.state not in ("COMPLETED", "FAILED")]  # and nothing runs on

            cluster("scontrol", "update", "PartitionName=gpu", "State=UP")
            finished = read_json(long)["finished"]
            again = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
            assert again.returncode == 0, again.stdout + again.stderr
            assert refused.exists()
            assert read_json(long)["finished"] == finished
            assert len(cluster.queue()) == before + len(entries) + 1
        except BaseException:
            said.seek(0)
            print(said.read()[-6000:])
            raise
        finally:
            snakemake.kill()
            cluster("scontrol", "update", "PartitionName=gpu", "State=UP")
