"""The gradients of the two terms of a step apart: taken from the model, measured, and put back as one.

Nothing here is used unless the schedule reads gradients. Then the step's passes hold rows of one term, or of one half
of its prompts, and beside the usual gradient there are one more (`terms`) or two more (`halves`) in memory.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from chord.objectives import Gradients
from chord.training.micro_batches import Term
from chord.training.scale.sharding import copies, is_sharded

Values = dict[str, Tensor]  # a gradient, by the names of parameters; with FSDP2 this rank's part of it


class StepPart(NamedTuple):
    """Rows of one term, to be computed by passes of their own."""

    sums: list[list[Term]]  # all terms of the step, as their tokens count, with the other rows left out of the passes
    prompts: int  # how many prompts these rows have, over all ranks


def parts_of(
    sums: list[list[Term]], name: Literal["rl", "expert"], halves: bool, accelerator: Accelerator
) -> list[StepPart]:
    """One term of a step, whole or as two halves of its prompts. Every rank calls it.

    Which half a prompt is in depends on the prompt and on the others of the step, not on ranks or the order of rows.
    """
    term = next(term for terms in sums for term in terms if term.name == name)
    own = [_key(row.prompt_ids) for row in term.rows]
    keys = sorted({key for keys in gather_object([own]) for key in keys})
    chosen = [set(keys[0::2]), set(keys[1::2])] if halves else [set(keys)]
    return [StepPart([[_only(one, name, part) for one in terms] for terms in sums], len(part)) for part in chosen]


def _key(prompt_ids: list[int]) -> int:
    """A number that orders prompts as if at random: neighbours in the order of tokens are often alike."""
    return hash(tuple(prompt_ids))  # of whole numbers: the same in every process


def _only(term: Term, name: str, keys: set[int]) -> Term:
    left_out = {i for i, row in enumerate(term.rows) if term.name != name or _key(row.prompt_ids) not in keys}
    return replace(term, flat=term.flat | left_out)


@dataclass(frozen=True)
class TermGradient:
    """The gradient of one term, before its weight."""

    values: Values
    variance: float | None  # E |g - E g|^2; None if it was not computed in two halves, or one of them is empty

    @classmethod
    def of_parts(cls, parts: Sequence[tuple[int, Values]], accelerator: Accelerator) -> "TermGradient":
        """parts: (number of prompts, gradient); the gradients are added up in place."""
        (n_first, first), *others = parts
        variance = None
        for n_second, second in others:
            if n_second:
                squares = dot(first, first, accelerator), dot(second, second, accelerator)
                variance = half_variance(n_first, n_second, *squares, dot(first, second, accelerator))
            for name, values in second.items():
                first[name] += values
        return cls(first, variance)


def half_variance(n1: int, n2: int, square1: float, square2: float, product: float) -> float:
    """n1 n2 |h1/n1 - h2/n2|^2, whose expected value is the variance of h1 + h2 if the prompts are independent.

    n1, n2: prompts of the halves. square1, square2, product: |h1|^2, |h2|^2 and h1.h2 of their gradients.
    """
    return max(n2 / n1 * square1 + n1 / n2 * square2 - 2.0 * product, 0.0)  # rounding can give less


def compare(rl: TermGradient, expert: TermGradient, accelerator: Accelerator) -> Gradients:
    """The norms, the dot product and the noise of both gradients. Every rank calls it and gets the same."""
    return Gradients(
        rl_grad_norm=math.sqrt(dot(rl.values, rl.values, accelerator)),
        expert_grad_norm=math.sqrt(dot(expert.values, expert.values, accelerator)),
        grad_dot=dot(rl.values, expert.values, accelerator),
        rl_grad_variance=rl.variance,
        expert_grad_variance=expert.variance,
    )


def dot(a: Values, b: Values, accelerator: Accelerator) -> float:
    """The dot product of two gradients, over the parts of all ranks where each has only a part."""
    products = [(_local(values) * _local(b[name])).sum(dtype=torch.float64) for name, values in a.items()]
    total = torch.stack(products).sum().to(accelerator.device)
    if is_sharded(accelerator):
        total = accelerator.reduce(total, "sum") / copies(accelerator)
    return total.item()


def _local(values: Tensor) -> Tensor:
    return values.to_local() if isinstance(values, DTensor) else values


def take_gradient(model: nn.Module) -> Values:
    """Take the gradient from the parameters, which then have none."""
    values = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    model.zero_grad(set_to_none=True)
    return values


def put_gradient(model: nn.Module, rl: Values, expert: Values, a_rl: float, a_ex: float) -> None:
    """Give the parameters a_rl * rl + a_ex * expert. Changes rl in place."""
    parameters = dict(model.named_parameters())
    for name, values in rl.items():
        parameters[name].grad = values.mul_(a_rl).add_(expert[name], alpha=a_ex)
