"""Routers on groups that are worked by hand: one is solved by all rollouts, one by none, one by some."""

import math
from random import Random

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from chord.objectives import AnyRouter, Judged
from chord.objectives.prefixes import cosine

SOLVED, UNSOLVED, MIXED = [1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]
GROUPS = [SOLVED, UNSOLVED, MIXED]
DEVIATION = math.sqrt(1 / 3) + 1e-4  # of 1, 0, 0, with n - 1


def router(**settings):
    return TypeAdapter(AnyRouter).validate_python(settings)


def judged(rewards: list[list[float]], **changes) -> Judged:
    """Rollouts that are right where their reward is above 0, with GRPO's advantages of a group whose rewards differ."""
    values = torch.tensor(rewards)
    grpo = (values - values.mean(1, keepdim=True)) / (values.std(1, keepdim=True) + 1e-4)
    grpo[(values == values[:, :1]).all(1)] = 0.0
    given = {
        "right": values > 0.0,
        "advantages": grpo,
        "entropies": torch.zeros_like(values),
        "trace_rewards": torch.ones(len(values)),
        "prefix_tokens": torch.zeros(values.shape, dtype=torch.int64),
    }
    return Judged(values, **(given | changes))


def test_separate_leaves_grpo_alone():
    given = judged(GROUPS)
    routes = router(name="separate").route(given)
    assert torch.equal(routes.advantages, given.advantages)
    assert routes.kept.all()
    assert not routes.taught.any()


# Traces in the groups


def test_a_trace_counts_in_the_mean_of_its_group():
    given = judged([MIXED, SOLVED, UNSOLVED])
    routes = router(name="joined", scale="none").route(given)
    torch.testing.assert_close(routes.advantages, torch.tensor([[0.5, -0.5, -0.5], [0.0] * 3, [-0.25] * 3]))
    torch.testing.assert_close(routes.trace_advantages, torch.tensor([0.5, 0.0, 0.75]))
    assert routes.kept.all()
    assert routes.taught.all()
    scaled = router(name="joined", scale="group").route(given)
    deviations = torch.tensor([1 / 3, 0.0, 0.25]).sqrt() + 1e-4  # with n - 1
    torch.testing.assert_close(scaled.advantages, routes.advantages / deviations[:, None])
    torch.testing.assert_close(scaled.trace_advantages, routes.trace_advantages / deviations)


def test_equal_rewards_leave_no_advantage_of_rounding():
    same = judged([[-0.1] * 8], trace_rewards=torch.tensor([-0.1]), prefix_tokens=torch.tensor([[0] * 7 + [3]]))
    joined = router(name="joined", scale="group").route(same)
    assert not joined.advantages.any()
    assert not joined.trace_advantages.any()
    for name in ("gate", "buffered"):
        settings = {"success": "right", "gamma": 0.0} if name == "gate" else {}
        assert not router(name=name, scale="none", **settings).route(same).advantages.any()
    continued = prefix().route(same)
    assert not continued.advantages[:, :-1].any()
    assert not continued.trace_advantages.any()


def test_srft_pulls_right_rollouts_by_their_entropy_and_pushes_wrong_ones():
    given = judged([[1.0, 0.0, -0.1]], entropies=torch.tensor([[math.log(2.0), 5.0, 5.0]]))
    routes = router(name="srft", scale="group", positive=0.1).route(given)
    torch.testing.assert_close(routes.advantages, torch.tensor([[0.2, -1.0, -1.0]]))
    joined = router(name="joined", scale="group").route(given)
    torch.testing.assert_close(routes.trace_advantages, joined.trace_advantages)


# Gates


@pytest.mark.parametrize(
    ("gamma", "taught"), [(0.0, [False, True, False]), (0.34, [False, True, True]), (1.0, [True, True, True])]
)
def test_a_gate_teaches_what_the_policy_hardly_solves_and_drops_its_rollouts(gamma, taught):
    given = judged(GROUPS)
    routes = router(name="gate", success="right", gamma=gamma, scale="group").route(given)
    assert routes.taught.tolist() == taught
    assert routes.kept.tolist() == [not one for one in taught]
    assert torch.equal(routes.advantages, given.advantages)
    assert routes.trace_advantages is None


@pytest.mark.parametrize("rollouts", [3, 7, 8, 10, 32])
def test_the_boundary_of_a_gate_belongs_to_sft(rollouts):
    """A share of exactly gamma is taught, and one success more is not, whatever the rounding of the share."""
    for solved in range(1, rollouts):
        rewards = [[1.0] * n + [0.0] * (rollouts - n) for n in (solved - 1, solved, solved + 1)]
        routes = router(name="gate", success="right", gamma=solved / rollouts, scale="group").route(judged(rewards))
        assert routes.taught.tolist() == [True, True, False]


