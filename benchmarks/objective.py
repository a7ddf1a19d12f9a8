"""Measures what the parts of each named objective cost beyond the passes through the model.

    python -m benchmarks.objective

The loss and its gradient with respect to the log-probabilities are computed for the tokens of a step of the case
`peers` of benchmarks.step (256 responses, 64 expert rows, 64 tokens each): the schedule, the token weight, the terms
and their sum. The column `of a step` compares that with a whole step with coin rewards, measured first in a process of
its own. What a part reads besides (the largest log-probabilities, values of a frozen model) comes from model passes;
here it is random. Times are CPU seconds of one thread, the median of repetitions.
"""

import time
from statistics import median

import torch
from benchmarks.step.cases import CASES, K
from benchmarks.step.one_side import measure

from chord.objectives import named
from chord.objectives.distillation import SampledTokens
from chord.objectives.hybrid import Objective, distilled_policy_loss, expert_loss, hybrid_loss, policy_loss
from chord.objectives.token_weights import ExpertTokens

CASE, REPETITIONS = CASES["peers"], 30
LIMIT = 0.03  # of a step


def logps(rows: int, *last: int) -> torch.Tensor:
    return -torch.rand(rows, CASE.response_tokens, *last)


def loss(objective: Objective, step: int, sampled: SampledTokens, expert: ExpertTokens) -> torch.Tensor:
    """The loss of a step in one micro-batch; every row has the whole length."""
    a_rl, a_ex = objective.weights(step)
    mask, expert_mask = (torch.ones_like(tokens.logp, dtype=torch.bool) for tokens in (sampled, expert))
    advantages = torch.linspace(-1, 1, len(mask))
    if objective.distillation:
        rl = distilled_policy_loss(sampled, advantages, mask, mask.sum(), objective.distillation, objective.clip)
    else:
        rl = policy_loss(sampled.logp, sampled.logp.detach(), advantages, mask, mask.sum(), objective.clip)
    return hybrid_loss(
        rl,
        expert_loss(expert, expert_mask, expert_mask.sum(), objective.token_weight, objective.expert_loss),
        a_rl,
        a_ex,
    )


def seconds(objective: Objective) -> float:
    """CPU seconds of the loss of a step and its gradient."""
    torch.manual_seed(0)
    logp, teacher = (logps(CASE.prompts * K) for _ in range(2))
    sampled = SampledTokens(logp.requires_grad_(), teacher, logps(CASE.prompts * K).abs())
    n = CASE.experts
    top = max(objective.token_weight.reads_top, objective.expert_loss.reads_top)
    expert = ExpertTokens(
        logps(n).requires_grad_(),
        entropy=logps(n).abs(),
        advantage=torch.ones(n, CASE.response_tokens),
        row_entropy=logps(n).abs(),
        top_logps=logps(n, top).sort(descending=True).values if top else None,
        reference_logp=logps(n),
        row_log_ratio=logps(n),
        soft_nll=logps(n).abs().requires_grad_(),
        soft_entropy=logps(n).abs(),
        old_logp=logps(n),
    )
    took = []
    for step in range(1, REPETITIONS + 1):
        began = time.process_time()
        loss(objective, step, sampled, expert).backward()
        took.append(time.process_time() - began)
    return median(took)


def main() -> None:
    torch.set_num_threads(1)
    step = measure("peers", "ours", "coin", CASE.warm_up, CASE.steps).seconds
    print(f"a step: {step:.2f} s\n{'objective':<22}{'ms':>8}{'of a step':>12}   aim: less than {LIMIT:.0%}")
    for name, objective in vars(named).items():
        if isinstance(objective, Objective):
            took = seconds(objective)
            print(f"{name:<22}{1e3 * took:>8.2f}{took / step:>12.2%}")


if __name__ == "__main__":
    main()
