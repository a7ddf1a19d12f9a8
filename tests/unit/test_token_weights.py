"""Token weights that read more than p, or are made from others, by hand; and what holds for every token weight."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from chord.objectives import AnyTokenWeight, EqualMass, ExpertTokens, Nll, One, Power, TokenWeight
from chord.objectives.token_weights import ExpertPart, OwnTokenWeight

PLAIN = [
    {"name": "one"},
    {"name": "power", "a": 1, "b": 1},
    {"name": "power", "a": 1, "b": 1, "cutoff_prob": 0.8},
    {"name": "trsft", "alpha": 0.1},
    {"name": "scaled_power", "k": 10},
    {"name": "is_clip", "limit": 0.6},
    {"name": "entropy_top", "share": 0.5},
    {"name": "entropy_norm"},
    *({"name": "eaft", "normalisation": norm} for norm in ("paper", "llama_factory", "axolotl")),
    {"name": "margin"},
    {"name": "reference_ratio", "tau": 1, "per": "token", "low": 0.2, "high": 1.8},
]
EVERY = [*PLAIN, *({"name": "equal_mass", "of": of, "mean": 0.1} for of in PLAIN)]
NAMES = ["-".join(str(part) for part in (value["name"], *value.get("of", {}).values())) for value in EVERY]
VOCABULARY = 25


def weight(**settings) -> TokenWeight:
    return TypeAdapter(AnyTokenWeight).validate_python(settings)


def of_probabilities(*p: float) -> ExpertTokens:
    return ExpertTokens(torch.tensor(p, dtype=torch.float64).log())


def of_top(*rows: list[float]) -> ExpertTokens:
    """Tokens with these largest probabilities."""
    top = torch.tensor(rows, dtype=torch.float64).log()
    return ExpertTokens(top[..., 0], top_logps=top)


def of_logits(logits: torch.Tensor) -> ExpertTokens:
    """Everything that weights read of distributions (tokens, vocabulary), whose first entries are the expert's."""
    logps = logits.log_softmax(-1)
    entropy = -(logps.exp() * logps).nan_to_num(nan=0.0).sum(-1)
    reference = (logits.detach() / 2).log_softmax(-1)[..., 0]  # of a model that is less certain
    top = logps.sort(descending=True).values[..., :20]
    return ExpertTokens(logps[..., 0], entropy, top_logps=top, reference_logp=reference)


# By hand


def test_trsft_is_p_over_alpha_up_to_1():
    found = weight(name="trsft", alpha=0.1)(of_probabilities(0.02, 0.1, 0.5, 1.0))
    torch.testing.assert_close(found, torch.tensor([0.2, 1.0, 1.0, 1.0], dtype=torch.float64))


def test_scaled_power_has_the_gradient_of_minus_p_to_the_k():
    logp = torch.tensor([0.5, 0.9], dtype=torch.float64).log().requires_grad_()
    tokens = ExpertTokens(logp)
    found = weight(name="scaled_power", k=2)(tokens)
    torch.testing.assert_close(found, torch.tensor([0.5, 1.62], dtype=torch.float64))  # 2 p^2
    (expected,) = torch.autograd.grad(-(2 * logp).exp().sum(), logp)
    (found * Nll()(tokens)).sum().backward()
    torch.testing.assert_close(logp.grad, expected)
    torch.testing.assert_close(weight(name="scaled_power", k=1)(tokens), weight(name="power", a=1, b=0)(tokens))


def test_a_cutoff_has_the_gradient_of_a_clamped_logp():
    """Trinity-RFT's formula written out: phi of the true p, log p clamped at log(0.8)."""
    logp = torch.tensor([0.5, 0.79, 0.81, 1.0], dtype=torch.float64).log().requires_grad_()
    p = logp.detach().exp()
    (expected,) = torch.autograd.grad((-logp.clamp(max=math.log(0.8)) * p * (1 - p)).sum(), logp)
    tokens = ExpertTokens(logp)
    (weight(name="power", a=1, b=1, cutoff_prob=0.8)(tokens) * Nll()(tokens)).sum().backward()
    torch.testing.assert_close(logp.grad, expected)
    assert (logp.grad == 0.0).tolist() == [False, False, True, True]
    assert weight(name="power", a=1, b=0)(of_probabilities(1.0)).item() == 1.0  # off by default


@pytest.mark.parametrize(("normalisation", "norm"), [("paper", math.log(4)), ("llama_factory", 3.0), ("axolotl", 1.0)])
def test_eaft_by_hand(normalisation, norm):
    """Top 4 of a larger vocabulary. Renormalised: 1/2, 1/4, 1/8, 1/8 have an entropy of 1.75 ln 2; four equal, ln 4."""
    tokens = of_top([0.4, 0.2, 0.1, 0.1, 0.05], [0.2, 0.2, 0.2, 0.2, 0.1], [1.0, 0.0, 0.0, 0.0, 0.0])
    entropy = torch.tensor([1.75 * math.log(2), math.log(4), 0.0], dtype=torch.float64)
    linear = weight(name="eaft", normalisation=normalisation, top=4)
    assert linear.reads_top == 4
    torch.testing.assert_close(linear(tokens), entropy / norm)
    squared = weight(name="eaft", normalisation=normalisation, top=4, a=2)
    torch.testing.assert_close(squared(tokens), (entropy / norm) ** 2)


