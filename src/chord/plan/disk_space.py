"""Estimates the disk space of a study: weights, checkpoints, completions."""

from chord.data.download_spec import is_wheel
from chord.plan.job_counts import jobs
from chord.plan.rank import BF16, FP32
from chord.plan.work import planned_methods, questions, response_tokens
from chord.study import Study

CHECKPOINTS = 2  # that a training job keeps
RUN_BYTES = 200_000  # curves, events, manifest and scores of a run
TOKEN_BYTES = 4  # text of a token, before compression
COMPRESSED_TOKEN_BYTES = 2  # measured: 1.4 to 4.5, but few responses reach the maximal length


def disk(study: Study) -> dict[str, float]:
    """Kind of files -> bytes. A run deletes its checkpoints when it is finished, and its weights remain."""
    parameters, seeds = study.shape.parameters(), len(study.seed_indices)
    weights = FP32 * parameters
    runs = len(jobs(study, study.regular)["train"])
    answers = sum(
        questions(row) * row.k * response_tokens(study, method)
        for method in planned_methods(study)
        for row in study.benchmarks.values()
    )
    fetched = {}
    if study.model_is_fetched:
        bits, size = (32, FP32) if is_wheel(study.model) else (16, BF16)
        fetched = {f"start model, fetched ({bits} bits)": size * parameters}
    return fetched | {
        "a training job while it runs": checkpoint_bytes(parameters) + weights,
        "a run's weights": weights,
        f"all {runs} runs' weights": runs * weights,
        "all completions": answers * seeds * TOKEN_BYTES,
    }


def bytes_needed(study: Study, parameters: int, at_once: int) -> int:
    """Estimate the results of every comparison, with responses of maximal length, and the checkpoints of running jobs.

    at_once: number of training jobs that have checkpoints at the same time.
    """
    planned = jobs(study, study.regular)
    runs, evaluated = len(planned["train"]), len(planned["generate"]) // len(study.benchmarks)
    tokens = sum(
        questions(benchmark) * benchmark.k * benchmark.decoding.max_response_tokens
        for benchmark in study.benchmarks.values()
    )
    results = runs * (FP32 * parameters + RUN_BYTES) + evaluated * tokens * COMPRESSED_TOKEN_BYTES
    return results + min(at_once, runs) * checkpoint_bytes(parameters)


def checkpoint_bytes(parameters: int) -> int:
    """Bytes of a training job: checkpoints of weights and Adam's two moments, the best weights, and their successor."""
    return (CHECKPOINTS * 3 + 2) * FP32 * parameters
