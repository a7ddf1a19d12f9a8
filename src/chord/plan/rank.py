"""Memory of one rank of a training job: a formula for each part. docs/plan.md has the method and its measured error.

The formulas assume for each kind of sharding:
  none         weights, gradients and AdamW's moments in fp32; several ranks (DDP) have the gradients twice
  fsdp2        a share of each; layers are gathered in the precision of the computation, the output layer stays gathered
  hsdp         the same, but the ranks of each node share a copy of their own
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property

from chord.rollouts.backends import VllmBackend
from chord.study.hardware import ModelShape
from chord.training.scale.scale_spec import ColocatedRollouts, OwnRollouts, Scale
from chord.training.train_spec import Lora

GIB = 2**30
FP32, BF16 = 4, 2
HEAD_TOKENS, HEAD_VOCABULARY = 4096, 32768  # TRL's tile of the output layer
# Copies of that tile: torch's operations on a CPU have eight at a time, in fp32 (from the measured peaks); its kernel
# on a GPU reduces the tile in place, in the precision of the computation (assumed: with one copy).
CPU_TILES, GPU_TILES = 8, 2
# Bytes that a layer saves of a token for the backward pass, for each unit of the hidden size, of the MLP, of the
# queries and of the keys: counted from the saved tensors of transformers' Qwen2 on packed rows
# (tests/unit/test_plan_memory.py counts them again). A CPU computes attention in fp32 also beside bf16; a GPU does not,
# and saves less of queries and keys.
SAVED = {"fp32": (24, 16, 8, 8), "bf16": (26, 8, 10, 8)}
# The same with adapters (counted with peft 0.21), which also save the input of each of a layer's seven products,
# projected to their rank.
SAVED_WITH_ADAPTERS = {"fp32": (16, 16, 8, 8), "bf16": (18, 8, 10, 8)}
PRODUCTS = 7
CPU_PROCESS = 0.6 * GIB  # a training process before its model: torch, transformers, TRL
GPU_PROCESS = 1.0 * GIB  # context and kernels; assumed
VLLM_ASLEEP = 1.0 * GIB  # captured graphs and buffers, which stay on the GPU; assumed
FRAGMENTS = 0.05  # share of the memory that is lost between blocks; assumed
# On a CPU glibc keeps freed blocks below this size. They come to this share of what a pass keeps without recomputation
# (from the measured peaks, as an upper bound); gradients and moments are placed in them.
RETURNED_BLOCK = 32 * 2**20
FREED = 0.9
ALONE = Scale()


@dataclass(frozen=True)
class Memory:
    """Bytes of one process at its peak."""

    weights: float = 0.0
    gradients: float = 0.0
    optimizer: float = 0.0
    copies: float = 0.0  # of weights: casts to bf16, gathered layers, those of the sampling engine
    activations: float = 0.0
    head: float = 0.0  # output layer: a tile of logits and the layer's gradient; in sampling the logits
    cache: float = 0.0  # keys and values
    freed: float = 0.0  # blocks that nothing uses, but that glibc keeps
    process: float = 0.0

    @property
    def total(self) -> float:
        return sum(getattr(self, part) for part in PARTS) * (1 + FRAGMENTS)


PARTS = tuple(field.name for field in fields(Memory))


def vllm(shape: ModelShape, engine: VllmBackend, tokens: int) -> Memory:
    """Memory of each device of vLLM. tokens: size of its cache if the engine does not set one, as vLLM adapts to it."""
    devices = engine.tensor_parallel_size
    return Memory(
        weights=BF16 * shape.parameters() / devices,
        cache=engine.kv_cache_gib * GIB if engine.kv_cache_gib else vllm_row(shape, engine, tokens),
        process=GPU_PROCESS,
    )


def vllm_row(shape: ModelShape, engine: VllmBackend, tokens: int) -> float:
    """Bytes of the keys and values of the longest row that vLLM allows, on each of its devices."""
    tokens = max(tokens, engine.max_model_len or shape.max_position_embeddings)
    return BF16 * tokens * shape.cache_values() / engine.tensor_parallel_size


def generate(shape: ModelShape, rows: int, tokens: int) -> tuple[float, float]:
    """Bytes of (head, cache) of transformers, weights in fp32. tokens: prompt and response of each row."""
    logits = 4 * FP32 * rows * shape.vocab_size  # logits, probabilities, their sum and the choice
    # At most: on a CPU the rows of a prompt share its keys and values.
    return logits, FP32 * rows * tokens * shape.cache_values()


@dataclass(frozen=True)
class Rank:
    """A process that trains a model, with one GPU or none."""

    shape: ModelShape
    scale: Scale = ALONE
    lora: Lora | None = None
    on_gpu: bool = False
    frozen: int = 0  # further models beside the one in training: a copy of the start model, a teacher of its size
    kept_gradients: int = 0  # in addition to the usual one, of a stage that measures parts of it apart

    @property
    def precision(self) -> str:
        return self.scale.precision or ("bf16" if self.on_gpu else "fp32")

    @property
    def width(self) -> int:
        """Bytes of a value in the computation."""
        return BF16 if self.precision == "bf16" else FP32

    @property
    def process(self) -> float:
        return GPU_PROCESS if self.on_gpu else CPU_PROCESS

    @property
    def layer(self) -> float:
        """Parameters of one layer; layers are gathered, or recomputed, one at a time."""
        return self.shape.layer_parameters()

    @property
    def trained(self) -> int:
        return self.shape.adapter_parameters(self.lora.rank) if self.lora else self.shape.parameters()

    @property
    def ranks_of_a_copy(self) -> int:
        """The ranks that share one copy of weights, gradients and moments."""
        return {"none": 1, "fsdp2": self.scale.ranks, "hsdp": self.scale.ranks_per_node}[self.scale.sharding]

    @cached_property
    def state(self) -> Memory:
        """Weights, gradients and moments, on the GPU or in the machine's memory."""
        values = (1 + self.frozen) * self.shape.parameters() + (self.trained if self.lora else 0)
        share = self.ranks_of_a_copy
        return Memory(
            weights=FP32 * values / share,
            gradients=FP32 * self.trained * (1 + self.kept_gradients) / share + self._buckets,
            optimizer=2 * FP32 * self.trained / share,
        )

    @property
    def _buckets(self) -> float:
        """DDP's buckets, in which it exchanges gradients."""
        return FP32 * self.trained if self.scale.ranks > 1 and self.scale.sharding == "none" else 0

    @property
    def offloaded(self) -> tuple[str, ...]:
        """The parts of `state` that are in the machine's memory."""
        if not self.scale.cpu_offload:
            return ()
        return ("weights", "gradients", "optimizer")

    @property
    def _on_device(self) -> Memory:
        return replace(self.state, **dict.fromkeys(self.offloaded, 0.0))

    @property
    def _copies(self) -> float:
        """During an update: casts of the weights, gathered layers, and gradients in transit to other ranks."""
        if self.scale.shards_weights:
            table = self.shape.vocab_size * self.shape.hidden_size  # the output layer, and at the ends the embedding
            gathered = table + max(2 * self.layer, table)  # one layer while the next is being gathered
            return self.width * gathered + FP32 * self.trained / self.shape.num_hidden_layers
        if self.width == FP32:
            return 0
        # Autocast keeps casts for the backward pass, except those of frozen weights in layers that are recomputed.
        recomputed = self.scale.gradient_checkpointing and self.lora
        return BF16 * (self.layer if recomputed else self.shape.parameters())

    def saved_bytes(self) -> int:
        """Bytes that one layer saves of a token; in a mixture of experts, only its active experts count."""
        hidden, mlp, query, key = (SAVED_WITH_ADAPTERS if self.lora else SAVED)[self.precision]
        active = self.shape.intermediate_size * self.shape.num_experts_per_tok
        projected = PRODUCTS * self.width * self.lora.rank if self.lora else 0
        attention = query * self.shape.query + key * self.shape.key
        return hidden * self.shape.hidden_size + mlp * active + attention + projected

    def update(self, tokens: int) -> Memory:
        """Memory of the backward pass of a micro-batch, whose rows are packed without padding, so without a mask."""
        shape = self.shape
        recomputed = self.scale.gradient_checkpointing
        layers = 1 if recomputed else shape.num_hidden_layers
        inputs = FP32 * tokens * shape.hidden_size * shape.num_hidden_layers if recomputed else 0
        # The gradients of one layer: of the MLP's three products and of the residual stream.
        layer_gradients = tokens * (3 * shape.intermediate_size + 2 * shape.hidden_size) * self.width
        tile = min(tokens, HEAD_TOKENS) * min(shape.vocab_size, HEAD_VOCABULARY)
        logits = tile * (GPU_TILES * self.width if self.on_gpu else CPU_TILES * FP32)
        gradient = 0 if self.lora else FP32 * shape.vocab_size * shape.hidden_size
        kept = shape.num_hidden_layers * tokens * self.saved_bytes() + layer_gradients
        kept += logits if FP32 * tile < RETURNED_BLOCK else 0
        return replace(
            self._on_device,
            copies=self._copies,
            activations=inputs + layers * tokens * self.saved_bytes() + layer_gradients,
            head=gradient + logits,
            freed=0.0 if self.on_gpu else max(0.0, FREED * kept - self.state.gradients - self.state.optimizer),
            process=self.process + self._asleep,
        )

    def sampling(self, rows: int, tokens: int) -> Memory:
        """Memory while the engine samples between two updates. tokens: prompt and response of each row."""
        memory = replace(self._on_device, gradients=self._buckets, process=self.process + self._asleep)
        match self.scale.rollouts:
            case OwnRollouts():
                head, cache = generate(self.shape, rows, tokens)
                return replace(memory, copies=self._sampling_copies, head=head, cache=cache)
            case ColocatedRollouts() as engine:
                awake = vllm(self.shape, engine, tokens)
                return replace(memory, copies=awake.weights + self._largest_weight, cache=awake.cache)
        return replace(memory, copies=self._largest_weight)  # a server samples

    @property
    def _sampling_copies(self) -> float:
        """Weights for sampling, besides those in training: a full replica if these are sharded, or autocast's casts."""
        if self.scale.shards_weights:
            return self.width * self.shape.parameters()
        return BF16 * self.shape.parameters() if self.width == BF16 else 0

    @property
    def _asleep(self) -> float:
        return VLLM_ASLEEP if self.on_gpu and isinstance(self.scale.rollouts, ColocatedRollouts) else 0

    @property
    def _largest_weight(self) -> float:
        """The largest weight, unsharded, as weights are sent to the engine one after another."""
        return FP32 * self.shape.vocab_size * self.shape.hidden_size

    @property
    def in_machine(self) -> Memory:
        """The machine's memory that the ranks of a node need if they have GPUs: the larger of two peaks.

        At the start each rank loads the complete model and the frozen ones; if they share it, the first one alone does.
        Later there are the offloaded parts, and of a sharded model a checkpoint, which the first rank gathers.
        """
        ranks, parameters = self.scale.ranks_per_node, self.shape.parameters()
        loaded = 1 if self.scale.shards_weights else ranks * (1 + self.frozen)
        loading = Memory(weights=loaded * FP32 * parameters, process=ranks * CPU_PROCESS)
        gathered = {"weights": parameters, "optimizer": 2 * self.trained} if self.scale.shards_weights else {}
        later = {
            part: FP32 * gathered.get(part, 0) + (ranks * getattr(self.state, part) if part in self.offloaded else 0)
            for part in ("weights", "gradients", "optimizer")
        }
        return max(loading, replace(loading, **later), key=lambda memory: memory.total)
