"""Disk that a study takes: weights, checkpoints, completions."""

from chord.plan.job_counts import jobs
from chord.plan.rank import BF16, FP32
from chord.plan.work import planned_methods, questions, response_tokens
from chord.study import Study

TOKEN_BYTES = 4  # of text, before compression
CHECKPOINTS = 2  # kept at a time


def disk(study: Study) -> dict[str, float]:
    """What -> bytes. A run's checkpoints go when its result stands, and its weights stay."""
    parameters, seeds = study.shape.parameters(), len(study.seed_indices)
    checkpoint = 3 * FP32 * parameters  # weights and two moments
    kept = FP32 * parameters
    best = 2 * kept  # the best weights so far, and those that take their place
    runs = len(jobs(study, study.regular)["train"])
    answers = sum(
        questions(row) * row.k * response_tokens(study, method)
        for method in planned_methods(study)
        for row in study.benchmarks.values()
    )
    fetched = {"start model, fetched (16 bits)": BF16 * parameters} if study.model_is_on_hub else {}
    return fetched | {
        "a training job while it runs": CHECKPOINTS * checkpoint + best + kept,
        "a run's weights": kept,
        f"all {runs} runs' weights": runs * kept,
        "all completions": answers * seeds * TOKEN_BYTES,
    }
