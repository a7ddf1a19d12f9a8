"""Nominal against effective mu of a job's first step, over splits into micro-batches and numbers of ranks."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from chord.errors import UserError
from chord.probe.own_step import StepGradient, on_ranks, probe_spec, take_step, with_weights
from chord.probe.projection import EffectiveWeights, effective_mu
from chord.training.scale.launch import local_ranks
from chord.training.scale.sharding import start_ranks
from chord.training.train_spec import TrainSpec

TOLERANCE = 1e-5  # of mu; what float32 leaves is a hundredth of it

HEADER = (
    f"{'ranks':>5} {'micro-batches':>13} {'passes':>6} {'mu':>9} {'effective':>10} {'a_rl':>9} {'effective':>10} "
    f"{'a_ex':>9} {'effective':>10} {'residual':>9} {'rank gap':>9}"
)


@dataclass(frozen=True)
class Measurement:
    """One step of a job: what its schedule says, and what its gradient says."""

    ranks: int
    micro_batches: int  # asked for
    step: StepGradient  # of the first rank
    effective: EffectiveWeights
    rank_gap: float  # largest distance of a rank's gradient from the first one's, as a share of its norm; 0 is right

    @property
    def mu(self) -> float:
        """The nominal one."""
        return self.step.a_ex / (self.step.a_rl + self.step.a_ex)

    @property
    def is_right(self) -> bool:
        return abs(self.effective.mu - self.mu) <= TOLERANCE and self.rank_gap <= TOLERANCE

    def __str__(self) -> str:
        step, effective = self.step, self.effective
        return (
            f"{self.ranks:>5} {self.micro_batches:>13} {step.passes:>6} {self.mu:>9.5f} {effective.mu:>10.5f} "
            f"{step.a_rl:>9.5f} {effective.a_rl:>10.5f} {step.a_ex:>9.5f} {effective.a_ex:>10.5f} "
            f"{effective.residual:>9.1e} {self.rank_gap:>9.1e}"
        )


def probe(specification: dict, splits: list[int], ranks: list[int], say: Callable[[str], None]) -> int:
    """Print a line for each split and number of ranks. Returns 1 if one of them has another mu or unequal ranks.

    specification: of the job `train`. UserError for a job with nothing to mix, or if ranks cannot share the rows.
    """
    for name, values in (("splits", splits), ("ranks", ranks)):
        if not all(value in (1, 2, 4, 8) for value in values):
            raise UserError(f"--{name}: expected numbers out of 1, 2, 4 and 8, got {' '.join(map(str, values))}")
    spec = probe_spec(TrainSpec.model_validate(specification))
    pure = pure_gradients(spec)
    say(HEADER)
    are_right = True
    for number in ranks:
        for measurement in measure(spec, splits, number, pure):
            say(str(measurement))
            are_right &= measurement.is_right
    return 0 if are_right else 1


def pure_gradients(spec: TrainSpec) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The gradients of L_rl and of L_ex, in one micro-batch on one rank.

    A router that joins has no expert term without rollouts, so both come from two steps with both terms: the gradient
    of a step is linear in the weights.
    """
    once, twice = (take_step(with_weights(spec, rl=1.0, expert=a_ex), 1).gradient for a_ex in (1.0, 2.0))
    return (
        {name: 2.0 * once[name] - twice[name] for name in once},
        {name: twice[name] - once[name] for name in once},
    )


def measure(
    spec: TrainSpec, splits: list[int], ranks: int, pure: tuple[dict[str, Tensor], dict[str, Tensor]]
) -> list[Measurement]:
    """The first step at each split.

    spec: of `probe_spec`. splits: numbers of micro-batches of a rank. ranks: processes of this machine. pure: of
    `pure_gradients`.
    """
    spec = on_ranks(spec, ranks)
    steps = [_steps(spec, splits)] if ranks == 1 else _on_ranks(spec, splits, ranks)
    found = []
    for place, split in enumerate(splits):
        first, *others = (of_rank[place] for of_rank in steps)
        gap = max((_distance(other.gradient, first.gradient) for other in others), default=0.0)
        found.append(Measurement(ranks, split, first, effective_mu(first.gradient, *pure), gap))
    return found


def _steps(spec: TrainSpec, splits: list[int]) -> list[StepGradient]:
    return [take_step(spec, split) for split in splits]


def _on_ranks(spec: TrainSpec, splits: list[int], ranks: int) -> list[list[StepGradient]]:
    from torch.distributed.launcher.api import elastic_launch

    results = elastic_launch(local_ranks(ranks), _rank)(spec.specification(), splits)
    return [[_from_arrays(step) for step in results[rank]] for rank in range(ranks)]


def _rank(specification: dict, splits: list[int]) -> list[StepGradient]:
    """The steps of one rank, with arrays in place of tensors, whose memory would end with the process."""
    torch.set_num_threads(1)
    spec = TrainSpec.model_validate(specification)
    state = start_ranks(spec.scale, "fp32")
    steps = _steps(spec, splits)
    state.wait_for_everyone()  # a rank that ends early makes the others fail
    state.destroy_process_group()
    return [
        replace(step, gradient={name: part.cpu().numpy() for name, part in step.gradient.items()}) for step in steps
    ]


def _from_arrays(step: StepGradient) -> StepGradient:
    return replace(step, gradient={name: torch.from_numpy(part) for name, part in step.gradient.items()})


def _distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Norm of the difference, as a share of the norm of the second."""
    norms = [
        sum(part.double().square().sum().item() for part in parts) ** 0.5
        for parts in ([one[name] - other[name] for name in other], other.values())
    ]
    return norms[0] / norms[1]
