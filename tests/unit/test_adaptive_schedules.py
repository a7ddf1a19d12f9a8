"""Schedules that read the run: numbers worked by hand, an optimizer of torch, exact expectations, and limits."""

from itertools import product
from math import exp, inf

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from chord.objectives import AnySchedule, Gradients, RunStatistics
from chord.training.gradients_apart import half_variance
from chord.training.run_statistics import run_statistics


def schedule(**settings):
    return TypeAdapter(AnySchedule).validate_python(settings)


def noise(**changes):
    """GAC's schedule with a constant prior of 0.4 and no cap that matters."""
    settings = {"name": "gradient_noise", "warmup": 0, "decay": 0, "peak": 0.4, "valley": 0.4}
    return schedule(**settings | {"alpha": 0.25, "memory": 0.5, "cap": 1.0} | changes)


# |g_ex - g_rl|^2 = 9 + 16 - 0 = 25, s_r^2 = 4, s_s^2 = 5, so d^2 = 16; and 1 + 1 - 2 = 0 with s_r^2 = 2, s_s^2 = 0
FIRST, SECOND = Gradients(3.0, 4.0, 0.0, 4.0, 5.0), Gradients(1.0, 1.0, 1.0, 2.0, 0.0)
NOTHING = Gradients(0.0, 0.0, 0.0, 0.0, 0.0)


def mu(chosen, **statistics) -> float:
    a_rl, a_ex = chosen.weights(1, RunStatistics(**statistics))
    assert a_rl + a_ex == pytest.approx(1.0)
    return a_ex


def test_gradient_noise_by_hand():
    """mu* = (0.25 * 16 + 4) / 25 = 0.32; the prior has weight 1/2 after one step."""
    assert mu(noise(), gradients=FIRST) == pytest.approx(0.5 * 0.4 + 0.5 * 0.32)
    # The averages' weights are 1/4 and 1/2: s_r^2 = 2, s_s^2 = 1.25, d^2 = 6.25 - 3.25 = 3; mu* = 2.75 / 6.25 = 0.44.
    assert mu(noise(), past_gradients=[FIRST], gradients=SECOND) == pytest.approx(0.25 * 0.4 + 0.75 * 0.44)
    assert mu(noise()) == 0.4  # before the gradients: the prior


def test_the_change_of_mu_is_capped():
    both = {"past_gradients": [FIRST], "gradients": SECOND}  # towards 0.43
    assert mu(noise(cap=0.01), mus=[0.36], **both) == pytest.approx(0.37)
    assert mu(noise(cap=0.01), mus=[0.8], **both) == pytest.approx(0.79)
    assert mu(noise(cap=0.01), mus=[0.425], **both) == pytest.approx(0.43)
    assert mu(noise(cap=0.01), gradients=FIRST) == pytest.approx(0.39)  # the first step: from the prior, towards 0.36


def test_gradient_noise_without_a_gradient_or_without_halves_is_the_prior():
    assert mu(noise(), gradients=NOTHING) == 0.4
    # a step with fewer than two prompts of a term tells nothing of its noise
    assert mu(noise(), gradients=FIRST._replace(rl_grad_variance=None)) == 0.4


def test_noise_on_one_side_only_gives_the_other_side_all_the_weight():
    nearly = 1.0 - 0.5**30
    for gradients, best in ((Gradients(1.0, 0.0, 0.0, 1.0, 0.0), 1.0), (Gradients(0.0, 1.0, 0.0, 0.0, 1.0), 0.0)):
        found = mu(noise(alpha=0.0), past_gradients=[gradients] * 29, gradients=gradients)
        assert found == pytest.approx(nearly * best + (1 - nearly) * 0.4)


positive = st.floats(0.01, 100.0)


@given(positive, positive, positive, st.floats(0.0, 1.0))
def test_the_formula_has_the_smallest_squared_error(s_r, s_s, d, alpha):
    """Against a search over the error itself, E |(1 - mu) g_rl + mu g_ex - target|^2 in one dimension."""
    square = d + s_r + s_s  # E |g_ex - g_rl|^2
    gradients = Gradients(square**0.5, 0.0, 0.0, s_r, s_s)
    found = mu(noise(alpha=alpha, memory=1e-9), gradients=gradients)
    grid = np.linspace(0.0, 1.0, 2001)
    bias = (1.0 - grid) * 0.0 + grid * d**0.5 - alpha * d**0.5
    error = (1.0 - grid) ** 2 * s_r + grid**2 * s_s + bias**2
    assert found == pytest.approx(grid[error.argmin()], abs=1e-3)


@pytest.mark.parametrize(("n1", "n2"), [(1, 1), (2, 1), (3, 2)])
def test_the_variance_from_two_halves_is_unbiased(n1, n2):
    """The mean over all draws of n1 + n2 prompts from three is the exact variance of their sum."""
    gradients = np.array([[1.0, 0.0], [-2.0, 3.0], [0.5, 0.5]])
    exact = (n1 + n2) * ((gradients - gradients.mean(0)) ** 2).sum(1).mean()
    found = []
    for drawn in product(gradients, repeat=n1 + n2):
        first, second = np.sum(drawn[:n1], 0), np.sum(drawn[n1:], 0)
        found.append(half_variance(n1, n2, first @ first, second @ second, first @ second))
        assert found[-1] == pytest.approx(n1 * n2 * ((first / n1 - second / n2) ** 2).sum())
    assert np.mean(found) == pytest.approx(exact)