def test_eaft_is_llama_factorys_formula_on_logits():
    """softmax over the 20 largest logits, its entropy over 3.0, to the power alpha."""
    logits = torch.randn(7, VOCABULARY, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    q = logits.topk(20).values.softmax(-1)
    expected = (-(q * q.log()).sum(-1) / 3.0) ** 1.5
    found = weight(name="eaft", normalisation="llama_factory", a=1.5)(of_logits(logits))
    torch.testing.assert_close(found, expected)


def test_margin_by_hand():
    found = weight(name="margin")(of_top([0.6, 0.3, 0.1], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]))
    torch.testing.assert_close(found, torch.tensor([0.7, 1.0, 0.0], dtype=torch.float64))
    assert weight(name="margin").reads_top == 2


# Equal mass


def test_equal_mass_by_hand():
    """phi is 0.25, 0.09 and 0.16, in the mean 1/6: to a mean of 0.1 everything is times 0.6."""
    found = weight(name="equal_mass", of={"name": "power", "a": 1, "b": 1}, mean=0.1)(of_probabilities(0.5, 0.1, 0.8))
    torch.testing.assert_close(found, torch.tensor([0.15, 0.054, 0.096], dtype=torch.float64))


@pytest.mark.parametrize("of", PLAIN, ids=lambda value: value["name"])
def test_equal_mass_of_equal_tokens_is_its_mean(of):
    """All p = 1/2, and one token alone: no shape is left."""
    half = of_logits(torch.tensor([[0.0, 0.0, *[-math.inf] * 18]]).expand(6, 20))
    equal = weight(name="equal_mass", of=of, mean=0.1)
    torch.testing.assert_close(equal(half).mean(), torch.tensor(0.1))
    one = ExpertTokens(*(None if values is None else values[:1] for values in half))
    torch.testing.assert_close(equal(one), torch.tensor([0.1]))


def test_equal_mass_of_nothing_is_nothing():
    phi = weight(name="equal_mass", of={"name": "power", "a": 1, "b": 1}, mean=0.1)
    assert phi(of_probabilities(1.0, 1.0)).tolist() == [0.0, 0.0]
    assert phi(of_probabilities()).tolist() == []


def test_equal_mass_around_itself_is_refused_in_one_line():
    inner = {"name": "equal_mass", "of": {"name": "one"}, "mean": 1.0}
    with pytest.raises(ValidationError) as refused:
        weight(name="equal_mass", of=inner, mean=0.1)
    (error,) = refused.value.errors()
    assert error["loc"][-1] == "of"
    assert "'equal_mass'" in error["msg"]
    with pytest.raises(ValidationError, match="of"):
        EqualMass(of=EqualMass(of=One(), mean=1.0), mean=0.1)


def test_equal_mass_says_that_it_reads_what_the_other_weight_reads():
    """Whatever there is to say: a weight that is not given what it reads cannot be computed."""
    says = [name for name in dir(ExpertPart) if name.startswith("reads_")]
    assert "reads_top" in says
    greedy = type("Greedy", (Power,), dict.fromkeys(says, 7) | {"__annotations__": {}})
    equal = EqualMass.model_construct(of=greedy.model_construct(a=1.0, b=1.0), mean=0.1)
    assert [getattr(equal, name) for name in says] == [7] * len(says)


# Of every weight


def test_the_list_has_every_weight():
    assert {value["name"] for value in PLAIN} == {
        part.model_fields["name"].default for part in get_args(OwnTokenWeight)
    }


@pytest.mark.parametrize("value", EVERY, ids=NAMES)
@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), tokens=st.integers(1, 12), spread=st.floats(0.0, 200.0))
def test_what_holds_for_every_weight(value, seed, tokens, spread):
    """Finite and not negative, from p near 0 to p = 1; without gradient; of a token, wherever it stands."""
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(tokens, VOCABULARY, generator=generator) * spread).requires_grad_()
    values = of_logits(logits)
    found = weight(**value)(values)
    assert found.shape == values.logp.shape
    assert found.isfinite().all()
    assert (found >= 0.0).all()
    assert not found.requires_grad
    order = torch.randperm(tokens, generator=generator)
    if "entropy_top" not in (value["name"], value.get("of", {}).get("name")):  # which of equal ones is a choice
        moved = weight(**value)(ExpertTokens(*(None if value is None else value[order] for value in values)))
        torch.testing.assert_close(moved, found[order])
    if value["name"] == "equal_mass" and found.any():
        torch.testing.assert_close(found.mean().item(), 0.1, rtol=1e-4, atol=0)


@pytest.mark.parametrize("value", EVERY, ids=NAMES)
def test_a_part_of_a_batch_is_weighed_as_in_the_batch(value):
    """With the tokens of padding left out, whatever the padding is."""
    logits = torch.randn(2, 3, VOCABULARY, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    own = weight(**value)
    found = own.of_batch(of_logits(logits), mask)
    expected = own(of_logits(logits[mask.bool()]))
    torch.testing.assert_close(found[mask.bool()], expected)


@pytest.mark.parametrize("value", [value for value in PLAIN if "entropy" not in value["name"]])
def test_no_tokens_have_no_weights(value):
    assert weight(**value)(of_logits(torch.zeros(0, VOCABULARY))).shape == (0,)


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "trsft", "alpha": 0.0},
        {"name": "scaled_power", "k": -1},
        {"name": "eaft"},
        {"name": "eaft", "normalisation": "paper", "top": 1},
        {"name": "eaft", "normalisation": "verl"},
        {"name": "power", "a": 1, "b": 1, "cutoff_prob": 0.0},
        {"name": "equal_mass", "of": {"name": "one"}},
    ],
)
def test_bad_weights_are_refused(bad):
    with pytest.raises(ValidationError):
        weight(**bad)
