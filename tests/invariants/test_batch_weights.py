"""Token weights that need the whole step, or whole distributions: the formula, and what must change nothing."""

import math

import pytest
import torch

from chord.io.seeds import derive_seed
from chord.training.sequences import encode_experts, row_order
from tests.helpers.small_training import COMMON, SEED_PARTS, hybrid_stage, logged, weights

TOP = {"name": "entropy_top", "share": 0.05}
NORM = {"name": "entropy_norm"}
EAFT = {"name": "eaft", "normalisation": "paper"}  # needs no other tokens, but more of each one's distribution
MASS = {"name": "equal_mass", "of": EAFT, "mean": 0.1}
WEIGHTS = {"top": TOP, "norm": NORM, "eaft": EAFT, "equal mass of eaft": MASS}


@pytest.mark.parametrize("tokens", [1, 100])
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_micro_batches_change_nothing(train_hybrid, trained, weight, tokens):
    whole = trained(hybrid_stage(steps=2, token_weight=weight, micro_batch_tokens=10_000))
    split = train_hybrid(hybrid_stage(steps=2, token_weight=weight, micro_batch_tokens=tokens))
    torch.testing.assert_close(weights(split), weights(whole), rtol=0, atol=1e-5)
    for key in ("expert_loss", "expert_nll", "token_weight_mean", "loss"):
        assert logged(split, key) == pytest.approx(logged(whole, key), abs=1e-5)


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_one_step_follows_the_formula_over_all_expert_tokens(train_hybrid, load, tokenizer, experts, weight):
    """Entropies from whole logits, row by row; weights by other means than the parts'; the gradient from autograd."""
    stage = hybrid_stage(steps=1, token_weight=weight, schedule={"name": "constant", "mu": 1.0})
    trainer = train_hybrid(stage)
    model = load()
    sequences = encode_experts(tokenizer, experts)
    order = row_order(len(experts), stage.expert_rows_per_step, derive_seed(*SEED_PARTS, "expert order"))
    logps, entropies, tops = [], [], []
    for row in (sequences[i] for i in order):
        found = model(torch.tensor([row.input_ids])).logits[0, len(row.prompt_ids) - 1 : -1].log_softmax(-1)
        logps.append(found[torch.arange(len(row.response_ids)), torch.tensor(row.response_ids)])
        entropies.append(-(found.exp() * found).sum(-1).detach())
        tops.append(found.detach().sort(descending=True).values[:, :20].softmax(-1))
    logp, entropy, top = torch.cat(logps), torch.cat(entropies), torch.cat(tops)
    if weight is TOP:
        cut = sorted(entropy.tolist(), reverse=True)[round(0.05 * len(entropy)) - 1]
        w = (entropy >= cut).float()
        assert 1 < w.sum() < 0.06 * len(w)
    elif weight is NORM:
        w = entropy / max(entropy.tolist())
    else:
        w = torch.distributions.Categorical(probs=top).entropy() / math.log(20)
        if weight is MASS:
            w = w * 0.1 / w.mean()
    loss = -(w * logp).sum() / len(logp)
    assert logged(trainer, "expert_loss") == [pytest.approx(loss.item(), rel=1e-4)]
    assert logged(trainer, "token_weight_mean") == [pytest.approx(w.mean().item(), rel=1e-4)]
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), COMMON["max_grad_norm"])
    assert logged(trainer, "grad_norm") == [pytest.approx(norm.item(), rel=1e-4)]
    expected = torch.cat([(p - COMMON["learning_rate"] * p.grad).detach().flatten() for p in model.parameters()])
    torch.testing.assert_close(weights(trainer), expected, rtol=0, atol=1e-5)


def test_the_pass_is_timed_and_only_made_where_needed(train_hybrid):
    assert min(logged(train_hybrid(hybrid_stage(steps=1, token_weight=NORM)), "weigh_seconds")) > 0.0
    assert logged(train_hybrid(hybrid_stage(steps=1)), "weigh_seconds") == []
