"""Groups of rows with one prompt: packed, so that it is computed once, against full rows.

Exactness: log-probabilities and gradients of both in fp32, and in bf16 their distances from full rows in fp32, since
rounding alone moves both. Speed: a forward and backward pass in bf16. Packed rows must also not compile a kernel for
each new length, nor fall back to whole score matrices.
"""

import time
from statistics import median

import torch
from benchmarks.gpu.checks import check
from benchmarks.gpu.random_rows import random_sequences, random_tokens
from benchmarks.gpu.sizes import Groups, Size
from benchmarks.step.cases import BASE, SPECIAL_TOKENS, random_model, shape
from benchmarks.step.gauge import Gauge, gauge_of_this_machine
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel
from trl.trainer.utils import add_fused_lm_head

from chord.shared_prompts import share_prompts
from chord.training.sequences import Sequence, batch_of

LOGP_LIMIT, GRADIENT_LIMIT = 1e-3, 1e-3  # in fp32: nats at most, and of the gradient's norm
BF16_LIMIT = 1.5  # the distance of packed rows from fp32 over that of full rows


def measure(size: Size) -> dict:
    groups, gauge = size.groups, gauge_of_this_machine()
    model = load(groups.model)
    rows, checks = [], []
    for prompt_tokens in groups.prompt_tokens:
        sequences = random_sequences(model.config.vocab_size, groups.responses, prompt_tokens, groups.response_tokens)
        exact = exactness(model, sequences)
        seconds = {packed: pass_seconds(model, sequences, packed, groups.repeats, gauge) for packed in (True, False)}
        rows.append(
            {"prompt tokens": prompt_tokens, "responses": f"{groups.responses} x {groups.response_tokens}"}
            | {"shared s": seconds[True], "full rows s": seconds[False], "faster": seconds[False] / seconds[True]}
            | exact
        )
        checks += [
            check(f"prompt of {prompt_tokens}: {name}", exact[name], limit)
            for name, limit in (
                ("fp32 log p, largest difference", LOGP_LIMIT),
                ("fp32 gradient, relative difference", GRADIENT_LIMIT),
                ("bf16 log p, error over full rows'", BF16_LIMIT),
                ("bf16 gradient, error over full rows'", BF16_LIMIT),
            )
        ]
    first, later = many_lengths(model, groups)
    variants = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    rows.append({"prompt tokens": f"{groups.lengths} lengths", "first pass s": first, "later passes s": later})
    # Three for lengths, in two precisions: torch has not made one for each length.
    return {"rows": rows, "checks": [check("kernels compiled", variants, 8), *checks]}


def load(name: str) -> PreTrainedModel:
    if name == "0.8M":
        config = AutoConfig.from_pretrained(BASE, max_position_embeddings=4096)
    else:
        config = AutoConfig.for_model(**shape(name), **SPECIAL_TOKENS)
    model, _ = random_model(config)
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    if reason := share_prompts(model):
        raise SystemExit(f"{name}: {reason}")
    return model.to("cuda" if torch.cuda.is_available() else "cpu").train()


def exactness(model: PreTrainedModel, sequences: list[Sequence]) -> dict[str, float]:
    truth = one_pass(model, sequences, packed=False, bf16=False)
    packed = one_pass(model, sequences, packed=True, bf16=False)
    full_bf16, packed_bf16 = (one_pass(model, sequences, packed=packed, bf16=True) for packed in (False, True))
    return {
        "fp32 log p, largest difference": (packed[0] - truth[0]).abs().max().item(),
        "fp32 gradient, relative difference": distance(packed[1], truth[1]),
        "bf16 log p, error over full rows'": (
            (packed_bf16[0] - truth[0]).abs().mean() / (full_bf16[0] - truth[0]).abs().mean()
        ).item(),
        "bf16 gradient, error over full rows'": distance(packed_bf16[1], truth[1]) / distance(full_bf16[1], truth[1]),
    }


def distance(one: Tensor, other: Tensor) -> float:
    """Of two gradients, relative to the second's norm."""
    return ((one - other).norm() / other.norm()).item()


def one_pass(model: PreTrainedModel, sequences: list[Sequence], packed: bool, bf16: bool) -> tuple[Tensor, Tensor]:
    """Log-probabilities, (rows, longest response), and the gradient of their mean as one vector."""
    model.zero_grad()
    batch = batch_of(sequences, packed, pad_token_id=0)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        logp = batch.by_row(model(**batch.inputs(model.device), fused_lm_head=True).log_probs)
        logp.mean().backward()
    gradient = torch.cat([weight.grad.flatten() for weight in model.parameters()])
    return logp.detach().float(), gradient


def pass_seconds(model: PreTrainedModel, sequences: list[Sequence], packed: bool, repeats: int, gauge: Gauge) -> float:
    """Of a forward and backward pass in bf16, the median after one that warms up."""
    seconds = []
    for _ in range(repeats + 1):
        began = gauge.mark()
        one_pass(model, sequences, packed, bf16=True)
        seconds.append(gauge.seconds(began, gauge.mark()))
    return median(seconds[1:])


def many_lengths(model: PreTrainedModel, groups: Groups) -> tuple[float, float]:
    """Wall seconds of the first pass and the median of later ones, each of another length."""
    seconds = []
    for number in range(groups.lengths):
        prompt = random_tokens(model.config.vocab_size, groups.prompt_tokens[0] // 2 + 7 * number, number)
        rows = [Sequence(prompt, random_tokens(model.config.vocab_size, 9 + number + i, i)) for i in range(4)]
        began = time.perf_counter()
        one_pass(model, rows, packed=True, bf16=True)[0].cpu()
        seconds.append(time.perf_counter() - began)
    return seconds[0], median(seconds[1:])
