"""The effective mu of our own step: no split and no rank changes it, and planted bugs of public trainers show."""

import json
from pathlib import Path

import pytest
import torch

from chord.cli import main
from chord.errors import UserError
from chord.probe import effective_mu
from chord.probe.measure import measure, pure_gradients
from chord.probe.own_step import probe_spec, take_step
from chord.training.train_spec import TrainSpec
from tests.helpers import gradient_ranks_worker, planted_bugs
from tests.helpers.probed_step import distance, probed, written_out
from tests.helpers.small_training import GATE, GRADIENT_NOISE, LUFFY, NEVER, SRFT, VALIDATION, hybrid_stage, sft_stage
from tests.helpers.training_runs import finish, start_ranks

TOP = {"token_weight": {"name": "entropy_top", "share": 0.05}}
ROOT = Path(__file__).parents[2]
MU = 0.4  # of `hybrid_stage`
PATHS = {
    "packed": {},
    "padded": {},  # as for a model that cannot share prompts
    "luffy": LUFFY,
    "srft": LUFFY | SRFT,
    "entropy top": TOP,
    "gate": GATE,
    "gradients apart": {"schedule": GRADIENT_NOISE},
    "adapters": {"lora": {"rank": 4, "alpha": 8}},
    "not reduced": {},  # with this bug planted
}


@pytest.fixture(scope="module")
def pure():
    """The pure gradients of CHORD-phi."""
    return pure_gradients(probed())


@pytest.fixture(scope="module")
def reference():
    """The same, written out."""
    return written_out(1)


def test_no_split_changes_mu(pure):
    found = measure(probed(), [1, 2, 4, 8], 1, pure)
    passes = [one.step.passes for one in found]
    assert passes[0] == 1
    assert all(split <= n <= split + 2 for split, n in zip([1, 2, 4, 8], passes, strict=True))
    for one in found:
        assert one.mu == pytest.approx(MU)
        assert one.effective.mu == pytest.approx(MU, abs=1e-5)
        assert (one.effective.a_rl, one.effective.a_ex) == pytest.approx((1 - MU, MU), abs=1e-5)
        assert one.effective.residual < 1e-5
        assert one.is_right
        assert distance(one.step.gradient, found[0].step.gradient) < 1e-5


@pytest.mark.parametrize("path", ["luffy", "srft", "entropy top", "gate", "gradients apart"])
def test_no_split_changes_mu_on_any_path_of_the_loss(path):
    spec = probed(**PATHS[path])
    (found,) = measure(spec, [8], 1, pure_gradients(spec))
    assert found.step.passes > 3
    assert found.is_right
    assert found.effective.residual < 1e-5


def test_pure_gradients_are_those_of_the_formulas(pure, reference):
    for ours, expected in zip(pure, reference, strict=True):
        assert distance(ours, expected) < 1e-4


@pytest.mark.parametrize("rule", ["trinity", "ms_swift"])
def test_compat_rules_have_the_mu_that_their_formula_gives(rule, pure, reference):
    """Four micro-batches, each divided by its own tokens; as all have 8 rows, both rules weight them alike."""
    one, four = measure(probed(normalisation=rule, micro_batch_rows=1), [1, 4], 1, pure)
    assert one.is_right
    parts = written_out(4)
    mixed = {name: (1 - MU) * parts[0][name] + MU * parts[1][name] for name in parts[0]}
    expected = effective_mu(mixed, *reference)
    assert abs(expected.mu - MU) > 1e-3
    assert four.effective.mu == pytest.approx(expected.mu, abs=1e-4)
    assert four.effective.residual == pytest.approx(expected.residual, abs=1e-3)
    assert not four.is_right


# The audit: what catches each planted bug, and what does not.


@pytest.mark.parametrize(
    "bug",
    [
        planted_bugs.mean_per_micro_batch,
        planted_bugs.only_last_pass_is_kept,
        planted_bugs.one_term_is_divided_by_the_passes,
    ],
)
def test_a_bug_of_accumulation_shows_in_mu_and_in_the_gradient_of_several_passes(bug, pure, monkeypatch):
    bug(monkeypatch)
    one, four = measure(probed(), [1, 4], 1, pure)
    assert one.is_right  # in one pass the bug is invisible
    assert not four.is_right
    assert distance(four.step.gradient, one.step.gradient) > 0.01


