"""Command `start_gates`: whether a primed start model leaves room for what the study compares."""

from functools import partial
from pathlib import Path
from statistics import fmean

from chord.errors import UserError
from chord.evaluation.start_gates_spec import StartGatesSpec
from chord.gates import missed_gates, solved_shares
from chord.io.files import read_jsonl, write_json
from chord.io.locks import exclusive
from chord.io.provenance import manifest, source_sha256
from chord.rollouts import encode_prompts
from chord.rollouts.completions import FinishedBatches, stream
from chord.rollouts.policy import policy_tokenizer
from chord.rollouts.workers import complete_batches, machine_record
from chord.tasks import verdicts


def run(spec: dict, model: Path, validation: Path, out: Path) -> None:
    """Measure the gates of a model folder on the validation rows, and write them to `out` (json).

    UserError if a gate is missed and the specification enforces them; nothing is written then.
    """
    settings = StartGatesSpec.model_validate(spec)
    record = manifest(settings.specification(), {"model": model, "validation": validation})
    parts = FinishedBatches(out)
    with exclusive(parts.lock, "measuring these gates") as check:
        sampling = settings.specification() | {"gates": settings.gates.samples}  # no bound decides a sample
        code = {"code": source_sha256("rollouts", "evaluation")}
        parts.claim({"sampling": sampling, "inputs": record["inputs"]} | code | machine_record())
        figures = measure(settings, model, read_jsonl(validation), parts)
        misses = missed_gates(figures, settings.gates)
        if misses and settings.gates.enforce:
            raise UserError("\n".join(misses))
        check()
        write_json(out, record | {"gates": figures, "missed_gates": misses})
        parts.remove()


def measure(settings: StartGatesSpec, model: Path, rows: list[dict], parts: FinishedBatches) -> dict:
    """Figures of every gate (names as in `StartGates`), with the parts they are made of beside them."""
    samples = settings.gates.samples
    prompts, noise = encode_prompts(policy_tokenizer(model, rows), rows), (settings.study_seed, "start_gates")
    complete = partial(complete_batches, settings.backend, model, settings.decoding)
    completions = stream(rows, prompts, samples, noise, settings.batch_rows, parts, complete)
    texts, truncated = completions["text"].to_pylist(), completions["truncated"].to_pylist()
    every = (row for row in rows for _ in range(samples))
    judged = list(verdicts(zip(every, texts, truncated, strict=True)))
    correct = [verdict.correct for verdict in judged]
    accuracy, solved = solved_shares([correct[place : place + samples] for place in range(0, len(correct), samples)])
    return {
        "accuracy": accuracy,
        "gap": solved - accuracy,
        "parts": {
            "pass": solved,
            "response_tokens": fmean(completions["tokens"].to_pylist()),
            "truncated": fmean(truncated),
            "unparsed": fmean(not verdict.parsed for verdict in judged),
            "questions": len(rows),
        },
    }
