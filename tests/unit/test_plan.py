"""The plan's numbers against numbers worked out by hand for the small study of `study_files`."""

import pytest

from chord.plan import estimated_minutes, jobs, plan_text, questions, work
from chord.study import load_study
from tests.unit.study_files import STUDY_FILE, Root


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path)


def load(root):
    return load_study("small", root.path)


def test_work_of_sft(root):
    # 40 expert rows x 2 epochs = 80 rows, 8 a step: 10 steps. Validation at 0, 4, 8, 10: 4 x 10 rows x 2 samples.
    found = work(load(root), "sft")
    assert (found.steps, found.rollouts, found.expert_rows, found.expert_passes) == (10, 0, 80, 2.0)
    assert (found.expert_weight, found.validated) == (80.0, 80)
    assert found.max_tokens == 80 * 50 + 80 * 10


def test_a_last_step_that_is_not_full_counts(root):
    root.set(STUDY_FILE, "data", "sft", value=41)  # 82 rows: ten full steps and one of two rows
    assert work(load(root), "sft").steps == 11


def test_work_of_rl_reads_no_expert_rows(root):
    # 10 steps x 3 prompts x 4 rollouts
    found = work(load(root), "rl")
    assert (found.steps, found.rollouts, found.expert_rows, found.expert_weight) == (10, 120, 0, 0.0)
    assert found.max_tokens == 120 * 20 + 80 * 10


def test_work_of_a_decay_to_zero(root):
    # Cosine from 1 to 0 in 4 steps, counted from 1: mu = .853553, .5, .146447, then 0; so 3 steps x 8 rows.
    found = work(load(root), "decay")
    assert (found.rollouts, found.expert_rows) == (120, 24)
    assert found.expert_passes == pytest.approx(24 / 40)
    assert found.expert_weight == pytest.approx(8 * 1.5)
    assert found.max_tokens == 120 * 20 + 24 * 50 + 80 * 10


def test_nothing_is_sampled_where_rl_has_no_weight(root):
    schedule = {"name": "step", "steps": 4, "before": 1.0, "after": 0.0}
    root.set(STUDY_FILE, "methods", "decay", value={"stage": {"schedule": schedule}})
    found = work(load(root), "decay")
    assert (found.rollouts, found.expert_rows) == (6 * 12, 4 * 8)


def test_work_with_a_trace_for_each_prompt(root):
    # 10 steps x 3 prompts, each with 4 rollouts and 1 trace; the traces are those of the 20 RL prompts.
    joined = {
        "schedule": {"name": "free", "rl": 1.0, "expert": 1.0},
        "router": {"name": "joined", "scale": "none"},
        "expert_loss": {"name": "shaped", "gamma": 0.1},
    }
    root.set(STUDY_FILE, "methods", "decay", value={"stage": joined})
    found = work(load(root), "decay")
    assert (found.rollouts, found.expert_rows, found.expert_passes) == (120, 30, 1.5)
    assert len(jobs(load(root), ["main"])["experts"]) == 2


def test_work_of_a_mu_that_depends_on_the_run_is_an_upper_bound(root):
    schedule = {"name": "reward_driven", "threshold": 0.5}
    root.set(STUDY_FILE, "methods", "decay", value={"stage": {"schedule": schedule}})
    found = work(load(root), "decay")
    assert (found.rollouts, found.expert_rows, found.expert_weight) == (120, 80, 40.0)


def test_questions(root):
    study = load(root)
    assert questions(study.benchmarks["world"]) == 2 * 5
    assert questions(study.benchmarks["skills"]) == 6


def test_minutes_of_a_training_job(root):
    # rl: 200 completions of 4 tokens at 10/s = 80 s; 120 rows of 6 + 4 tokens at 100/s = 12 s; start 30 s.
    assert estimated_minutes(load(root), "train", "rl") == pytest.approx((30 + 80 + 12) / 60)
    # sft: 80 completions of 9 tokens = 72 s; 80 rows of 6 + 9 tokens = 12 s.
    assert estimated_minutes(load(root), "train", "sft") == pytest.approx((30 + 72 + 12) / 60)
    # sft_rl answers at the expert's length: 200 x 9 tokens = 180 s; 120 rows of 6 + 9 tokens = 18 s.
    assert estimated_minutes(load(root), "train", "sft_rl") == pytest.approx((30 + 180 + 18) / 60)


def test_minutes_of_other_jobs(root):
    study = load(root)
    # world: 10 questions x 4 samples x 4 tokens at 10/s = 16 s, or x 9 tokens = 36 s
    assert estimated_minutes(study, "generate", "original", "world") == pytest.approx((30 + 16) / 60)
    assert estimated_minutes(study, "generate", "sft_rl", "world") == pytest.approx((30 + 36) / 60)
    assert estimated_minutes(study, "score") == pytest.approx(6 / 60)
    assert estimated_minutes(study, "experts") == pytest.approx(30 / 60)


def test_jobs_of_a_comparison_train_what_a_method_starts_from_but_do_not_evaluate_it(root):
    found = jobs(load(root), ["main"])
    # rl, sft, sft_rl, decay in two seeds; original, rl, sft_rl, decay on two benchmarks in two seeds
    assert {rule: len(minutes) for rule, minutes in found.items()} == {
        "prepare": 1,
        "benchmark": 2,
        "experts": 1,
        "train": 8,
        "generate": 16,
        "score": 16,
        "cells": 1,
        "table": 1,
        "figure": 0,
        "claims": 1,
        "report": 1,
    }


def test_text(root):
    lines = plan_text(load(root), cores=2).splitlines()
    assert lines[0] == "small: A study"
    assert "  original  the start model" in lines
    (row,) = [line.split() for line in lines if line.startswith("  decay")]
    assert row == ["decay", "base", ">", "hybrid", "10", "120", "24", "0.6", "12", "4,400", "3.9"]
    (row,) = [line.split() for line in lines if line.startswith("  world")]
    assert row == ["world", "10", "4", "40", "800", "1", "1", "paper"]
    (row,) = [line.split() for line in lines if line.startswith("  main")]
    assert row[:5] == ["main", "Table", "1", "8", "48"]
    assert lines[-1] == "* An estimate. Speeds were measured on: paper and pencil."


def test_a_study_that_means_nothing_says_so(root):
    assert "Its numbers mean nothing." not in plan_text(load(root))
    root.set(STUDY_FILE, "meaningful", value=False)
    assert plan_text(load(root)).splitlines()[1] == "Its numbers mean nothing."


def test_the_plan_says_what_each_protocol_gives(root):
    root.set(STUDY_FILE, "protocols", value={"few": {"title": "Few rows", "sft": {"expert_set": 16}}})
    assert "  few  Few rows" in plan_text(load(root), cores=2)
