"""The page of a running study: what it counts from the study's files, and that only this machine can look at it."""

import http.client
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from chord.errors import UserError
from chord.plan import estimated_minutes, jobs
from chord.study import Study, load_study
from chord.watch.live_curves import LiveRuns
from chord.watch.progress import expected_jobs, progress
from chord.watch.server import make_server
from tests.helpers.browser import LACK, try_out

ROOT = Path(__file__).parents[2]
NOW = 1_000_000.0


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study("smoke", ROOT)


def log(folder: Path, name: str, minutes_ago: float, seconds: float | None = None) -> None:
    """A job that began `minutes_ago`; one that ended has a timing of `seconds`."""
    files = {"logs": ("log", ""), "timings": ("tsv", f"s\th:m:s\n{seconds}\t0:00:00\n")}
    for kind, (suffix, text) in files.items():
        if kind == "logs" or seconds is not None:
            path = folder / kind / f"{name}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            os.utime(path, (NOW - 60 * minutes_ago,) * 2)


def write_events(folder: Path, values: dict[str, list[tuple[int, float]]], began: float = NOW) -> None:
    """Events as training writes them: a step every 30 seconds."""
    writer = EventFileWriter(str(folder))
    for column, points in values.items():
        for step, value in points:
            summary = Summary(value=[Summary.Value(tag=f"train/{column}", simple_value=value)])
            writer.add_event(Event(step=step, wall_time=began + 30 * step, summary=summary))
    writer.close()


def test_it_expects_the_jobs_of_the_workflow(study: Study) -> None:
    names = [job.name for job in expected_jobs(study, ["main"])]
    assert len(names) == len(set(names)) == 62  # those of `snakemake -n`, less claims, reports and the target itself
    methods = "rl chord_mu chord_phi sft_light sft_best sft_light_rl sft_best_rl".split()
    assert {name for name in names if name.startswith("train/")} == {
        f"train/{method}-seed-{seed}" for method in methods for seed in (0, 1)
    }
    assert {"prepare", "experts", "benchmark/world_test", "score/original-seed-1-world_test", "cells/main"} <= set(
        names
    )
    assert "figure/main-frontier" in names


@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "config/studies").glob("*.yaml"))])
def test_it_expects_as_many_jobs_as_the_plan(name: str) -> None:
    study = load_study(name, ROOT)
    for targets in [*([comparison] for comparison in study.comparisons), study.regular]:
        planned = {rule: len(minutes) for rule, minutes in jobs(study, targets).items() if minutes}
        shown = planned.keys() - {"claims", "report"}
        assert Counter(job.rule for job in expected_jobs(study, targets)) == {rule: planned[rule] for rule in shown}


def test_minutes_left_are_the_plans_corrected_by_what_finished_jobs_took(study: Study, tmp_path: Path) -> None:
    named = {job.name: job for job in expected_jobs(study, study.regular)}
    plan = sum(job.minutes for job in named.values())
    (share,) = progress(study, tmp_path, {}, NOW).shares
    cores = len(os.sched_getaffinity(0))
    assert (share.done, share.jobs) == (0, 62)
    assert share.minutes_left == pytest.approx(plan / cores)
    trained = named["train/rl-seed-0"]
    assert trained.minutes == estimated_minutes(study, "train", "rl")
    log(tmp_path, trained.name, minutes_ago=9, seconds=180 * trained.minutes)  # three times as long as planned
    log(tmp_path, "train/rl-seed-1", minutes_ago=1)
    found = progress(study, tmp_path, {}, NOW)
    assert found.shares[0].done == 1
    assert found.shares[0].minutes_left == pytest.approx(3 * (plan - trained.minutes) / cores)
    assert [(one.job.name, one.minutes_left) for one in found.running] == [("train/rl-seed-1", 3 * trained.minutes)]
    found = progress(study, tmp_path, {"train/rl-seed-1": 0.0}, NOW)
    assert found.shares[0].minutes_left == pytest.approx(3 * (plan - 2 * trained.minutes) / cores)
    log(tmp_path, trained.name, minutes_ago=0)  # it runs again: the timing is an earlier attempt's
    assert progress(study, tmp_path, {}, NOW).shares[0].done == 0


