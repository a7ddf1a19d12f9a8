"""The objective's parts against numbers worked by hand, finite differences and the two public codes' formulas."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from chord.objectives import (
    AnyExpertLoss,
    AnySchedule,
    AnyTokenWeight,
    EntropyTop,
    ExpertTokens,
    Nll,
    Power,
    RunStatistics,
    divisors,
    expert_loss,
    hybrid_loss,
    policy_loss,
)


def schedule(**settings):
    return TypeAdapter(AnySchedule).validate_python(settings)


def weight(**settings):
    return TypeAdapter(AnyTokenWeight).validate_python(settings)


def tokens(logp: torch.Tensor, entropy: torch.Tensor | None = None) -> ExpertTokens:
    return ExpertTokens(logp, torch.full_like(logp, math.nan) if entropy is None else entropy)


def loss_of_tokens(**settings):
    return TypeAdapter(AnyExpertLoss).validate_python(settings)


# Schedules


@pytest.mark.parametrize(
    ("step", "mu"), [(1, 0.8999), (50, 0.7755), (100, 0.475), (150, 0.1745), (200, 0.05), (900, 0.05)]
)
def test_chord_mu_of_the_math_setting(step, mu):
    decaying = schedule(name="cosine", warmup=0, decay=200, peak=0.9, valley=0.05)
    assert decaying.mu_at(step) == pytest.approx(mu, abs=5e-5)


@pytest.mark.parametrize(("step", "mu"), [(10, 0.6875), (15, 0.475), (20, 0.2625), (30, 0.05)])
def test_chord_mu_of_the_tool_use_setting(step, mu):
    decaying = schedule(name="cosine", warmup=0, decay=30, peak=0.9, valley=0.05)
    assert decaying.mu_at(step) == pytest.approx(mu, abs=5e-5)


def public_code_mu(step: int, warmup: int, decay: int, peak: float, valley: float) -> float:
    """The function Trinity-RFT and ms-swift share, as its documentation describes it."""
    if step < warmup:
        return step / warmup * peak
    if step >= warmup + decay:
        return valley
    return valley + (peak - valley) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / decay))


@given(st.integers(1, 1000), st.integers(0, 300), st.integers(2, 300), st.floats(0, 1), st.floats(0, 1))
def test_cosine_is_the_public_codes_function(step, warmup, decay, peak, valley):
    ours = schedule(name="cosine", warmup=warmup, decay=decay, peak=peak, valley=valley)
    assert ours.mu_at(step) == pytest.approx(public_code_mu(step, warmup, decay, peak, valley), abs=1e-12)
    assert sum(ours.weights(step)) == pytest.approx(1.0)
    assert min(ours.weights(step)) >= 0.0


def test_warm_up_rises_linearly_then_decays():
    ours = schedule(name="cosine", warmup=200, decay=400, peak=0.5, valley=0.02)
    assert [ours.mu_at(step) for step in (1, 100, 200, 600)] == pytest.approx([0.0025, 0.25, 0.5, 0.02])
    assert ours.mu_at(400) == pytest.approx(0.26)  # half way down


def test_a_peak_that_would_be_ignored_is_refused():
    for warmup, decay in ((0, 0), (0, 1), (1, 0)):
        with pytest.raises(ValidationError, match=f"warmup {warmup} and decay {decay} would ignore peak 0.9"):
            schedule(name="cosine", warmup=warmup, decay=decay, peak=0.9, valley=0.05)
    assert schedule(name="cosine", warmup=0, decay=0, peak=0.1, valley=0.1).mu_at(1) == 0.1


def test_linear_and_step_and_constant():
    linear = schedule(name="linear", start=0.9, end=0.1, steps=4)
    assert [linear.mu_at(step) for step in (1, 2, 3, 4, 5)] == pytest.approx([0.7, 0.5, 0.3, 0.1, 0.1])
    switch = schedule(name="step", steps=2, before=1.0, after=0.0)
    assert [switch.weights(step) for step in (1, 2, 3)] == [(0.0, 1.0), (0.0, 1.0), (1.0, 0.0)]
    assert schedule(name="constant", mu=0.25).weights(7) == (0.75, 0.25)


def test_reward_driven_mu_is_what_the_reward_lacks_to_the_threshold():
    """Appendix B.1, by hand: max(0, 0.7 - reward), and never above 1, where rewards of tool use reach -1."""
    adaptive = schedule(name="reward_driven", threshold=0.7)
    rewards = (-1.0, -0.3, 0.0, 0.2, 0.7, 0.9)
    assert [adaptive.weights(1, RunStatistics(reward))[1] for reward in rewards] == pytest.approx(
        [1.0, 1.0, 0.7, 0.5, 0.0, 0.0]
    )
    assert all(sum(adaptive.weights(9, RunStatistics(reward))) == pytest.approx(1.0) for reward in rewards)
    assert adaptive.weights(3) == adaptive.weights(3, RunStatistics(0.0))  # before the rollouts: there will be some


def test_free_weights_need_not_add_up_to_1():
    assert schedule(name="free", rl=1.0, expert=0.3).weights(4) == (1.0, 0.3)


def test_sasr_by_hand():
    """Warm-up of 2 steps with norms 9 and 4; p = G / (G + 0.5 * 4)."""
    sasr = schedule(name="sasr", warmup=2, gamma=0.5)
    sft, rl = (0.0, 1.0), (1.0, 0.0)
    assert [sasr.weights(step, RunStatistics(draw=0.999)) for step in (1, 2)] == [sft, sft]
    # G = 4: p = 2/3. G = 1, after a further SFT step: p = 1/3, whatever lies between.
    assert [sasr.weights(3, RunStatistics(None, (9.0, 4.0), draw)) for draw in (0.66, 0.67)] == [sft, rl]
    assert [sasr.weights(8, RunStatistics(0.9, (9.0, 4.0, 7.0, 1.0), draw)) for draw in (0.33, 0.34)] == [sft, rl]
    assert sasr.weights(3) == pytest.approx((1 / 3, 2 / 3))  # a plan's guess


def test_tune_both_rises_to_its_peak_and_decays():
    """Figure 11: 0 -> 0.3, then a decay; here 20 and 40 steps."""
    both = schedule(name="cosine", warmup=20, decay=40, peak=0.3, valley=0.05)
    steps = (1, 10, 20, 40, 60, 90)
    assert [both.mu_at(step) for step in steps] == pytest.approx([0.015, 0.15, 0.3, 0.175, 0.05, 0.05])


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "free", "rl": 0.0, "expert": 0.0},
        {"name": "constant", "mu": 1.5},
        {"name": "constant", "valu": 1},
        {"name": "cosin"},
        {"name": "reward_driven", "threshold": 1.0},
    ],
)
def test_bad_schedules_are_refused(bad):
    with pytest.raises(ValidationError):
        schedule(**bad)


# Token weights

P = torch.tensor([[0.5, 0.1, 0.9, 1.0]])
ENTROPY = torch.tensor([0.5, 2.0, 1.0, 0.0])


def test_phi_is_p_times_one_minus_p():
    phi = weight(name="power", a=1, b=1)(tokens(P.log()))
    torch.testing.assert_close(phi, torch.tensor([[0.25, 0.09, 0.09, 0.0]]))


def test_is_weight_is_p_and_no_weight_is_1():
    torch.testing.assert_close(weight(name="power", a=1, b=0)(tokens(P.log())), P)
    assert torch.equal(weight(name="power", a=0, b=0)(tokens(P.log())), torch.ones_like(P))
    assert torch.equal(weight(name="one")(tokens(P.log())), torch.ones_like(P))


@given(st.floats(-40, 0), st.floats(0, 3), st.floats(0, 3))
def test_power_weight_equals_arithmetic_in_double(logp, a, b):
    p = math.exp(logp)
    found = weight(name="power", a=a, b=b)(tokens(torch.tensor([[logp]], dtype=torch.float64))).item()
    assert found == pytest.approx(p**a * (-math.expm1(logp)) ** b, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "one"},
        {"name": "power", "a": 1, "b": 1},
        {"name": "is_clip", "limit": 0.6},
        {"name": "is_clip", "limit": 0.6, "above": "clamp"},
        {"name": "entropy_top", "share": 0.5},
        {"name": "entropy_norm"},
    ],
)
def test_weights_carry_no_gradient(settings):
    """d(w * -log p)/d(log p) is -w: the weight is a constant, as in the authors' code (phi.detach())."""
    logp, entropy = P[0].log().requires_grad_(), ENTROPY.clone().requires_grad_()
    found = weight(**settings)(tokens(logp, entropy))
    assert found.sum() > 0.0
    (found * Nll()(tokens(logp, entropy))).sum().backward()
    torch.testing.assert_close(logp.grad, -found)
    assert entropy.grad is None


