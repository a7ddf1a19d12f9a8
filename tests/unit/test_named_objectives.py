"""Objectives that have a name in Python are those of the shipped methods, or of a formula where there is no method."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import chord
from chord.objectives import named
from chord.objectives.hybrid import Objective
from chord.study.loading import load_study
from chord.study.yaml_files import merge, read_yaml
from chord.training.train_spec import HybridStage, SftStage

CONFIG = Path(__file__).parents[2] / "config"
METHODS = {
    "GRPO": "rl",
    "MIX": "mu_0.1",
    "MIX_IS": "mix_is",
    "MIX_ADAPTIVE": "mu_adaptive_0.5",
    "CHORD_MU": "chord_mu",
    "CHORD_PHI": "chord_phi",
    "CHORD_TUNE_BOTH": "chord_tune_both",
    "PHI_FOCAL": "phi_focal",
    "PHI_IS_CLIP": "phi_is_clip",
    "PHI_ENTROPY_TOP": "phi_entropy_top",
    "PHI_ENTROPY_NORM": "phi_entropy_norm",
    "PHI_CUTOFF": "phi_cutoff",
    "TRSFT": "trsft",
    "SCALED_POWER": "scaled_power",
    "EAFT": "eaft",
    "MARGIN": "margin",
    "MIX_EQUAL_MASS": "mix_equal_mass",
    "MIX_IS_EQUAL_MASS": "mix_is_equal_mass",
    "CHORD_PHI_EQUAL_MASS": "chord_phi_equal_mass",
    "PHI_FOCAL_EQUAL_MASS": "phi_focal_equal_mass",
    "TRSFT_EQUAL_MASS": "trsft_equal_mass",
    "MIX_LINEAR": "mu_linear",
    "MIX_BALANCED": "balanced_norms",
    "MIX_LEARNT": "learnt_weights",
    "SFT_PLATEAU_RL": "sft_plateau_rl",
    "GAC": "gac",
    "LUFFY": "luffy",
    "SRFT": "srft",
    "OPD": "opd",
    "RL_OPD": "rl_opd",
    "DAGGER": "dagger",
    "SDFT": "sdft",
    "HPT": "hpt",
    "SUPERRL": "superrl",
    "RELIFT": "relift",
    "UFT": "uft",
    "PREFIX_RFT": "prefix_rft",
}
SFT_METHODS = {"IW_SFT": "iw_sft", "PSFT": "psft", "ASFT": "asft", "GIFT": "gift"}
FORMULAS = {"SFT": lambda p: -p.log(), "DFT": lambda p: -p * p.log()}  # arXiv 2508.05629 for DFT


@pytest.fixture(scope="module")
def rl_stage():
    return load_study("paper-math", CONFIG.parent).methods["rl"].stage.model_dump(mode="json")


def test_each_name_is_held_to_a_method_or_a_formula():
    objectives = {name for name, value in vars(named).items() if isinstance(value, Objective)}
    assert objectives == METHODS.keys() | SFT_METHODS.keys() | FORMULAS.keys()


@pytest.mark.parametrize(("name", "method"), METHODS.items())
def test_a_named_objective_is_its_methods(name, method, rl_stage):
    shipped = read_yaml(CONFIG / "methods" / f"{method}.yaml", method)["stage"]
    study = read_yaml(CONFIG / "studies" / "paper-math.yaml", "paper-math")["methods"].get(method) or {}
    own = merge(shipped, {"schedule": study.get("stage", {}).get("schedule", {})})
    stage = HybridStage.model_validate(merge(rl_stage | {"expert_rows_per_step": 2}, own))
    assert getattr(chord, name) == stage.objective


@pytest.mark.parametrize(("name", "method"), SFT_METHODS.items())
def test_a_named_objective_is_its_method_of_sft(name, method):
    shipped = read_yaml(CONFIG / "methods" / f"{method}.yaml", method)["stage"]
    study = load_study("paper-math", CONFIG.parent).methods["sft_best"].stage.model_dump(mode="json")
    assert getattr(chord, name) == SftStage.model_validate(merge(study, shipped)).objective


@pytest.mark.parametrize(("name", "loss"), FORMULAS.items())
def test_a_named_objective_without_a_file_is_its_formula(name, loss):
    objective = getattr(chord, name)
    assert objective.weights(1) == objective.weights(100) == (0.0, 1.0)
    p = torch.tensor([[0.2, 0.7, 0.99]], dtype=torch.float64)
    terms = objective.token_weight, objective.expert_loss
    found = chord.expert_loss(chord.ExpertTokens(p.log()), torch.ones_like(p), 3, *terms)
    torch.testing.assert_close(found, loss(p).mean())


def test_importing_chord_loads_neither_torch_nor_pydantic_and_its_losses_load_no_torch():
    code = (
        "import sys, chord; assert not {'torch', 'pydantic'} & sys.modules.keys(); "
        "from chord import CHORD_PHI, Power, policy_loss, expert_loss, hybrid_loss; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="CHORD_PSI"):
        _ = chord.CHORD_PSI
