"""What is learnt from a second model, against numbers worked by hand, autograd on whole logits, and its limits."""

import math

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from chord.objectives import (
    AnyDistillation,
    AnyExpertLoss,
    AnyTokenWeight,
    Constant,
    Distillation,
    ExpertTokens,
    Joined,
    Objective,
    SampledTokens,
    distilled_policy_loss,
    policy_loss,
)

MASK = torch.ones(1, 3)


def part(union, **settings):
    return TypeAdapter(union).validate_python(settings)


def weight(**settings):
    return part(AnyTokenWeight, name="reference_ratio", **settings)


def loss(**settings):
    return part(AnyExpertLoss, **settings)


def distillation(**settings) -> Distillation:
    return part(AnyDistillation, **settings)


def log(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64).log()


# iw-SFT


def test_a_row_has_one_weight_of_its_mean_log_ratio():
    """log(p / p_ref) is log 4, log 1 and log 2, so the mean is log 2."""
    logp, reference = log(0.8, 0.3, 0.5).requires_grad_(), log(0.2, 0.3, 0.25)
    mean = (logp - reference).detach().mean(1, keepdim=True).expand(1, 3)
    tokens = ExpertTokens(logp, reference_logp=reference, row_log_ratio=mean)
    found = weight(tau=1.0)(tokens)
    assert found.tolist() == [pytest.approx([2.0] * 3)]
    assert not found.requires_grad
    assert weight(tau=2.0)(tokens).tolist() == [pytest.approx([4.0] * 3)]
    assert weight(tau=2.0, high=3.0)(tokens).tolist() == [[3.0] * 3]
    by_token = weight(tau=1.0, per="token", low=1.5, high=3.0)(tokens)
    assert by_token.tolist() == [pytest.approx([3.0, 1.5, 2.0])]
    assert not by_token.requires_grad


def test_a_weight_is_16_at_most_and_1_where_the_policy_is_the_reference():
    logp = log(0.9, 0.5)
    far = ExpertTokens(logp, reference_logp=logp - 9.0, row_log_ratio=torch.full((1, 2), 9.0))
    assert weight(tau=1.0)(far).tolist() == [[16.0] * 2]
    same = ExpertTokens(logp, reference_logp=logp, row_log_ratio=torch.zeros(1, 2))
    for per in ("row", "token"):
        assert weight(tau=1.0, per=per)(same).tolist() == [[1.0] * 2]


# PSFT


def test_psft_by_hand():
    """Ratios 1/2, 1 and 2; above 1.28 the gradient is 0, below 0.8 it is not."""
    logp = log(0.1, 0.5, 0.8).requires_grad_()
    found = loss(name="psft", high=0.28, updates=8)(ExpertTokens(logp, old_logp=log(0.2, 0.5, 0.4)))
    assert found.tolist() == [pytest.approx([-0.5, -1.0, -1.28])]
    found.sum().backward()
    assert logp.grad.tolist() == [pytest.approx([-0.5, -1.0, 0.0])]


def test_psft_is_ppo_with_advantage_1():
    """The public formula, with both limits and the dual clip of negative advantages, on random tensors."""
    generator = torch.Generator().manual_seed(0)
    logp, old = (-3.0 * torch.rand(1, 200, generator=generator, dtype=torch.float64) for _ in range(2))
    ratio, advantage = (logp - old).exp(), torch.ones(1, 200, dtype=torch.float64)
    clipped = torch.maximum(-advantage * ratio, -advantage * ratio.clamp(1 - 0.2, 1 + 0.28))
    dual = torch.minimum(-advantage * 10.0, clipped)
    expected = torch.where(advantage < 0, dual, clipped)
    found = loss(name="psft", high=0.28, updates=8)(ExpertTokens(logp, old_logp=old))
    torch.testing.assert_close(found, expected)


def test_the_first_update_of_psft_has_the_gradient_of_sft():
    logp = log(0.1, 0.5, 0.8).requires_grad_()
    psft = loss(name="psft", high=0.28, updates=1)
    psft(ExpertTokens(logp, old_logp=logp.detach())).sum().backward()
    assert logp.grad.tolist() == [pytest.approx([-1.0] * 3)]


def test_psft_reads_rows_that_are_known_beforehand():
    psft = loss(name="psft", high=0.28, updates=8)
    assert Objective(Constant(mu=1.0), expert_loss=psft).expert_loss.inner_updates == 8
    with pytest.raises(ValueError, match="router: expected separate, as the expert loss psft"):
        Objective(Constant(mu=0.5), expert_loss=psft, router=Joined(scale="none"))


