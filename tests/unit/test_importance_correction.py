"""The weights of rollouts that another engine drew: numbers worked by hand, and expectations over all responses."""

import itertools
import math

import pytest
import torch
from pydantic import ValidationError

from chord.objectives import ForwardKl, ImportanceCorrection, SampledTokens, distilled_policy_loss, policy_loss
from chord.training.train_spec import TrainSpec
from tests.helpers.small_training import VALIDATION, hybrid_stage

# Ratios: 2, 1/2 and 4, with the product 4; and 1/4, with a padded token that would make it 2^20.
TRAINER = torch.tensor([[0.5, 0.2, 0.4], [0.1, 1.0, 1.0]]).log()
ENGINE = torch.tensor([[0.25, 0.4, 0.1], [0.4, 2.0**-20, 2.0**-20]]).log()
MASK = torch.tensor([[1, 1, 1], [1, 0, 0]])
UNLIMITED = 1e30


@pytest.mark.parametrize(
    ("mode", "limits", "expected", "beyond"),
    [
        ("token_truncate", (UNLIMITED, None), [2, 0.5, 4, 0.25], []),
        ("token_mask", (UNLIMITED, None), [2, 0.5, 4, 0.25], []),
        ("token_truncate", (3, None), [2, 0.5, 3, 0.25], [2]),
        ("token_mask", (3, None), [2, 0.5, 0, 0.25], [2]),
        ("token_truncate", (3, 0.4), [2, 0.5, 3, 0.4], [2, 3]),
        ("token_mask", (3, 0.4), [2, 0.5, 0, 0], [2, 3]),
        ("sequence_truncate", (UNLIMITED, None), [4, 4, 4, 0.25], []),
        ("sequence_truncate", (3, None), [3, 3, 3, 0.25], [0, 1, 2]),
        ("sequence_mask", (3, None), [0, 0, 0, 0.25], [0, 1, 2]),
        ("sequence_truncate", (5, 0.4), [4, 4, 4, 0.4], [3]),
        ("sequence_mask", (5, 0.4), [4, 4, 4, 0], [3]),
    ],
)
def test_weights_worked_by_hand(mode, limits, expected, beyond):
    correction = ImportanceCorrection(mode=mode, clip_max=limits[0], clip_min=limits[1])
    found, is_beyond = (values[MASK.bool()] for values in correction.weights(TRAINER, ENGINE, MASK))
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))
    assert is_beyond.nonzero().flatten().tolist() == beyond


def test_a_ratio_too_large_for_a_float_is_beyond_the_limit():
    logp, mask = torch.zeros(1, 2000), torch.ones(1, 2000)
    for mode, expected in (("sequence_truncate", 2.0), ("sequence_mask", 0.0)):
        found, beyond = ImportanceCorrection(mode=mode, clip_max=2).weights(logp, logp - 1.0, mask)
        assert set(found.flatten().tolist()) == {expected}
        assert beyond.all()


def test_a_weight_multiplies_its_token_and_leaves_the_count():
    logp = TRAINER.clone().requires_grad_()
    correction = ImportanceCorrection(mode="token_mask", clip_max=3)
    weight, _ = correction.weights(logp, ENGINE, MASK)
    loss = policy_loss(logp, logp.detach(), torch.tensor([1.0, -2.0]), MASK, 4, weight=weight)
    loss.backward()
    # -A w / 4 at each token; the third one is masked, and still one of the four.
    assert loss.item() == pytest.approx((-2 - 0.5 + 2 * 0.25) / 4)
    torch.testing.assert_close(logp.grad, torch.tensor([[-0.5, -0.125, 0.0], [0.125, 0.0, 0.0]]))


def test_a_weight_multiplies_what_a_teacher_adds():
    kl = torch.tensor([[0.3, 0.7]], requires_grad=True)
    tokens = SampledTokens(torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, -0.5]]), kl)
    weight, mask, dagger = torch.tensor([[3.0, 0.0]]), torch.ones(1, 2), ForwardKl(coef=2.0, reward=1.0)
    loss = distilled_policy_loss(tokens, torch.tensor([5.0]), mask, 2, dagger, weight=weight)
    assert loss.item() == pytest.approx(3 * (-5.0 + 2 * 0.3) / 2)


# All responses of three tokens over four, from a model that is a table of logits. The engine draws from a hot one.

