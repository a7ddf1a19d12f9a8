"""The smoke study through a real SLURM ends as it ends here, whatever its jobs meet; and what they asked for."""

import csv
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from chord.io.files import read_json
from chord.training.curve_columns import CLOCK
from tests.helpers.workflow import snakemake
from tests.slurm.site import RESULTS, STEPS, git

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def rows_of(path: Path) -> list[dict]:
    """Lines of a table or of curves, without what is measured on the clock."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get("metric") != "processor_minutes"]
    return [{name: value for name, value in row.items() if name not in CLOCK} for row in rows]


def both(happened, pattern: str) -> list[tuple[Path, Path]]:
    """The files that match in both results, in pairs; they must be the same ones."""
    places = [folder / RESULTS for folder in (happened.folder, happened.local)]
    names = [sorted(str(path.relative_to(place)) for path in place.glob(pattern)) for place in places]
    assert names[0] == names[1]
    assert names[0], pattern
    return [tuple(place / name for place in places) for name in names[0]]


@pytest.mark.parametrize("pattern", ["main/tables/*.csv", "claims/*/*.csv", "runs/*/*/curves.csv"])
def test_every_table_and_curve_equals_the_local_ones(happened, pattern):
    for there, here in both(happened, pattern):
        assert rows_of(there) == rows_of(here), there


@pytest.mark.parametrize("pattern", ["main/*.parquet", "runs/*/*/*.parquet"])
def test_every_cell_and_completion_equals_the_local_one(happened, pattern):
    for there, here in both(happened, pattern):
        assert pq.read_table(there).to_pylist() == pq.read_table(here).to_pylist(), there


def test_weights_data_and_report(happened):
    for pattern in ("runs/*/*/model/*", "data/*.jsonl", "data/benchmarks/*.jsonl"):
        for there, here in both(happened, pattern):
            assert there.read_bytes() == here.read_bytes(), there
    assert both(happened, "report*.html")


def test_a_killed_job_and_one_at_its_time_limit_go_on_from_their_checkpoints(happened):
    first, second, *_ = happened.killed
    assert first.state == "FAILED"
    assert second.state == "FAILED"  # by its own end, before the scheduler had to kill it
    stops = re.findall(rf"seed-0: stopped by SIGTERM and saved after step (\d+) of {STEPS}", happened.output)
    (stopped_after,) = set(stops)
    manifest = read_json(happened.folder / RESULTS / "runs/chord_phi/seed-0/manifest.json")
    assert happened.killed_after < manifest["resumed_after_step"] == int(stopped_after) < STEPS


def test_a_preempted_job_goes_on_from_its_checkpoint(happened):
    assert happened.restarts == 1
    jobs = [job for job in happened.queue if job.partition == "scavenge"]
    assert [job.state for job in jobs] == ["COMPLETED"]  # the same entry of the queue, not a new one
    manifest = read_json(happened.folder / RESULTS / "runs/chord_phi/seed-1/manifest.json")
    assert 4 <= happened.preempted_after <= manifest["resumed_after_step"] < STEPS


def test_jobs_run_the_source_that_they_were_planned_with(happened):
    assert happened.pending
    assert git(happened.folder, "rev-parse", "HEAD") != happened.commit
    manifests = [path for pair in both(happened, "**/*manifest.json") for path in pair if "source" not in path.parts]
    assert len(manifests) > 40
    code = [read_json(path)["code"] for path in manifests]
    assert {item["git_commit"] for item in code} == {happened.commit}
    assert len({item["source_sha256"] for item in code}) == 1
    git(happened.folder, "checkout", "--quiet", happened.commit)
    for folder in (happened.folder, happened.local):
        again = snakemake(happened.folder, "-n", "--directory", str(folder), "--config", "study=smoke").stdout
        assert "Nothing to be done" in again


def test_jobs_ask_for_what_the_study_says(happened, cluster):
    assert happened.devices == "0"
    assert {job.node for job in happened.queue} == {"node1", "node2"}
    for job in happened.queue:
        asked = cluster.details(job)
        if "_train_" in job.comment or "_generate_" in job.comment:
            assert (asked["TresPerJob"], asked["MinMemoryNode"]) == ("gres:gpu:1", "3000M")
            assert job.partition == ("scavenge" if job.comment.endswith("chord_phi_1") else "gpu")
        else:
            assert "TresPerJob" not in asked
            assert job.partition == "cpu"
        if job.comment.endswith(("_train_wildcards_rl_0", "_experts")):
            assert asked["TimeLimit"] == ("00:10:00" if "train" in job.comment else "00:05:00")


def test_short_jobs_share_entries_of_the_queue(happened):
    """Of 67 jobs: 14 runs and 3 further attempts, experts, and groups of rows, evaluations and analyses."""
    others = [job for job in happened.queue if not job.comment.startswith("rule_train_")]
    assert len(others) <= 5
