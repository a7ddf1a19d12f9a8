"""The bytes that the ranks of a training job exchange, and the time that this takes by the data sheets of the links.

Collectives are rings, as in NCCL: each GPU receives all that the others have from the GPU before it. A ring enters a
node once, and there are as many rings as GPUs in a node, each with its part of the data and the adapter of another GPU.
"""

from dataclasses import dataclass

from chord.plan.rank import FP32, Rank
from chord.study.hardware import Gpu

LINK_SHARE = 0.7  # of the data sheet's speed, inside a node and between nodes; assumed


@dataclass(frozen=True)
class Traffic:
    """Bytes that each GPU receives."""

    inside: float = 0.0  # from the GPUs of its node
    between: float = 0.0  # from other nodes, through its own network adapter

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(self.inside + other.inside, self.between + other.between)

    def __mul__(self, times: float) -> "Traffic":
        return Traffic(self.inside * times, self.between * times)

    def seconds(self, gpu: Gpu) -> float:
        """Both ways are used at the same time, so the slower one counts."""
        return max(self.inside / gpu.link_gb_s, self.between / gpu.network_gb_s) / (1e9 * LINK_SHARE)


def gather(size: float, ranks: int, nodes: int) -> Traffic:
    """An all-gather or a reduce-scatter of `size` bytes; an all-reduce is both, one after the other."""
    received = size * (ranks - 1) / ranks
    between = received * nodes / ranks if nodes > 1 else 0.0
    return Traffic(received - between, between)


def of_pass(rank: Rank) -> Traffic:
    """A micro-batch: of sharded weights two gathers, before the forward and the backward, and the sum of gradients."""
    scale, weights = rank.scale, rank.shape.parameters()
    if not scale.shards_weights:
        return Traffic()
    traffic = _of_a_copy(rank, 2 * rank.width * weights + FP32 * weights)
    if scale.sharding == "hsdp":  # then each rank sums its share with those of the other nodes
        traffic += gather(FP32 * weights / rank.ranks_of_a_copy, scale.nodes, scale.nodes) * 2
    return traffic


def of_step(rank: Rank) -> Traffic:
    """Once in a step: ranks that hold everything (DDP) sum their gradients."""
    if rank.scale.shards_weights:
        return Traffic()
    return gather(FP32 * rank.trained, rank.scale.ranks, rank.scale.nodes) * 2


def of_sync(rank: Rank) -> Traffic:
    """Weights for the sampling engine, which each rank gathers in fp32 if they are sharded."""
    return _of_a_copy(rank, FP32 * rank.shape.parameters()) if rank.scale.shards_weights else Traffic()


def _of_a_copy(rank: Rank, size: float) -> Traffic:
    """A gather among the ranks that share a copy of the weights."""
    return gather(size, rank.ranks_of_a_copy, rank.scale.nodes if rank.scale.sharding == "fsdp2" else 1)