def test_is_clip_drops_or_clamps_what_is_above_the_limit():
    dropped, clamped = (weight(name="is_clip", limit=0.5, above=above)(tokens(P.log())) for above in ("drop", "clamp"))
    torch.testing.assert_close(dropped, torch.tensor([[0.5, 0.1, 0.0, 0.0]]))
    torch.testing.assert_close(clamped, torch.tensor([[0.5, 0.1, 0.5, 0.5]]))
    assert torch.equal(weight(name="is_clip", limit=0.5)(tokens(P.log())), dropped)


def test_entropy_top_chooses_a_share_of_all_tokens():
    entropy = torch.rand(200, generator=torch.Generator().manual_seed(0))
    found = weight(name="entropy_top", share=0.05)(tokens(torch.zeros(200), entropy))
    assert sorted(entropy[found == 1.0].tolist()) == sorted(entropy.tolist())[-10:]
    assert found.sum() == 10.0


def test_entropy_top_is_not_moved_by_ties_and_takes_at_least_one():
    top = weight(name="entropy_top", share=0.05)
    assert top(tokens(torch.zeros(40), torch.ones(40))).sum() == 2.0
    assert top(tokens(torch.zeros(3), torch.tensor([0.1, 0.3, 0.2]))).tolist() == [0.0, 1.0, 0.0]


