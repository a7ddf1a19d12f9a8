"""What the ranks of a job share of its model: torch's FSDP2 or DeepSpeed's ZeRO, as `training.scale` says.

Weights, gradients and moments are fp32 wherever they lie; with bf16 the computation gets bf16 copies of the weights and
gradients are summed over ranks in fp32.
"""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import nn
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy

from chord.errors import UserError
from chord.training.scale.scale_spec import Scale

PATIENCE = timedelta(hours=2)  # for the other ranks, while one samples the longest responses or writes a checkpoint
ZERO_STAGES = {"zero2": 2, "zero3": 3}


def start_ranks(scale: Scale, precision: str) -> PartialState:
    """Join the other ranks, in the way that the sharding needs. Call it before anything else asks accelerate.

    precision: "bf16" or "fp32". UserError if the processes are not as many as `scale.ranks`, the GPUs fewer, or
    DeepSpeed is missing.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != scale.ranks:
        raise UserError(
            f"scale.ranks: the specification says {scale.ranks}, but {started} were started; "
            "expected `chord train`, which starts them, or a launcher with the same number"
        )
    if 0 < torch.cuda.device_count() < scale.ranks:
        raise UserError(
            f"scale.ranks: {scale.ranks} need a GPU each; {torch.cuda.device_count()} are visible on this machine"
        )
    ranks = _joined(scale, precision)
    if ranks.num_processes > 1 and not torch.cuda.is_available():
        ranks.device = torch.device("cpu")  # accelerate says cpu:0, to which torch can load no checkpoint
    return ranks


def _joined(scale: Scale, precision: str) -> PartialState:
    cuda = torch.cuda.is_available()
    if scale.sharding in ZERO_STAGES:
        if importlib.util.find_spec("deepspeed") is None:
            raise UserError(
                f"scale.sharding: {scale.sharding} needs DeepSpeed; pip install -e '.[deepspeed]', or fsdp2"
            )
        os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
        return PartialState(backend="nccl" if cuda else "gloo", timeout=PATIENCE)
    if scale.sharding == "none":
        return PartialState(cpu=not cuda, timeout=PATIENCE)
    # Offloaded gradients are clipped on the CPU.
    ranks = PartialState(cpu=not cuda, backend="cuda:nccl,cpu:gloo" if cuda else "gloo", timeout=PATIENCE)
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap",
        reshard_after_forward=True,
        cpu_offload=CPUOffloadPolicy(pin_memory=cuda) if scale.cpu_offload else False,
        state_dict_type="FULL_STATE_DICT",  # checkpoints whose files are read without pickle
        mixed_precision_policy=MixedPrecisionPolicy(torch.bfloat16, torch.float32) if precision == "bf16" else None,
    )
    state = Accelerator(mixed_precision="bf16" if precision == "bf16" else "no", cpu=not cuda, fsdp_plugin=plugin).state
    if not cuda:  # accelerate takes FSDP for GPUs only; torch's own works on any device
        state.fsdp_plugin = plugin
        state.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    return ranks


def sharding_arguments(scale: Scale) -> dict:
    """What transformers' TrainingArguments need beside the state that `start_ranks` made."""
    if scale.ranks == 1:
        return {}
    if scale.sharding == "none":
        return {"accelerator_config": {"use_configured_state": True}}
    # Each pass sends gradients to the rank that keeps them: to wait for the last one would need whole gradients.
    state = {"use_configured_state": True, "gradient_accumulation_kwargs": {"sync_each_batch": True}}
    if scale.sharding == "fsdp2":
        return {"accelerator_config": state}
    return {"accelerator_config": state, "deepspeed": _deepspeed(scale)}


def _deepspeed(scale: Scale) -> dict:
    """DeepSpeed's configuration; "auto" is filled in from the TrainingArguments."""
    zero = {"stage": ZERO_STAGES[scale.sharding]}
    if scale.cpu_offload:
        zero["offload_optimizer"] = {"device": "cpu"}
        if scale.sharding == "zero3":
            zero["offload_param"] = {"device": "cpu"}
    return {
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # torch's AdamW, as without sharding
        "bf16": {"enabled": "auto"},
        "data_types": {"grad_accum_dtype": "fp32"},
        "communication_data_type": "fp32",
        "gradient_clipping": "auto",
        "gradient_accumulation_steps": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "train_batch_size": "auto",
    }


def is_sharded(accelerator: Accelerator) -> bool:
    return accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED)


@contextmanager
def accumulating(accelerator: Accelerator, model: nn.Module, last: bool) -> Iterator[None]:
    """Around one forward and backward pass of a step that may have several; `last` of them.

    Ranks that hold all of the model exchange gradients in the last pass only, and may differ in the number of passes.
    """
    if is_sharded(accelerator):
        accelerator.gradient_state._set_sync_gradients(last)  # as Trainer does; DeepSpeed updates in the last backward
        yield
        return
    with nullcontext() if last else accelerator.no_sync(model):
        yield
