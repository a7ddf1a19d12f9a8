"""Gates: properties of a base model that decide whether a comparison of methods on it can mean anything.

Those of the model itself are measured on validation problems and held-out skill questions before any method runs. Those
of learning are read from the curves of an SFT and an RL run from it (command `gates`). None is about a mixing method.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from chord.errors import UserError
from chord.gates import missed_gates, solved_shares
from chord.io.files import write_json
from chord.io.provenance import manifest
from chord.io.seeds import derive_seed
from chord.rollouts import Decoding, encode_prompts
from chord.tasks import judge_samples
from chord.world import problems, skills, solutions
from chord.world.pretrain_spec import Gates, LearningGates
from chord.world.rows import skill_rows, world_rows

if TYPE_CHECKING:  # the command `gates` needs no torch
    from chord.rollouts.huggingface import HuggingFaceEngine

GUESS_PROBLEMS = 5000  # enough to tell 1 % from 2 %
BATCH_ROWS = 200


def measure_gates(model, tokenizer, gates: Gates, seed: int) -> dict:
    """Figures of every gate (names as in `Gates`), with the parts they are made of beside them."""
    from chord.rollouts.huggingface import HuggingFaceEngine, stop_tokens

    engine = HuggingFaceEngine(model, *stop_tokens(model, tokenizer), BATCH_ROWS)
    decoding = Decoding(temperature=1.0, max_response_tokens=gates.max_response_tokens)
    problems = world_rows("validation", "gates", gates.k, gates.questions * len(gates.k), seed)
    asked = [row for row in problems for _ in range(gates.samples)]
    seeds = [derive_seed(seed, "gates", "sample", place) for place in range(len(asked))]
    samples = engine.generate(encode_prompts(tokenizer, asked), seeds, decoding)
    verdicts = [verdict for _, verdict in judge_samples(tokenizer, asked, samples)]
    correct = [
        [verdict.correct for verdict in verdicts[place : place + gates.samples]]
        for place in range(0, len(verdicts), gates.samples)
    ]
    by_k = {
        str(k): fmean(fmean(row) for row, problem in zip(correct, problems, strict=True) if problem["meta"]["k"] == k)
        for k in gates.k
    }
    accuracy, solved = solved_shares(correct)
    skill = {group: _skill_accuracy(engine, tokenizer, group, gates.questions, seed) for group in skills.GROUPS}
    markers = marker_logp(model, tokenizer, problems)
    return {
        "guess_rate": guess_rate(gates.k, seed),
        "accuracy": accuracy,
        "gap": solved - accuracy,
        "entropy": fmean(entropy for sample in samples for entropy in sample.entropies),
        "marker_logp": fmean(logp for values in markers.values() for logp in values),
        "skills": min(skill.values()),
        "parts": {
            "accuracy_by_k": by_k,
            "pass": solved,
            "skills": skill,
            "marker_logp": {name: fmean(values) for name, values in markers.items() if values},
            "response_tokens": fmean(len(sample.token_ids) for sample in samples),
            "truncated": fmean(sample.truncated for sample in samples),
            "unparsed": fmean(not verdict.parsed for verdict in verdicts),
            "questions": len(problems),
            "samples": gates.samples,
        },
    }


def guess_rate(ks: Sequence[int], seed: int) -> float:
    """Share of problems that the best constant answer solves: what a policy gets that reads nothing."""
    answers = Counter(
        solutions.gold(problems.generate(derive_seed(seed, "gates", "guess", place), ks[place % len(ks)]))
        for place in range(GUESS_PROBLEMS)
    )
    return answers.most_common(1)[0][1] / GUESS_PROBLEMS


def marker_logp(model, tokenizer, rows: list[dict]) -> dict[str, list[float]]:
    """Log-probabilities (nats) of each of the expert's markers in the expert's own solutions of these problems."""
    import torch

    markers = dict(zip(tokenizer.convert_tokens_to_ids(list(solutions.MARKERS)), solutions.MARKERS, strict=True))
    by_marker: dict[str, list[float]] = {name: [] for name in solutions.MARKERS}
    for row, prompt in zip(rows, encode_prompts(tokenizer, rows), strict=True):
        problem = problems.parse(row["messages"][-1]["content"])
        solution = solutions.write_expert(problem)
        tokens = torch.tensor([prompt + tokenizer(solution, add_special_tokens=False).input_ids], device=model.device)
        with torch.no_grad():
            logits = model(input_ids=tokens).logits
        logps = logits[0, :-1].log_softmax(-1).gather(1, tokens[0, 1:, None]).squeeze(1)
        for token, logp in zip(tokens[0, len(prompt) :].tolist(), logps[len(prompt) - 1 :].tolist(), strict=True):
            if token in markers:
                by_marker[markers[token]].append(logp)
    return by_marker


def _skill_accuracy(engine: "HuggingFaceEngine", tokenizer, group: str, questions: int, seed: int) -> float:
    rows = skill_rows("gates", [group], questions, seed)
    seeds = [derive_seed(seed, "gates", "skill", group, place) for place in range(len(rows))]
    decoding = Decoding(temperature=1.0, max_response_tokens=8)
    samples = engine.generate(encode_prompts(tokenizer, rows), seeds, decoding)
    return fmean(verdict.correct for _, verdict in judge_samples(tokenizer, rows, samples))


def run(spec: dict, sft: Path, rl: Path, out: Path) -> None:
    """Command `gates`: does a base model learn as the study needs it? Log the gates and write them to `out` (json).

    sft, rl: curves.csv of the runs. A missed gate is a UserError.
    """
    gates = LearningGates.model_validate(spec)
    figures = measure_learning(_validation(sft), _validation(rl))
    misses = missed_gates(figures, gates)
    write_json(out, manifest(spec, {"sft": sft, "rl": rl}, gates=figures, missed_gates=misses))
    if misses and gates.enforce:
        raise UserError("\n".join(misses))


def measure_learning(sft: list[float], rl: list[float]) -> dict[str, float]:
    """Figures of the gates from validation accuracies, the start model's first."""
    first_half = sft[1 : 1 + len(sft) // 2]
    return {
        "rl_gain": rl[-1] - rl[0],
        "sft_dip": sft[0] - min(first_half),
        "sft_recovery": sft[-1] - sft[0],
    }


def _validation(path: Path) -> list[float]:
    with open(path, newline="", encoding="utf-8") as file:
        values = [float(row["validation_accuracy"]) for row in csv.DictReader(file) if row["validation_accuracy"]]
    if len(values) < 2:
        raise UserError(f"{path}: {len(values)} validations; expected that of the start and one later")
    return values