def test_superrl_asks_for_a_reward_and_hpt_for_a_right_answer():
    """An answer that is wrong but well formed can have a reward."""
    given = judged([[0.5, 0.0, 0.0]], right=torch.tensor([[False] * 3]))
    superrl = router(name="gate", success="rewarded", gamma=0.0, scale="group").route(given)
    hpt = router(name="gate", success="right", gamma=0.0, scale="none").route(given)
    assert (superrl.taught.item(), hpt.taught.item()) == (False, True)
    torch.testing.assert_close(hpt.advantages, torch.tensor([[1 / 3, -1 / 6, -1 / 6]]))


def test_traces_of_unsolved_prompts_wait_and_no_rollout_is_dropped():
    routes = router(name="buffered", scale="none").route(judged(GROUPS))
    torch.testing.assert_close(routes.advantages, torch.tensor([[0.0] * 3, [0.0] * 3, [2 / 3, -1 / 3, -1 / 3]]))
    assert routes.kept.all()
    assert routes.taught.tolist() == [False, True, False]
    scaled = router(name="buffered", scale="group").route(judged(GROUPS)).advantages
    torch.testing.assert_close(scaled, routes.advantages / DEVIATION)


# Prefixes


def hint(**changes):
    return router(**({"name": "hint", "chunks": 5, "start": 0.95, "end": 0.05, "steps": 300} | changes))


def prefix(**changes):
    return router(**({"name": "prefix", "start": 0.95, "end": 0.05, "high": 0.95, "steps": 500} | changes))


@pytest.mark.parametrize(("step", "q"), [(100, 0.725), (150, 0.5), (200, 0.275), (300, 0.05), (400, 0.05)])
def test_the_cosine_of_the_chance_of_a_chunk(step, q):
    """q = 0.05 + 0.45 (1 + cos(pi k / 300)); the cosine is 1/2 at 100."""
    assert cosine(step, 300, 0.95, 0.05) == pytest.approx(q)


def test_hints_are_chunks_of_a_trace_and_end():
    groups = [hint().prefix_tokens(150, 10, 4, Random(seed)) for seed in range(2000)]
    assert all(len(set(group)) == 1 for group in groups), "all rollouts of a group have the same hint"
    lengths = [group[0] for group in groups]
    assert set(lengths) == {0, 2, 4, 6, 8, 10}
    # Binomial(5, 1/2) chunks of 2 tokens: mean 5, variance 4 * 5 / 4.
    assert sum(lengths) / 2000 == pytest.approx(5.0, abs=4 * math.sqrt(5.0 / 2000))
    assert hint().prefix_tokens(301, 10, 4, Random(0)) == [0] * 4
    assert hint(start=1.0, end=1.0).prefix_tokens(300, 11, 2, Random(0)) == [11, 11]
    assert [hint(start=1.0, end=1.0, chunks=n).prefix_tokens(1, 7, 2, Random(0)) for n in (1, 3)] == [[7, 7], [7, 7]]


def test_only_groups_with_a_hint_are_taught_and_their_advantages_are_grpos():
    given = judged(GROUPS, prefix_tokens=torch.tensor([[4] * 3, [0] * 3, [2] * 3]))
    routes = hint().route(given)
    assert routes.taught.tolist() == [True, False, True]
    assert routes.kept.all()
    assert torch.equal(routes.advantages, given.advantages)
    assert routes.trace_advantages is None


def test_one_rollout_of_a_group_continues_a_prefix_of_a_length_within_its_bounds():
    # Half of the way: low = 0.5, so 50 <= floor(100 l) <= 95, with mean 72.5 - 0.5.
    lengths = [prefix().prefix_tokens(250, 100, 4, Random(seed)) for seed in range(2000)]
    assert all(group[:3] == [0, 0, 0] for group in lengths)
    drawn = [group[3] for group in lengths]
    assert 50 == min(drawn) < max(drawn) <= 95
    assert sum(drawn) / 2000 == pytest.approx(72.0, abs=4 * math.sqrt(45.0**2 / 12 / 2000))
    assert prefix(start=0.29, end=0.29, high=0.29).prefix_tokens(1, 100, 2, Random(0)) == [0, 28]  # 0.29 * 100 < 29


def test_a_prefix_is_worth_what_its_continuation_gained_over_the_mean_of_the_others():
    rewards = [[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.5, 0.5]]
    lengths = torch.tensor([[0, 0, 0, n] for n in (5, 7, 0, 2)])
    routes = prefix().route(judged(rewards, prefix_tokens=lengths))
    expected = [[2 / 3, -1 / 3, -1 / 3, 1.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [-0.5, 0.5, 0.0, 0.5]]
    torch.testing.assert_close(routes.advantages, torch.tensor(expected))
    torch.testing.assert_close(routes.trace_advantages, torch.tensor([2 / 3, -1.0, 1.0, 0.0]))
    assert routes.taught.tolist() == [True, True, False, True]


@pytest.mark.parametrize("gamma", [-0.1, 1.1])
def test_a_share_beyond_its_bounds_is_refused(gamma):
    with pytest.raises(ValidationError, match="gamma"):
        router(name="gate", success="right", gamma=gamma, scale="group")
