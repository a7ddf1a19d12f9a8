"""Projects the gradient of a mixed step on the two pure gradients of the same batch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

PARALLEL = 1e-9  # 1 - cos^2 of the angle between the pure gradients, below which two weights cannot be told apart

Gradient = Tensor | Iterable[Tensor] | Mapping[str, Tensor]


@dataclass(frozen=True)
class EffectiveWeights:
    """The weights with which a_rl * rl + a_ex * expert comes closest to the mixed gradient."""

    a_rl: float
    a_ex: float
    residual: float  # norm of what they do not explain, as a share of the norm of the mixed gradient

    @property
    def mu(self) -> float:
        """a_ex / (a_rl + a_ex): what mu would have to be in (1 - mu) L_rl + mu L_ex."""
        return self.a_ex / (self.a_rl + self.a_ex)


def effective_mu(mixed: Gradient, rl: Gradient, expert: Gradient) -> EffectiveWeights:
    """Least squares of the mixed gradient on the two pure ones.

    mixed: gradient of a step on both terms, as the trainer's optimizer gets it, before clipping (which scales both
    weights alike, so mu survives it). rl, expert: gradients of each term alone, of the same rows and weights, in one
    micro-batch on one rank: there no split can matter. Each is one tensor, tensors in one order, or tensors by name.
    Names and shapes of the three must agree, else ValueError. Sums are in float64.

    A residual above rounding (1e-5 in float32) means that the rows within a term are weighted otherwise than in the
    pure gradient: no mu explains the step. ValueError where a pure gradient is 0, or both have one direction.
    """
    triples = list(_aligned(mixed, rl, expert))
    rl_rl, rl_ex, ex_ex, mixed_rl, mixed_ex, mixed_mixed = (
        sum(torch.dot(triple[i], triple[j]).item() for triple in triples)
        for i, j in ((1, 1), (1, 2), (2, 2), (0, 1), (0, 2), (0, 0))
    )
    for name, square in (("rl", rl_rl), ("expert", ex_ex)):
        if square == 0.0:
            raise ValueError(f"{name}: expected a gradient other than 0")
    determinant = rl_rl * ex_ex - rl_ex**2
    if determinant <= PARALLEL * rl_rl * ex_ex:
        raise ValueError("rl and expert: expected gradients of different directions")
    a_rl = (mixed_rl * ex_ex - mixed_ex * rl_ex) / determinant
    a_ex = (mixed_ex * rl_rl - mixed_rl * rl_ex) / determinant
    rest = sum((m - a_rl * r - a_ex * e).square().sum().item() for m, r, e in triples)
    return EffectiveWeights(a_rl, a_ex, (rest / mixed_mixed) ** 0.5 if mixed_mixed else 0.0)


def _aligned(*gradients: Gradient) -> Iterable[list[Tensor]]:
    """The flat float64 parts of the gradients that belong together."""
    if all(isinstance(gradient, Mapping) for gradient in gradients):
        first, *others = gradients
        for other in others:
            if unmatched := sorted(first.keys() ^ other.keys()):
                raise ValueError(f"{unmatched[0]}: expected in all three gradients")
        gradients = [[gradient[name] for name in first] for gradient in gradients]
    parts = [[gradient] if isinstance(gradient, Tensor) else list(gradient) for gradient in gradients]
    shapes = [[part.shape for part in gradient] for gradient in parts]
    if shapes[1:] != shapes[:-1]:
        raise ValueError("expected three gradients of the same shapes")
    for same in zip(*parts, strict=True):
        yield [part.detach().double().flatten() for part in same]
