"""How a training job uses its devices: ranks, nodes, sharding, recomputation, and the engine that samples.

It needs no torch. These settings change results by rounding only; what is trained (LoRA) is a setting of the stage.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from chord.rollouts.backends import VllmBackend
from chord.settings import Settings


class OwnRollouts(Settings):
    """The model of transformers with the weights in training, or with a copy of them where they are sharded."""

    kind: Literal["huggingface"] = "huggingface"
    gpus: ClassVar[int] = 0  # in addition to those of the ranks


class ColocatedRollouts(VllmBackend):
    """vLLM in each rank's process, on its GPU; it sleeps (frees its weights and cache) while the model is updated."""

    gpus: ClassVar[int] = 0

    @model_validator(mode="after")
    def _fits_beside_the_trainer(self) -> "ColocatedRollouts":
        if self.tensor_parallel_size > 1:
            raise ValueError("tensor_parallel_size: expected 1 within the ranks' processes; vllm_server can have more")
        if self.kv_cache_gib is None:
            raise ValueError("kv_cache_gib: missing; expected a number, as vLLM would take what the trainer needs")
        return self


class ServerRollouts(VllmBackend):
    """A vLLM server that the job starts on GPUs of its own, as many as `tensor_parallel_size`."""

    kind: Literal["vllm_server"] = "vllm_server"

    @property
    def gpus(self) -> int:
        return self.tensor_parallel_size


RolloutEngine = Annotated[OwnRollouts | ColocatedRollouts | ServerRollouts, Field(discriminator="kind")]


class Scale(Settings):
    """By default one process holds everything, as it should for every model that fits in one GPU."""

    ranks: PositiveInt = Field(1, description="processes that share the rows of a step, a GPU each")
    nodes: PositiveInt = Field(1, description="machines that share the ranks, equally")
    sharding: Literal["none", "fsdp2", "hsdp"] = Field(
        "none",
        description="what ranks share: nothing, or weights, gradients and moments (torch's FSDP2); all ranks (fsdp2), "
        "or those of each node, which holds everything (hsdp)",
    )
    cpu_offload: bool = Field(False, description="moments, and sharded weights, in the machine's memory")
    gradient_checkpointing: bool = Field(False, description="compute each layer's activations again in the backward")
    precision: Literal["fp32", "bf16"] | None = Field(
        None, description="of the computation, weights are fp32; null: bf16 on a GPU, fp32 on a CPU"
    )
    rollouts: RolloutEngine = Field(OwnRollouts(), description="samples rollouts and validation answers")

    @property
    def ranks_per_node(self) -> int:
        return self.ranks // self.nodes

    @property
    def gpus_per_node(self) -> int:
        """The GPUs of one training job on each of its nodes."""
        return self.ranks_per_node + self.rollouts.gpus

    @property
    def gpus(self) -> int:
        """The GPUs of one training job."""
        return self.nodes * self.gpus_per_node

    @property
    def shards_weights(self) -> bool:
        """Whether each rank holds only a part of the weights."""
        return self.sharding != "none"

    @model_validator(mode="after")
    def _nodes_share_the_ranks(self) -> "Scale":
        if self.ranks % self.nodes:
            raise ValueError(f"ranks: expected a multiple of nodes ({self.nodes}), got {self.ranks}")
        if self.nodes > 1 and isinstance(self.rollouts, ServerRollouts):
            raise ValueError("rollouts: expected huggingface or vllm on several nodes; a server is reached from one")
        return self

    @model_validator(mode="after")
    def _sharding_needs_ranks(self) -> "Scale":
        if self.cpu_offload and self.sharding == "none":
            raise ValueError("cpu_offload: expected sharding fsdp2 or hsdp beside it")
        if self.sharding != "none" and self.ranks == 1:
            raise ValueError(f"sharding: expected none for one rank, or more ranks; got {self.sharding}")
        if self.sharding == "hsdp" and (self.nodes == 1 or self.ranks_per_node == 1):
            raise ValueError("sharding: expected fsdp2, or several nodes with several ranks each, got hsdp")
        return self
