"""The projection on two pure gradients, and what each normalisation does to mu, by hand."""

import pytest
import torch

from chord.objectives import ExpertTokens, divisors, expert_loss, hybrid_loss, policy_loss
from chord.probe import effective_mu, gradients


def test_weights_and_residual_by_hand():
    found = effective_mu(torch.tensor([0.3, 0.1, 0.4]), torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0]))
    assert (found.a_rl, found.a_ex, found.mu) == pytest.approx((0.3, 0.1, 0.25))
    assert found.residual == pytest.approx(0.4 / 0.26**0.5)


def test_gradients_need_not_be_orthogonal():
    # (2, 3) = -1 (1, 0) + 3 (1, 1)
    found = effective_mu(torch.tensor([2.0, 3.0]), torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0]))
    assert (found.a_rl, found.a_ex, found.residual) == pytest.approx((-1.0, 3.0, 0.0))


def test_gradients_by_name_or_as_a_list_are_those_of_one_vector():
    torch.manual_seed(0)
    mixed, rl, expert = torch.randn(3, 12)
    whole = effective_mu(mixed, rl, expert)
    parts = [vector.split([4, 8]) for vector in (mixed, rl, expert)]
    named = [{"b": b.view(2, 4), "a": a} for a, b in parts]
    # the order of the names does not matter
    swapped = [{"a": a, "b": b.view(2, 4)} for a, b in parts]
    for found in (effective_mu(*parts), effective_mu(*named), effective_mu(named[0], swapped[1], swapped[2])):
        assert (found.a_rl, found.a_ex, found.residual) == pytest.approx((whole.a_rl, whole.a_ex, whole.residual))


@pytest.mark.parametrize(
    ("mixed", "rl", "expert", "message"),
    [
        ([1.0, 0.0], [0.0, 0.0], [1.0, 0.0], "rl: expected a gradient other than 0"),
        ([1.0, 0.0], [1.0, 0.0], [0.0, 0.0], "expert: expected a gradient other than 0"),
        ([1.0, 0.0], [1.0, 2.0], [-2.0, -4.0], "different directions"),
        ([1.0, 0.0, 0.0], [1.0, 2.0], [2.0, 1.0], "same shapes"),
    ],
)
def test_gradients_without_two_directions_are_refused(mixed, rl, expert, message):
    with pytest.raises(ValueError, match=message):
        effective_mu(torch.tensor(mixed), torch.tensor(rl), torch.tensor(expert))


def test_a_name_that_one_gradient_lacks_is_named():
    one = {"head": torch.ones(2)}
    with pytest.raises(ValueError, match="bias: expected in all three gradients"):
        effective_mu(one, one, one | {"bias": torch.ones(1)})


def test_gradients_of_a_model_are_copies_with_zeros_where_there_is_none():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1, bias=False))
    model[0].bias.requires_grad = False
    model[1](torch.ones(1, 2)).sum().backward()
    found = gradients(model)
    assert found.keys() == {"0.weight", "1.weight"}
    assert torch.equal(found["0.weight"], torch.zeros(2, 2))
    model.zero_grad(set_to_none=False)
    assert torch.equal(found["1.weight"], torch.ones(1, 2))


MU = 0.4


def mixed_gradient(rule: str, micro_batches: list[list[int]]) -> list[torch.Tensor]:
    """Of parameters that are one log-probability each, times a slope.

    Rollouts: four of one token. Expert rows: one token of slope 3; one and two tokens of slope 1. micro_batches: the
    expert rows of each; the rollouts are split in the same numbers.
    """
    slopes = [[3.0], [1.0], [1.0, 1.0]]
    rollouts = torch.zeros(4, 1, requires_grad=True)
    experts = [torch.zeros(len(row), requires_grad=True) for row in slopes]
    rl_rows = [[0], [1, 2, 3]] if len(micro_batches) == 2 else [[0, 1, 2, 3]]
    rl_counts = divisors([len(rows) for rows in rl_rows], [len(rows) for rows in rl_rows], rule)
    tokens = [sum(len(slopes[i]) for i in rows) for rows in micro_batches]
    counts = divisors(tokens, [len(rows) for rows in micro_batches], rule)
    for rl, rl_count, rows, count in zip(rl_rows, rl_counts, micro_batches, counts, strict=True):
        logp = rollouts[rl]
        l_rl = policy_loss(logp, logp.detach(), torch.tensor([1.0, -1.0, 1.0, -1.0])[rl], logp * 0 + 1, rl_count)
        logp = torch.cat([torch.tensor(slopes[i]) * experts[i] for i in rows])[None]
        l_ex = expert_loss(ExpertTokens(logp), torch.ones_like(logp), count)
        hybrid_loss(l_rl, l_ex, 1 - MU, MU).backward()
    return [rollouts.grad, *(row.grad for row in experts)]


def pure(gradient: list[torch.Tensor], weight: float, places: slice) -> list[torch.Tensor]:
    kept = [torch.zeros_like(part) for part in gradient]
    kept[places] = [part / weight for part in gradient[places]]
    return kept


@pytest.mark.parametrize(
    ("rule", "a_rl", "a_ex"),
    [
        ("global", 1, 1),
        # Expert: 1/3 of the first row's mean and 2/3 of the others': (9/3/4 + 3 * 2/9/4) / (12/16) = 11/9 of the global
        # mean. Rollouts: 1/4 of the first and 3/4 of the mean of three, as in the global mean.
        ("trinity", 1, 11 / 9),
        # Expert: 1/2 and 1/2: (9/2/4 + 3/6/4) / (12/16) = 5/3. Rollouts of slope 1: 1/2 and 3/6, whose sum is 1.
        ("ms_swift", 1, 5 / 3),
    ],
)
def test_each_normalisation_gives_the_mu_worked_out_by_hand(rule, a_rl, a_ex):
    whole = mixed_gradient("global", [[0, 1, 2]])
    rl, expert = pure(whole, 1 - MU, slice(0, 1)), pure(whole, MU, slice(1, 4))
    found = effective_mu(mixed_gradient(rule, [[0], [1, 2]]), rl, expert)
    a_rl, a_ex = a_rl * (1 - MU), a_ex * MU
    assert (found.a_rl, found.a_ex) == pytest.approx((a_rl, a_ex))
    assert found.mu == pytest.approx(a_ex / (a_rl + a_ex))
    # trinity 22/49, ms_swift 10/19
    assert found.mu == pytest.approx({"global": 2 / 5, "trinity": 22 / 49, "ms_swift": 10 / 19}[rule])
    assert (found.residual > 0.1) is (rule != "global")
    # In one micro-batch all rules are the global mean.
    assert effective_mu(mixed_gradient(rule, [[0, 1, 2]]), rl, expert).mu == pytest.approx(MU)