# ASFT and GIFT, with values of whole logits


def soft(logits: torch.Tensor, reference: torch.Tensor, labels: torch.Tensor, beta: float) -> ExpertTokens:
    """logits, reference: (tokens, vocabulary). labels: (tokens,)."""
    logp = logits.log_softmax(-1)
    target = reference + beta * torch.nn.functional.one_hot(labels, logits.shape[-1])
    q = target.softmax(-1)
    entropy = torch.distributions.Categorical(logits=target).entropy()
    return ExpertTokens(logp.gather(1, labels[:, None])[:, 0], None, soft_nll=-(q * logp).sum(-1), soft_entropy=entropy)


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(1)
    logits, reference = (torch.randn(7, 11, generator=generator, dtype=torch.float64) for _ in range(2))
    return logits.requires_grad_(), reference, torch.arange(7)


def test_asft_by_hand():
    """Two tokens in the vocabulary: p = (1/4, 3/4), p_ref = (1/2, 1/2), y* the first. KL = log(2 / sqrt 3)."""
    logits = torch.tensor([[1.0, 3.0]], dtype=torch.float64).log().requires_grad_()
    tokens = soft(logits, torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0]), 0.0)
    asft = loss(name="asft", kl=0.1)
    assert asft.soft_target == 0.0
    found = asft(tokens)
    assert found.item() == pytest.approx(0.25 * math.log(4.0) + 0.1 * math.log(2.0 / math.sqrt(3.0)))
    found.sum().backward()
    # The gradient of DFT is p (p - onehot), that of the KL is p - p_ref.
    assert logits.grad.tolist() == [pytest.approx([-0.25 * 0.75 - 0.1 * 0.25, 0.25 * 0.75 + 0.1 * 0.25])]


def test_asft_is_dft_where_the_policy_is_the_reference(case):
    logits, _, labels = case
    tokens = soft(logits, logits.detach(), labels, 0.0)
    found = loss(name="asft", kl=0.1)(tokens)
    dft = -tokens.logp.detach().exp() * tokens.logp
    torch.testing.assert_close(found, dft)
    gradients = [torch.autograd.grad(value.sum(), logits, retain_graph=True)[0] for value in (found, dft)]
    torch.testing.assert_close(*gradients)


def test_gift_by_hand():
    """p = (1/4, 3/4), p_ref = (1/2, 1/2), beta = log 3: q = (3/4, 1/4)."""
    logits = torch.tensor([[1.0, 3.0]], dtype=torch.float64).log().requires_grad_()
    gift = loss(name="gift", beta=math.log(3.0))
    assert gift.soft_target == math.log(3.0)
    found = gift(soft(logits, torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0]), math.log(3.0)))
    assert found.item() == pytest.approx(0.75 * math.log(4.0) + 0.25 * math.log(4.0 / 3.0))
    found.sum().backward()
    assert logits.grad.tolist() == [pytest.approx([-0.5, 0.5])]  # p - q


def test_gift_is_sft_for_large_beta_and_differs_with_the_published_one_only_where_the_reference_is_nearly_0(case):
    logits, reference, labels = case
    tokens = soft(logits, reference, labels, 80.0)
    torch.testing.assert_close(loss(name="gift", beta=80.0)(tokens), -tokens.logp)
    sure = torch.full((1, 2), 0.0, dtype=torch.float64)
    for p_ref, q in ((2e-9, 0.5), (1e-6, 0.998)):
        sure[0, 0] = math.log(p_ref / (1.0 - p_ref))
        target = soft(sure, sure, torch.tensor([0]), 20.0)
        share = 1.0 / (1.0 + math.exp(-20.0) * (1.0 - p_ref) / p_ref)
        assert share == pytest.approx(q, abs=0.02)
        log_1p = math.log1p(-p_ref)
        assert target.soft_nll.item() == pytest.approx(-share * math.log(p_ref) - (1.0 - share) * log_1p)


# Distillation


def test_each_token_may_have_its_own_advantage():
    """Of `policy_loss`: by hand, and as one for each row if those of a row are equal."""
    logp, old = log(0.5, 0.2, 0.1), log(0.5, 0.1, 0.2)  # ratios 1, 2 and 1/2
    by_token = torch.tensor([[1.0, 2.0, -1.0]], dtype=torch.float64)
    # -1; -min(2 * 2, 1.2 * 2) = -2.4; -min(-1/2, -0.8) = 0.8
    assert policy_loss(logp, old, by_token, MASK, 2).item() == pytest.approx((-1.0 - 2.4 + 0.8) / 2)
    row = torch.tensor([0.7], dtype=torch.float64)
    assert policy_loss(logp, old, row[:, None].expand(1, 3), MASK, 2) == policy_loss(logp, old, row, MASK, 2)