def test_entropy_norm_is_entropy_over_the_largest():
    torch.testing.assert_close(weight(name="entropy_norm")(tokens(P[0].log(), ENTROPY)), ENTROPY / 2.0)
    assert weight(name="entropy_norm")(tokens(torch.zeros(2), torch.tensor([0.0, -1e-7]))).tolist() == [0.0, 0.0]


def test_focal_is_a_power():
    torch.testing.assert_close(weight(name="power", a=0, b=2)(tokens(P.log())), (1 - P) ** 2)


# Expert losses


def test_shaped_loss_and_its_slope_by_hand():
    """f(p) = p / (p + 0.1): 0.5 at p = 0.1, where d f / d log p = gamma p / (p + gamma)^2 = 0.25."""
    logp = torch.tensor([[0.1, 0.9], [0.1, 0.9]], dtype=torch.float64).log().requires_grad_()
    advantage = torch.tensor([[0.5], [-2.0]], dtype=torch.float64).expand(2, 2)
    found = loss_of_tokens(name="shaped", gamma=0.1)(tokens(logp)._replace(advantage=advantage))
    torch.testing.assert_close(found, torch.tensor([[-0.25, -0.45], [1.0, 1.8]], dtype=torch.float64))
    found.sum().backward()
    slope = torch.tensor([0.25, 0.09], dtype=torch.float64)
    torch.testing.assert_close(logp.grad, torch.stack([-0.5 * slope, 2.0 * slope]))


def test_shaped_loss_gradient_equals_finite_differences():
    torch.manual_seed(0)
    logp = torch.log(torch.rand(4, 6, dtype=torch.float64)).requires_grad_()
    advantage = torch.randn(4, 1, dtype=torch.float64).expand(4, 6)
    loss = loss_of_tokens(name="shaped", gamma=0.1)
    assert torch.autograd.gradcheck(lambda x: loss(tokens(x)._replace(advantage=advantage)), logp)


def test_srft_loss_by_hand():
    """Row entropy log 2, so e^-H = 0.5: l = 0.5 * 0.5 * -log p - A p, and d l / d log p = -0.25 - A p."""
    logp = torch.tensor([[0.5, 0.2]], dtype=torch.float64).log().requires_grad_()
    same = torch.ones(1, 2, dtype=torch.float64)
    given = tokens(logp)._replace(advantage=2.0 * same, row_entropy=math.log(2.0) * same)
    found = loss_of_tokens(name="srft", sft=0.5)(given)
    torch.testing.assert_close(found, -0.25 * logp - torch.tensor([[1.0, 0.4]], dtype=torch.float64))
    found.sum().backward()
    torch.testing.assert_close(logp.grad, torch.tensor([[-1.25, -0.65]], dtype=torch.float64))


