"""Seconds of training and sampling: at speeds that were measured, or worked out from a GPU's data sheet.

A GPU trains at a share of its peak: 3 x the forward pass, for the backward pass costs two of them. It samples a token
for every row of a batch in the time that it takes to read the weights and the keys and values, or to launch the kernels
of all layers, whichever is longer. These numbers are assumed, not measured (docs/plan.md).
"""

from chord.plan.memory import evaluation_rows, value_bytes
from chord.study import Study

COMPUTE_SHARE = 0.35  # of the peak of bf16, in training
BANDWIDTH_SHARE = 0.6  # of the peak, in sampling
PASS_SECONDS = 2.5e-3  # that a layer takes at least for both passes of a micro-batch: launches from Python
# Seconds that a layer takes at least for a step of sampling: launches from Python, or a captured graph.
LAYER_SECONDS = {"huggingface": 7e-4, "vllm": 5e-5, "server": 5e-5}


def training_seconds(study: Study, sequences: float, length: int, rows: int) -> float:
    """Forward and backward of so many sequences of this length, `rows` in a micro-batch."""
    tokens = sequences * length
    if study.gpu is None:
        return tokens / study.settings.cost.train_tokens_per_second
    computed = tokens * 3.0 * study.shape.forward_flops(length) / (study.gpu.bf16_tflops * 1e12 * COMPUTE_SHARE)
    return max(computed, sequences / rows * study.shape.num_hidden_layers * PASS_SECONDS)


def rollout_seconds(study: Study, responses: float, length: int, rows: int) -> float:
    """So many responses of this length by a model in training, `rows` of them at a time."""
    return _sampling_seconds(study, responses, length, rows, "huggingface", devices=1)


def answering_seconds(study: Study, responses: float, length: int, rows: int) -> float:
    """So many responses by the study's engine, at most `rows` at a time."""
    engine = study.settings.generation
    rows = min(rows, evaluation_rows(study, length)) if study.gpu else rows
    return _sampling_seconds(study, responses, length, rows, engine.kind, getattr(engine, "tensor_parallel_size", 1))


def _sampling_seconds(study: Study, responses: float, length: int, rows: int, engine: str, devices: int) -> float:
    cost = study.settings.cost
    if study.gpu is None:
        return responses * length / cost.generate_tokens_per_second
    context = cost.prompt_tokens + length / 2
    values = study.shape.parameters() + rows * context * study.shape.cache_values()
    bandwidth = study.gpu.bandwidth_gb_s * 1e9 * BANDWIDTH_SHARE * devices
    step = max(values * value_bytes(engine) / bandwidth, LAYER_SECONDS[engine] * study.shape.num_hidden_layers)
    return responses / rows * length * step