def test_a_divisor_for_each_pass_gives_the_mu_worked_out_by_hand(pure, monkeypatch):
    """(1 - mu) / n against mu; with n = 4, 0.4 / (0.15 + 0.4) = 8 / 11."""
    planted_bugs.one_term_is_divided_by_the_passes(monkeypatch)
    (four,) = measure(probed(), [4], 1, pure)
    assert four.effective.mu == pytest.approx(MU / ((1 - MU) / four.step.passes + MU), abs=1e-4)
    assert four.effective.residual < 1e-5


def test_a_divisor_that_counts_masked_tokens_shows_beside_the_formula(reference, monkeypatch):
    """It does so in every split alike: only an independent gradient can tell."""
    planted_bugs.masked_tokens_count(monkeypatch)
    steps = [take_step(probed(), split) for split in (1, 4)]
    assert distance(steps[1].gradient, steps[0].gradient) < 1e-5
    assert (
        distance(steps[0].gradient, {k: (1 - MU) * reference[0][k] + MU * reference[1][k] for k in reference[0]}) > 0.1
    )
    assert abs(effective_mu(steps[0].gradient, *reference).mu - MU) > 0.01


@pytest.fixture(scope="module")
def rank_gradients(tmp_path_factory) -> dict[str, list[dict]]:
    """For each path the gradients of two ranks behind the last backward pass of a step."""
    folder = tmp_path_factory.mktemp("ranks")
    job = {name: probed(**changes).specification() for name, changes in PATHS.items()}
    (folder / "job.json").write_text(json.dumps(job))
    for rank in start_ranks(2, gradient_ranks_worker.main, [str(folder)], folder):
        finish(rank)
    return {name: [torch.load(folder / f"{name}-{rank}.pt") for rank in range(2)] for name in PATHS}


@pytest.mark.slow
@pytest.mark.parametrize("path", [name for name in PATHS if name != "not reduced"])
def test_ranks_have_one_gradient_which_is_that_of_one_rank(path, rank_gradients):
    first, second = rank_gradients[path]
    assert distance(second, first) == 0.0
    assert distance(first, take_step(probed(**PATHS[path]), 1).gradient) < 1e-5


@pytest.mark.slow
def test_ranks_that_are_not_reduced_show(rank_gradients):
    first, second = rank_gradients["not reduced"]
    assert distance(second, first) > 0.1


def test_rollouts_that_no_engine_drew_are_not_corrected():
    parts = {"validation": VALIDATION, "save_every": 9, "scale": {"rollouts": {"kind": "vllm_server"}}}
    stage = hybrid_stage(importance_correction={"mode": "token_mask", "clip_max": 2.0})
    spec = probe_spec(TrainSpec.model_validate({"study_seed": 1, "seed_index": 0, "stage": stage, **parts}))
    assert spec.stage == probed().stage


def test_a_job_with_nothing_to_mix_is_refused():
    for stage in (sft_stage(), hybrid_stage(schedule=NEVER)):
        spec = TrainSpec(study_seed=1, seed_index=0, stage=stage, validation=VALIDATION, save_every=9)
        with pytest.raises(UserError, match="probe: expected a method with a hybrid stage"):
            probe_spec(spec)


@pytest.mark.slow
def test_the_command_prints_a_line_for_each_split_and_number_of_ranks(capsys):
    assert main(["probe", "tiny", "chord_phi", "--splits", "4", "--ranks", "1", "2", "--root", str(ROOT)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [line[:2] for line in lines] == [["1", "4"], ["2", "4"]]
    for line in lines:
        assert line[3:5] == ["0.10000", "0.10000"]


def test_numbers_that_rows_cannot_be_split_into_are_one_clear_line(capsys):
    assert main(["probe", "tiny", "chord_phi", "--splits", "3", "--root", str(ROOT)]) == 2
    assert "--splits: expected numbers out of 1, 2, 4 and 8, got 3" in capsys.readouterr().err