def test_policy_gradient_loss_is_linear_in_log_p():
    logp = torch.tensor([[0.5, 0.2]], dtype=torch.float64).log().requires_grad_()
    found = loss_of_tokens(name="policy_gradient")(tokens(logp)._replace(advantage=torch.full_like(logp, -2.0)))
    torch.testing.assert_close(found, 2.0 * logp)
    found.sum().backward()
    torch.testing.assert_close(logp.grad, torch.full_like(logp, 2.0))


# Policy loss


def test_policy_loss_by_hand():
    logp = torch.tensor([[math.log(0.6), math.log(0.3)], [math.log(0.6), math.log(0.3)]])
    old = torch.full((2, 2), math.log(0.4))
    # ratios 1.5 and 0.75, clipped 1.2 and 0.8
    # A = 2: min(3, 2.4), min(1.5, 1.6); A = -1: min(-1.5, -1.2), min(-0.75, -0.8)
    surrogates = [[-2.4, -1.5], [1.5, 0.8]]
    for row in range(2):
        for column in range(2):
            mask = torch.zeros(2, 2)
            mask[row, column] = 1.0
            loss = policy_loss(logp, old, torch.tensor([2.0, -1.0]), mask, count=4, clip=0.2)
            assert loss.item() == pytest.approx(surrogates[row][column] / 4)
    everything = policy_loss(logp, old, torch.tensor([2.0, -1.0]), torch.ones(2, 2, dtype=torch.bool), count=10)
    assert everything.item() == pytest.approx((-2.4 - 1.5 + 1.5 + 0.8) / 10)


def test_on_policy_gradient_is_minus_advantage():
    logp = torch.log(torch.rand(3, 5)).requires_grad_()
    advantages = torch.tensor([1.0, -2.0, 0.0])
    policy_loss(logp, logp.detach(), advantages, torch.ones(3, 5), count=15).backward()
    torch.testing.assert_close(logp.grad, -advantages[:, None].expand(3, 5) / 15)


def test_expert_loss_by_hand():
    """Of p = 0.5 and 0.1 under the mask, in a step of 8 expert tokens, with phi 0.25 and 0.09."""
    mask = torch.tensor([[True, True, False, False]])
    by_hand = (0.25 * math.log(2) + 0.09 * math.log(10)) / 8
    assert expert_loss(tokens(P.log()), mask, 8, Power(a=1, b=1)).item() == pytest.approx(by_hand)
    weights = Power(a=1, b=1)(tokens(P.log()))
    assert expert_loss(tokens(P.log()), mask, 8, weights).item() == pytest.approx(by_hand)
    assert expert_loss(tokens(P.log()), mask, 8).item() == pytest.approx((math.log(2) + math.log(10)) / 8)


def test_a_weight_of_the_whole_batch_sees_the_tokens_under_the_mask():
    entropy = torch.tensor([[0.5, 2.0, 9.0], [1.0, 0.1, 9.0]])
    logp = torch.tensor([[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 0]])
    assert expert_loss(tokens(logp, entropy), mask, 4, EntropyTop(share=0.5)).item() == pytest.approx((2.0 + 4.0) / 4)