def test_reverse_kl_by_hand():
    """log(p / p_teacher) is log 2, 0 and -log 2; reward 1 and coef 1/2 with an advantage of 3."""
    logp = log(0.8, 0.3, 0.2).requires_grad_()
    tokens = SampledTokens(logp, log(0.4, 0.3, 0.4))
    opd = distillation(name="reverse_kl", coef=1.0, reward=0.0)
    both = distillation(name="reverse_kl", coef=0.5, reward=1.0)
    advantages, half = torch.tensor([3.0], dtype=torch.float64), 0.5 * math.log(2.0)
    assert opd.advantages(advantages, tokens).tolist() == [pytest.approx([-math.log(2.0), 0.0, math.log(2.0)])]
    found = both.advantages(advantages, tokens)
    assert found.tolist() == [pytest.approx([3.0 - half, 3.0, 3.0 + half])]
    assert not found.requires_grad
    distilled_policy_loss(tokens, advantages, MASK, 3, both).backward()
    assert logp.grad.tolist() == [pytest.approx([-(3.0 - half) / 3, -1.0, -(3.0 + half) / 3])]


def test_the_expected_gradient_of_reverse_kl_is_that_of_the_kl():
    """Over all tokens that could be sampled, each weighted by its probability."""
    generator = torch.Generator().manual_seed(2)
    logits, teacher = (torch.randn(5, generator=generator, dtype=torch.float64) for _ in range(2))
    logits.requires_grad_()
    logp, teacher_logp = logits.log_softmax(-1), teacher.log_softmax(-1)
    kl = (logp.exp() * (logp - teacher_logp)).sum()
    (expected,) = torch.autograd.grad(kl, logits, retain_graph=True)
    opd = distillation(name="reverse_kl", coef=1.0, reward=0.0)
    tokens = SampledTokens(logp[:, None], teacher_logp[:, None])
    nothing = torch.zeros(5, dtype=torch.float64)
    found = distilled_policy_loss(tokens, nothing, logp.detach().exp()[:, None], 1, opd)
    torch.testing.assert_close(torch.autograd.grad(found, logits)[0], expected)


def test_a_teacher_that_is_the_policy_teaches_nothing():
    logits = torch.randn(4, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64).requires_grad_()
    tokens = soft(logits, logits.detach(), torch.arange(4), 0.0)
    kl = (tokens.soft_nll - tokens.soft_entropy)[None]
    sampled = SampledTokens(tokens.logp[None], tokens.logp[None].detach(), kl)
    for name in ("reverse_kl", "forward_kl"):
        part = distillation(name=name, coef=1.0, reward=0.0)
        found = distilled_policy_loss(sampled, torch.tensor([2.0]), torch.ones(1, 4), 4, part)
        (gradient,) = torch.autograd.grad(found, logits, retain_graph=True)
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


def test_forward_kl_by_hand():
    """p = (1/4, 3/4), teacher (1/2, 1/2): KL(teacher || policy) = log(2 / sqrt 3), whose gradient is p - teacher."""
    logits = torch.tensor([[1.0, 3.0]], dtype=torch.float64).log().requires_grad_()
    tokens = soft(logits, torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0]), 0.0)
    sampled = SampledTokens(tokens.logp[None], log(0.5), (tokens.soft_nll - tokens.soft_entropy)[None])
    dagger = distillation(name="forward_kl", coef=2.0, reward=0.0)
    found = distilled_policy_loss(sampled, torch.tensor([7.0]), torch.ones(1, 1), 1, dagger)
    assert found.item() == pytest.approx(2.0 * math.log(2.0 / math.sqrt(3.0)))
    found.backward()
    assert logits.grad.tolist() == [pytest.approx([-0.5, 0.5])]


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "reverse_kl", "coef": 0.0, "reward": 1.0},
        {"name": "forward_kl", "coef": 1.0, "reward": -1.0},
        {"name": "reverse_kl", "coef": 1.0},
    ],
)
def test_settings_without_a_meaning_are_refused(settings):
    with pytest.raises(ValidationError):
        distillation(**settings)