def test_gradient_norms_make_both_weighted_norms_equal():
    balanced = schedule(name="gradient_norms")
    assert balanced.weights(1, RunStatistics(gradients=Gradients(3.0, 1.0, 0.5))) == (0.25, 0.75)  # 3/4 each
    assert balanced.weights(1, RunStatistics(gradients=Gradients(0.0, 2.0, 0.0))) == (1.0, 0.0)
    assert balanced.weights(1, RunStatistics(gradients=Gradients(2.0, 0.0, 0.0))) == (0.0, 1.0)
    assert balanced.weights(1, RunStatistics(gradients=NOTHING)) == balanced.weights(1) == (0.5, 0.5)


def test_uncertainty_by_hand():
    """lr 0.5: s_rl = -0.25 * (1 - 0.8) = -0.05 and s_ex = -0.25 * (1 - 2) = 0.25 after the first step."""
    learnt = schedule(name="uncertainty", lr=0.5, limit=2.0)
    assert learnt.weights(1) == (0.5, 0.5)
    assert learnt.weights(2, RunStatistics(losses=[(0.2, 2.0)])) == pytest.approx((0.5 * exp(0.05), 0.5 * exp(-0.25)))


@given(st.lists(st.tuples(st.floats(-1.0, 1.0), st.floats(0.0, 8.0)), min_size=1, max_size=8))
def test_uncertainty_is_kendalls_loss_under_torchs_sgd(losses):
    s = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([s], lr=0.3)
    for reward, expert in losses:
        values = torch.tensor([1.0 - reward, expert], dtype=torch.float64)
        optimizer.zero_grad()
        (values / (2.0 * s.exp()) + 0.5 * s).sum().backward()  # L / (2 sigma^2) + log sigma, s = log sigma^2
        optimizer.step()
        s.data.clamp_(-1.0, 1.0)
    expected = (0.5 * (-s).exp()).tolist()
    assert schedule(name="uncertainty", lr=0.3, limit=1.0).weights(9, RunStatistics(losses=losses)) == pytest.approx(
        expected
    )


def test_learnt_weights_rest_at_half_the_inverse_loss_and_stay_bounded():
    learnt = schedule(name="uncertainty", lr=0.5, limit=2.0)
    assert learnt.weights(500, RunStatistics(losses=[(0.2, 2.0)] * 499)) == pytest.approx((0.625, 0.25))
    right_away, far_off = learnt.weights(500, RunStatistics(losses=[(1.0, 1e6)] * 499))
    assert (right_away, far_off) == pytest.approx((0.5 * exp(2.0), 0.5 * exp(-2.0)))


def test_rl_begins_at_the_plateau_of_the_held_out_loss_and_never_ends():
    """Progress is a loss below 0.9 of the lowest. 1.9 is none after 2.0; 1.7 is; 1.6 and 1.55 are none after 1.7."""
    plateau = schedule(name="plateau", held_out=8, every=3, patience=2, threshold=0.1)
    nlls = [2.0, 1.9, 1.7, 1.6, 1.55]
    sft, rl = (0.0, 1.0), (1.0, 0.0)
    found = [plateau.weights(9, RunStatistics(held_out_nlls=nlls[:n])) for n in range(1, 6)]
    assert found == [sft, sft, sft, sft, rl]
    assert plateau.weights(9, RunStatistics(held_out_nlls=[*nlls, 0.1])) == rl
    measured = [step for step in range(1, 9) if plateau.measures(step, RunStatistics(held_out_nlls=nlls[:4]))]
    assert measured == [1, 4, 7]
    assert not any(plateau.measures(step, RunStatistics(held_out_nlls=nlls)) for step in range(1, 9))
    assert plateau.held_out_rows == 8


def test_a_plan_reckons_with_the_earliest_plateau():
    plateau = schedule(name="plateau", held_out=8, every=3, patience=2, threshold=0.1)
    planned = [plateau.weights(step)[0] for step in range(1, 10)]
    assert planned == [0.0] * 6 + [1.0] * 3
    # the measurements before steps 1, 4 and 7 are the first that can be a plateau
    assert plateau.weights(7, RunStatistics(held_out_nlls=[2.0, 2.0, 2.0])) == (1.0, 0.0)
    assert plateau.weights(4, RunStatistics(held_out_nlls=[2.0, inf])) == (0.0, 1.0)


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "uncertainty", "lr": 0.0, "limit": 1.0},
        {"name": "plateau", "held_out": 8, "every": 3, "patience": 2, "threshold": 1.0},
    ],
)
def test_bad_settings_are_refused(bad):
    with pytest.raises(ValidationError):
        schedule(**bad)


def test_a_prior_that_would_leave_out_a_term_is_refused():
    with pytest.raises(ValidationError, match=r"peak 0\.9 and valley 0\.0: expected numbers above 0 and below 1"):
        noise(peak=0.9, valley=0.0, decay=10)


def test_statistics_are_those_of_the_log():
    log = [
        {"step": 0, "validation_accuracy": 0.5},
        {"mu": 1.0, "a_rl": 0.0, "grad_norm": 3.0, "expert_loss": 2.0, "held_out_nll": 1.5},
        {"mu": 0.3, "a_rl": 0.7, "grad_norm": 2.0, "expert_loss": 1.0, "reward_mean": 0.5}
        | {"rl_grad_norm": 4.0, "expert_grad_norm": 5.0, "grad_dot": -1.0},
        {"mu": 0.0, "a_rl": 1.0, "grad_norm": 1.0, "reward_mean": 0.7},
    ]
    assert run_statistics(log, 0.25) == RunStatistics(
        sft_norms=[3.0],
        draw=0.25,
        mus=[1.0, 0.3, 0.0],
        losses=[(0.5, 1.0)],
        past_gradients=[Gradients(4.0, 5.0, -1.0)],
        held_out_nlls=[1.5],
    )