def test_hybrid_loss_is_linear_in_both_terms():
    rl, expert = torch.tensor(0.5, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    loss = hybrid_loss(rl, expert, 0.9, 0.1)
    loss.backward()
    assert (loss.item(), rl.grad.item(), expert.grad.item()) == pytest.approx((0.65, 0.9, 0.1))
    assert hybrid_loss(0.0, expert, 0.9, 0.1).item() == pytest.approx(0.2)


def test_surrogate_gradient_equals_finite_differences():
    torch.manual_seed(0)
    logp = torch.log(torch.rand(4, 6, dtype=torch.float64)).requires_grad_()
    old = (logp + 0.3 * torch.randn_like(logp)).detach()
    advantages = torch.randn(4, dtype=torch.float64)
    mask = torch.rand(4, 6) < 0.7
    assert torch.autograd.gradcheck(lambda x: policy_loss(x, old, advantages, mask, 17, 0.2), logp)


# Normalisation


def test_divisors_by_hand():
    tokens, rows = [10, 30], [1, 3]
    assert divisors(tokens, rows, "global") == [40, 40]
    assert divisors(tokens, rows, "trinity") == pytest.approx([40, 40])  # equal mean lengths: the same
    assert divisors(tokens, rows, "ms_swift") == [20, 60]
    assert divisors([10, 0], [1, 1], "trinity") == [20, math.inf]
    assert divisors([0, 0], [1, 1], "global") == [math.inf, math.inf]


def test_a_micro_batch_that_counts_nothing_has_a_gradient_of_0():
    logp = P.log().requires_grad_()
    loss = expert_loss(tokens(logp), torch.ones_like(P), math.inf)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logp.grad, torch.zeros_like(P))


def random_step(seed: int):
    """Micro-batches of one step: lists of (log-probs of a row's tokens)."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 5, (3,), generator=generator).tolist()
    lengths = [torch.randint(1, 9, (size,), generator=generator).tolist() for size in sizes]
    return [[torch.rand(n, generator=generator, dtype=torch.float64).log() for n in rows] for rows in lengths]


def ours(step, rule, a_rl, a_ex, advantages, phi):
    token_weight = weight(name="power", a=1, b=1) if phi else weight(name="one")
    expert, policy = step
    rl = sum(
        policy_loss(padded, padded, advantages[i], mask, count)
        for i, (padded, mask, count) in enumerate(micro_batches(policy, rule))
    )
    ex = sum(
        expert_loss(tokens(padded), mask, count, token_weight) for padded, mask, count in micro_batches(expert, rule)
    )
    return hybrid_loss(rl, ex, a_rl, a_ex).item()


def micro_batches(term, rule):
    """Padded log-probs, mask and divisor of each."""
    counts = [sum(map(len, micro)) for micro in term]
    for micro, count in zip(term, divisors(counts, list(map(len, term)), rule), strict=True):
        padded = torch.nn.utils.rnn.pad_sequence(micro, batch_first=True, padding_value=-1.0)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in micro], batch_first=True)
        yield padded, mask, count


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("phi", [False, True])
def test_trinity_formula_on_random_tensors(seed, phi):
    """(1-mu) and mu on token means per micro-batch, micro-batches weighted by their share of sequences (CHORD.md 7)."""
    expert, policy = random_step(seed), random_step(seed + 100)
    advantages = [torch.randn(len(micro), dtype=torch.float64) for micro in policy]
    mu = 0.3
    n_expert, n_policy = sum(map(len, expert)), sum(map(len, policy))
    expected = 0.0
    for micro, advantage in zip(policy, advantages, strict=True):
        tokens = torch.cat([torch.full((len(row),), float(-a)) for row, a in zip(micro, advantage, strict=True)])
        expected += (1 - mu) * tokens.mean().item() * len(micro) / n_policy
    for micro in expert:
        logp = torch.cat(micro)
        p = logp.exp()
        tokens = -logp * (p * (1 - p) if phi else 1.0)
        expected += mu * tokens.mean().item() * len(micro) / n_expert
    found = ours((expert, policy), "trinity", 1 - mu, mu, advantages, phi)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_ms_swift_formula_on_random_tensors(seed):
    """(1-mu) * GRPO + mu * SFT for each micro-step, each divided by its own token count, then averaged (CHORD.md 7)."""
    expert, policy = random_step(seed), random_step(seed + 100)
    advantages = [torch.randn(len(micro), dtype=torch.float64) for micro in policy]
    mu = 0.7
    expected = 0.0
    for micro_expert, micro_policy, advantage in zip(expert, policy, advantages, strict=True):
        surrogate = torch.cat(
            [torch.full((len(row),), float(-a)) for row, a in zip(micro_policy, advantage, strict=True)]
        )
        chord = (1 - mu) * surrogate.mean() + mu * -torch.cat(micro_expert).mean()
        expected += chord.item() / len(expert)
    assert ours((expert, policy), "ms_swift", 1 - mu, mu, advantages, False) == pytest.approx(expected, rel=1e-5)