GENERATOR = torch.Generator().manual_seed(0)
TABLES = [torch.randn(4**place, 4, generator=GENERATOR, dtype=torch.float64) for place in range(3)]
RESPONSES = list(itertools.product(range(4), repeat=3))
REWARDS = torch.randn(len(RESPONSES), generator=GENERATOR, dtype=torch.float64)


def token_logps(tables: list[torch.Tensor], temperature: float) -> torch.Tensor:
    """(responses, 3) log p."""
    rows = []
    for response in RESPONSES:
        places = [sum(token * 4**i for i, token in enumerate(response[:place])) for place in range(3)]
        logps = [(table[at] / temperature).log_softmax(-1) for table, at in zip(tables, places, strict=True)]
        rows.append(torch.stack([row[token] for row, token in zip(logps, response, strict=True)]))
    return torch.stack(rows)


def expected_gradient(temperature: float, correction: ImportanceCorrection | None = None) -> torch.Tensor:
    """E of the policy loss's gradient over responses that are drawn at this temperature."""
    tables = [table.clone().requires_grad_() for table in TABLES]
    logp, drawn = token_logps(tables, 1.0), token_logps(TABLES, temperature)
    mask = torch.ones_like(drawn)
    weight = correction.weights(logp, drawn, mask)[0] if correction else 1.0
    # The loss sums over rows, so the probability of a row may stand in its advantage.
    policy_loss(logp, logp.detach(), drawn.sum(1).exp() * REWARDS, mask, 3, weight=weight).backward()
    return torch.cat([table.grad.flatten() for table in tables])


RIGHT = expected_gradient(1.0)


def test_without_limits_the_engines_expectation_is_the_trainers():
    correction = ImportanceCorrection(mode="sequence_truncate", clip_max=UNLIMITED)
    torch.testing.assert_close(expected_gradient(1.6, correction), RIGHT, rtol=1e-12, atol=1e-14)
    assert (expected_gradient(1.6) - RIGHT).norm() > 0.2 * RIGHT.norm()
    drawn, logp = token_logps(TABLES, 1.6), token_logps(TABLES, 1.0)
    weight = correction.weights(logp, drawn, torch.ones_like(drawn))[0][:, 0]
    assert (drawn.sum(1).exp() * weight).sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("mode", "clip_max", "low", "high"),
    [
        ("token_truncate", UNLIMITED, 0.8, 0.95),  # the tokens before and after it are still the engine's
        ("token_truncate", 1.2, 0.8, 0.95),
        ("sequence_truncate", 1.2, 0.2, 0.4),
        ("sequence_mask", 1.2, 2.0, 3.0),  # as docs/scale.md says
    ],
)
def test_what_is_left_of_the_error_in_other_modes(mode, clip_max, low, high):
    """low, high: of the error, as a share of that without correction."""
    correction = ImportanceCorrection(mode=mode, clip_max=clip_max)
    left = (expected_gradient(1.6, correction) - RIGHT).norm() / (expected_gradient(1.6) - RIGHT).norm()
    assert low < left < high


# Settings


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "icepop", "clip_max": 2},
        {"mode": "token_mask"},
        {"mode": "token_mask", "clip_max": 0.9},
        {"mode": "token_mask", "clip_max": 2, "clip_min": 1},
        {"mode": "token_mask", "clip_max": 2, "clip_min": 0},
        {"mode": "token_mask", "clip_max": math.inf},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        ImportanceCorrection.model_validate(settings)


CORRECTION = {"mode": "token_truncate", "clip_max": 2.0}
VLLM = {"rollouts": {"kind": "vllm", "kv_cache_gib": 1}}


def spec(scale: dict, **stage) -> TrainSpec:
    values = {"study_seed": 0, "seed_index": 0, "validation": VALIDATION, "save_every": 5, "scale": scale}
    return TrainSpec.model_validate(values | {"stage": hybrid_stage(**stage)})


def test_it_needs_an_engine_that_may_differ_and_is_off_by_default():
    with pytest.raises(ValidationError, match=r"stage\.importance_correction: expected null beside .* huggingface"):
        spec({}, importance_correction=CORRECTION)
    assert spec(VLLM, importance_correction=CORRECTION).specification()["stage"]["importance_correction"] == CORRECTION
    assert "importance_correction" not in spec(VLLM).specification()["stage"]


def test_it_has_no_effect_without_rollouts():
    only_sft = {"schedule": {"name": "constant", "mu": 1.0}}
    corrected = spec({}, importance_correction=CORRECTION, **only_sft)
    assert corrected.specification() == spec({}, **only_sft).specification()
