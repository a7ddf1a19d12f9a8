"""Seconds of training and sampling: at speeds that were measured, or worked out from a GPU's data sheet.

A GPU trains at a share of its peak: 3 x the forward pass, for the backward pass costs two of them; one more where
layers are computed again, one less where only adapters are trained. It samples a token for every row of a batch in the
time that it takes to read the weights and the keys and values, or to launch the kernels of all layers, whichever is
longer. Ranks share the rows of a step equally; what crosses between them takes no time here. These numbers are assumed,
not measured (docs/plan.md).
"""

from chord.plan.memory import vllm_rows
from chord.plan.rank import BF16, FP32
from chord.rollouts.backends import Backend, VllmBackend
from chord.study import Study
from chord.training.scale.scale_spec import RolloutEngine, ServerRollouts
from chord.training.train_spec import Stage

COMPUTE_SHARE = 0.35  # of the peak of bf16, in training
BANDWIDTH_SHARE = 0.6  # of the peak, in sampling
PASS_SECONDS = 2.5e-3 / 3  # that a layer takes at least for each pass of a micro-batch: launches from Python
# Seconds that a layer takes at least for a step of sampling: launches from Python, or a captured graph.
LAYER_SECONDS = {"huggingface": 7e-4, "vllm": 5e-5, "vllm_server": 5e-5, "server": 5e-5}


def training_seconds(study: Study, sequences: float, length: int, rows: int, stage: Stage | None = None) -> float:
    """Forward and backward of so many sequences of this length, `rows` in a micro-batch.

    stage: of a training job; without one a single process trains all weights.
    """
    scale = study.settings.training.scale
    tokens, ranks = sequences * length, scale.ranks if stage else 1
    if study.gpu is None:
        return tokens / study.settings.cost.train_tokens_per_second / ranks
    passes = 3.0
    if stage:
        passes += scale.gradient_checkpointing - (stage.lora is not None)
    computed = tokens * passes * study.shape.forward_flops(length) / (study.gpu.bf16_tflops * 1e12 * COMPUTE_SHARE)
    launched = sequences / rows * study.shape.num_hidden_layers * PASS_SECONDS * passes
    return max(computed, launched) / ranks


def rollout_seconds(study: Study, responses: float, length: int, rows: int, together: int) -> float:
    """So many responses of this length by a model in training.

    together: of how many one call asks all ranks; each engine has at most `rows` of its share under way.
    """
    scale = study.settings.training.scale
    engines = 1 if isinstance(scale.rollouts, ServerRollouts) else scale.ranks
    rows = min(rows, -(-together // engines))
    return _sampling_seconds(study, responses / engines, length, rows, scale.rollouts)


def answering_seconds(study: Study, responses: float, length: int, rows: int) -> float:
    """So many responses by the study's engine, at most `rows` at a time."""
    return _sampling_seconds(study, responses, length, rows, study.settings.generation)


def _sampling_seconds(study: Study, responses: float, length: int, rows: int, engine: Backend | RolloutEngine) -> float:
    cost = study.settings.cost
    if study.gpu is None:
        return responses * length / cost.generate_tokens_per_second
    if isinstance(engine, VllmBackend):
        rows = min(rows, vllm_rows(study, engine, length))
    devices = getattr(engine, "tensor_parallel_size", 1)
    width = FP32 if engine.kind == "huggingface" else BF16  # trained weights are fp32, which vLLM turns into 16 bits
    context = cost.prompt_tokens + length / 2
    values = study.shape.parameters() + rows * context * study.shape.cache_values()
    bandwidth = study.gpu.bandwidth_gb_s * 1e9 * BANDWIDTH_SHARE * devices
    step = max(values * width / bandwidth, LAYER_SECONDS[engine.kind] * study.shape.num_hidden_layers)
    return responses / rows * length * step
