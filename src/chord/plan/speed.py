"""Estimates the seconds of training and sampling, from measured speeds or from the data sheet of a GPU.

A GPU trains at a share of its peak. Training takes three times the forward pass, because the backward pass takes twice
as long; it takes one more if layers are recomputed, and one less if only adapters are trained. Ranks share the rows of
a step equally, and compute while they exchange weights and gradients, so that only the slower of the two counts.
Sampling a token for every row of a batch takes the time to read the weights, keys and values, or to launch the kernels
of all layers, whichever is longer. These numbers are assumed, not measured (docs/plan.md).
"""

from typing import NamedTuple

from chord.plan.memory import vllm_rows
from chord.plan.rank import BF16, FP32
from chord.plan.traffic import Traffic
from chord.rollouts.backends import Backend, VllmBackend
from chord.study import Study
from chord.training.scale.scale_spec import RolloutEngine, ServerRollouts
from chord.training.train_spec import Stage

COMPUTE_SHARE = 0.35  # of the peak of bf16, in training
BANDWIDTH_SHARE = 0.6  # of the peak, in sampling
PASS_SECONDS = 2.5e-3 / 3  # minimum for a layer and one of a micro-batch's three passes: launches from Python
# Minimum for a layer and a step of sampling: launches from Python, or a captured graph.
LAYER_SECONDS = {"huggingface": 7e-4, "vllm": 5e-5, "vllm_server": 5e-5, "server": 5e-5}


class Rows(NamedTuple):
    """The rows of one kind on which a job trains."""

    tokens: float  # of all of them
    length: int  # of each, for its attention


def training_seconds(
    study: Study,
    kinds: list[Rows],
    micro_batches: float,
    stage: Stage | None = None,
    exchanged: Traffic | None = None,
) -> float:
    """Forward and backward passes of a job's rows. micro_batches: their number, on all ranks together.

    stage: stage of a training job; without it, a single process trains all weights. exchanged: by each rank meanwhile.
    """
    scale = study.settings.training.scale
    ranks = scale.ranks if stage else 1
    if study.gpu is None:
        return sum(rows.tokens for rows in kinds) / study.settings.cost.train_tokens_per_second / ranks
    passes = 3.0
    if stage:
        passes += scale.gradient_checkpointing - (stage.lora is not None)
    flops = sum(rows.tokens * study.shape.forward_flops(rows.length) for rows in kinds)
    computing = passes * flops / (study.gpu.bf16_tflops * 1e12 * COMPUTE_SHARE)
    launching = passes * micro_batches * study.shape.num_hidden_layers * PASS_SECONDS
    exchanging = exchanged.seconds(study.gpu) if exchanged else 0.0
    return max(computing / ranks, launching / ranks, exchanging)


def rollout_seconds(study: Study, responses: float, length: int, rows: int, together: int) -> float:
    """Sampling responses of `length` tokens from a model in training.

    together: number of responses in one call for all ranks. rows: number that each engine samples at a time at most.
    """
    scale = study.settings.training.scale
    engines = 1 if isinstance(scale.rollouts, ServerRollouts) else scale.ranks
    rows = min(rows, -(-together // engines))
    return _sampling_seconds(study, responses / engines, length, rows, scale.rollouts)


def waiting_seconds(study: Study, length: int, longest: int) -> float:
    """How much longer all wait for a call of the engine if one of its responses has `longest` tokens, not `length`."""
    if study.gpu is None:
        return 0.0
    context = study.settings.cost.prompt_tokens + (length + longest) / 2
    return max(0, longest - length) * _token_seconds(study, 1, context, study.settings.training.scale.rollouts)


def answering_seconds(study: Study, responses: float, length: int, rows: int) -> float:
    """Sampling responses with the study's engine, at most `rows` at a time."""
    return _sampling_seconds(study, responses, length, rows, study.settings.generation)


def _sampling_seconds(study: Study, responses: float, length: int, rows: int, engine: Backend | RolloutEngine) -> float:
    cost = study.settings.cost
    if study.gpu is None:
        return responses * length / cost.generate_tokens_per_second
    if isinstance(engine, VllmBackend):
        rows = min(rows, vllm_rows(study, engine, length))
    return responses / rows * length * _token_seconds(study, rows, cost.prompt_tokens + length / 2, engine)


def _token_seconds(study: Study, rows: int, context: float, engine: Backend | RolloutEngine) -> float:
    """A token for each of these rows. context: tokens before it."""
    devices = getattr(engine, "tensor_parallel_size", 1)
    width = FP32 if engine.kind == "huggingface" else BF16  # trained weights are fp32, and vLLM rounds them to 16 bits
    values = study.shape.parameters() + rows * context * study.shape.cache_values()
    bandwidth = study.gpu.bandwidth_gb_s * 1e9 * BANDWIDTH_SHARE * devices
    return max(values * width / bandwidth, LAYER_SECONDS[engine.kind] * study.shape.num_hidden_layers)
