"""Joins the ranks of a job, with a full model on each or sharded by torch's FSDP2, as `training.scale` says.

Weights, gradients and moments are always fp32; with bf16 the computation uses bf16 copies of the weights, and gradients
are summed over ranks in fp32.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import torch
from accelerate import Accelerator, ParallelismConfig, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import nn
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy

from chord.errors import UserError
from chord.training.scale.scale_spec import Scale

PATIENCE = timedelta(hours=2)  # for the other ranks, while one samples the longest responses or writes a checkpoint


def start_ranks(scale: Scale, precision: str) -> PartialState:
    """Join the other ranks in the way that the sharding needs. Call it before any other use of accelerate.

    precision: "bf16" or "fp32". UserError if the number of processes is not `scale.ranks`, or if there are fewer GPUs.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != scale.ranks:
        raise UserError(
            f"scale.ranks: the specification says {scale.ranks}, but {started} were started; "
            "expected `chord train`, which starts them, or a launcher with the same number"
        )
    if 0 < torch.cuda.device_count() < scale.ranks_per_node:
        raise UserError(
            f"scale.ranks: {scale.ranks_per_node} need a GPU each on a machine; {torch.cuda.device_count()} are "
            "visible on this one"
        )
    ranks = _join(scale, precision)
    if ranks.num_processes > 1 and not torch.cuda.is_available():
        ranks.device = torch.device("cpu")  # accelerate says cpu:0, to which torch can load no checkpoint
    return ranks


def _join(scale: Scale, precision: str) -> PartialState:
    cuda = torch.cuda.is_available()
    if scale.sharding == "none":
        return PartialState(cpu=not cuda, timeout=PATIENCE)
    # Offloaded gradients are clipped on the CPU.
    ranks = PartialState(cpu=not cuda, backend="cuda:nccl,cpu:gloo" if cuda else "gloo", timeout=PATIENCE)
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap",
        reshard_after_forward=True,
        cpu_offload=CPUOffloadPolicy(pin_memory=cuda) if scale.cpu_offload else False,
        state_dict_type="FULL_STATE_DICT",  # checkpoints that can be read without pickle
        mixed_precision_policy=MixedPrecisionPolicy(torch.bfloat16, torch.float32) if precision == "bf16" else None,
    )
    # Ranks get their parts from the first one. As an argument it would make transformers read no weights on the others.
    plugin.cpu_ram_efficient_loading = True
    state = Accelerator(mixed_precision="bf16" if precision == "bf16" else "no", cpu=not cuda, fsdp_plugin=plugin).state
    if scale.sharding == "hsdp":
        # A mesh of (node, rank of the node): launchers number ranks node by node.
        state.parallelism_config = ParallelismConfig(dp_replicate_size=scale.nodes, dp_shard_size=scale.ranks_per_node)
        state.device_mesh = state.parallelism_config.get_device_mesh("cuda" if cuda else "cpu")
    if not cuda:  # accelerate takes FSDP for GPUs only; torch's own works on any device
        state.fsdp_plugin = plugin
        state.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    return ranks


def sharding_arguments(scale: Scale) -> dict:
    """The TrainingArguments of transformers that go with the state made by `start_ranks`."""
    if scale.ranks == 1 and not scale.shards_weights:
        return {}
    config = {"use_configured_state": True}
    if scale.shards_weights:
        # Each pass sends gradients to the rank that owns them: to do so only in the last would need full gradients.
        config["gradient_accumulation_kwargs"] = {"sync_each_batch": True}
    return {"accelerator_config": config}


def is_sharded(accelerator: Accelerator) -> bool:
    return accelerator.distributed_type == DistributedType.FSDP


def copies(accelerator: Accelerator) -> int:
    """How many times all ranks together hold a sharded model: once, or once on each node (hsdp)."""
    mesh = accelerator.parallelism_config
    return mesh.dp_replicate_size if mesh else 1


@contextmanager
def accumulating(accelerator: Accelerator, model: nn.Module, last: bool) -> Iterator[None]:
    """Wraps one forward and backward pass of a step; last: whether it is the step's last one.

    Ranks with a full model exchange gradients in the last pass only, and may differ in the number of passes.
    """
    if is_sharded(accelerator):
        accelerator.gradient_state._set_sync_gradients(last)  # as Trainer does
        yield
        return
    with nullcontext() if last else accelerator.no_sync(model):
        yield