def test_it_knows_whether_snakemake_holds_the_study(study: Study, tmp_path: Path) -> None:
    held = []
    for age in (None, 10, 1000):
        if age:
            (tmp_path / "lock").touch()
            os.utime(tmp_path / "lock", (NOW - age,) * 2)
        held.append(progress(study, tmp_path, {}, NOW).is_held)
    assert held == [False, True, False]


def test_curves_grow_with_the_events_of_a_run(study: Study, tmp_path: Path) -> None:
    place = tmp_path / "runs/rl/seed-1/tensorboard"
    runs = LiveRuns(study, tmp_path)
    runs.look()
    assert runs.chart()["comparisons"][0]["methods"] == []
    write_events(place, {"validation_accuracy": [(0, 0.25), (2, 0.5)], "step_seconds": [(1, 9.0), (2, 9.0)]})
    runs.look()
    (run,) = runs.runs.values()
    assert (run.name, run.last_step(), run.minutes_left(8)) == ("rl-seed-1", 2, 3.0)  # 6 steps of 30 seconds
    write_events(place, {"validation_accuracy": [(4, 0.75)]})
    runs.look()
    chart = runs.chart()
    accuracy = chart["panels"][0]["curves"]["rl-seed-1"]
    assert accuracy == {"x": [0, 2, 4], "mean": [25.0, 50.0, 75.0], "deviation": []}
    assert chart["comparisons"][0]["methods"][0]["title"] == "RL, seed 1"


@pytest.fixture
def server(study: Study, tmp_path: Path) -> Iterator[http.client.HTTPConnection]:
    write_events(tmp_path / "runs/rl/seed-0/tensorboard", {"validation_accuracy": [(0, 0.25), (3, 0.5)]})
    log(tmp_path, "train/rl-seed-0", minutes_ago=1)
    with make_server(study, tmp_path, 0) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield http.client.HTTPConnection("127.0.0.1", made.server_port, timeout=60)
        made.shutdown()
        thread.join()


def ask(server: http.client.HTTPConnection, method: str, path: str, **headers: str) -> tuple[int, str]:
    server.request(method, path, headers=headers)
    answer = server.getresponse()
    return answer.status, answer.read().decode()


def test_only_the_page_is_served_and_only_to_this_machine(server: http.client.HTTPConnection, study: Study) -> None:
    status, text = ask(server, "GET", "/")
    assert status == 200
    assert "step 3 of 3" in text
    assert "0 of 62" in text
    assert [ask(server, "GET", path)[0] for path in ("/etc/passwd", "/../README.md", "/state")] == [404] * 3
    assert [ask(server, method, "/")[0] for method in ("POST", "PUT", "DELETE")] == [501] * 3
    assert ask(server, "GET", "/", Host="elsewhere.example")[0] == 403
    server.connect()
    assert server.sock.getpeername()[0] == "127.0.0.1"
    with pytest.raises(UserError, match=f"--port: {server.port}: Address already in use; expected a free port"):
        make_server(study, Path(), server.port)


@pytest.mark.skipif(bool(LACK), reason=LACK)
def test_in_a_browser_it_follows_the_study(server: http.client.HTTPConnection, tmp_path: Path) -> None:
    before = ask(server, "GET", "/")[1]
    log(tmp_path, "train/rl-seed-0", minutes_ago=0, seconds=9)
    write_events(tmp_path / "runs/rl/seed-1/tensorboard", {"validation_accuracy": [(0, 0.5)]})
    after = ask(server, "GET", "/")[1]
    act = """
      const rows = () => document.querySelectorAll("#chart tbody tr").length;
      const found = [document.title, rows()];
      show(new DOMParser().parseFromString(AFTER, "text/html"));
      return [...found, document.title, rows(), document.querySelector("#live").textContent.includes("Nothing.")];
    """.replace("AFTER", json.dumps(after))
    for found in try_out(before, act, (1280, 400), tmp_path):
        assert found["acted"] == ["smoke: 0 of 62 jobs", 1, "smoke: 1 of 62 jobs", 2, True]
        assert found["violations"] == []
        assert found["overflow"] <= 0
