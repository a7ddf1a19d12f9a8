"""`chord doctor` beside a cluster that answers."""

import pytest

from chord.doctor import cluster as doctor
from chord.study import load_study
from tests.helpers.study_files import STUDY_FILE, Root
from tests.helpers.workflow import ROOT

pytestmark = pytest.mark.slurm


def test_jobs_that_no_node_can_hold(cluster, tmp_path, monkeypatch):
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, cluster.environment[name])
    smoke = load_study("smoke", ROOT)
    assert [(one.state, one.subject) for one in doctor.findings(smoke, {})] == [("ok", "SLURM")]
    root = Root(tmp_path)
    root.set(STUDY_FILE, "resources", "train", "gpus", value=1000)
    ok, missing = doctor.findings(load_study("small", root.path), {})
    assert (ok.state, missing.state) == ("ok", "missing")
    assert missing.detail == "no node has 2 CPUs, 3,000 MB and 1000 GPUs for a job of train"
