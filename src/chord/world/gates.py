"""Gates: properties of a base model that decide whether a comparison of methods on it can mean anything.

Measured on validation problems and held-out skill questions before any method runs; never on how a method fares.
"""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

import torch

from chord.io.seeds import derive_seed
from chord.rollouts import Decoding, encode_prompts
from chord.rollouts.huggingface import HuggingFaceEngine, stop_tokens
from chord.tasks import judge_samples
from chord.world import problems, skills, solutions
from chord.world.pretrain_spec import Gates
from chord.world.rows import skill_rows, world_rows

GUESS_PROBLEMS = 5000  # enough to tell 1 % from 2 %
BATCH_ROWS = 200


def measure_gates(model, tokenizer, gates: Gates, seed: int) -> dict:
    """Figures of every gate (names as in `Gates`), with the parts they are made of beside them."""
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
    accuracy, solved = fmean(map(fmean, correct)), fmean(map(any, correct))
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


def missed(figures: dict, gates: Gates) -> list[str]:
    """One line for every gate whose figure lies outside its bounds."""
    found = []
    for name in ("guess_rate", "accuracy", "gap", "entropy", "marker_logp", "skills"):
        low, high = getattr(gates, name)
        if not low <= figures[name] <= high:
            found.append(f"gate {name}: {figures[name]:.3f} is outside [{low}, {high}]")
    return found


def guess_rate(ks: Sequence[int], seed: int) -> float:
    """Share of problems that the best constant answer solves: what a policy gets that reads nothing."""
    answers = Counter(
        solutions.gold(problems.generate(derive_seed(seed, "gates", "guess", place), ks[place % len(ks)]))
        for place in range(GUESS_PROBLEMS)
    )
    return answers.most_common(1)[0][1] / GUESS_PROBLEMS


@torch.no_grad()
def marker_logp(model, tokenizer, rows: list[dict]) -> dict[str, list[float]]:
    """Log-probabilities (nats) of each of the expert's markers in the expert's own solutions of these problems."""
    markers = dict(zip(tokenizer.convert_tokens_to_ids(list(solutions.MARKERS)), solutions.MARKERS, strict=True))
    found: dict[str, list[float]] = {name: [] for name in solutions.MARKERS}
    for row, prompt in zip(rows, encode_prompts(tokenizer, rows), strict=True):
        problem = problems.parse(row["messages"][-1]["content"])
        solution = solutions.write_expert(problem)
        tokens = torch.tensor([prompt + tokenizer(solution, add_special_tokens=False).input_ids], device=model.device)
        logps = model(input_ids=tokens).logits[0, :-1].log_softmax(-1).gather(1, tokens[0, 1:, None]).squeeze(1)
        for token, logp in zip(tokens[0, len(prompt) :].tolist(), logps[len(prompt) - 1 :].tolist(), strict=True):
            if token in markers:
                found[markers[token]].append(logp)
    return found


def _skill_accuracy(engine: HuggingFaceEngine, tokenizer, group: str, questions: int, seed: int) -> float:
    rows = skill_rows("gates", [group], questions, seed)
    seeds = [derive_seed(seed, "gates", "skill", group, place) for place in range(len(rows))]
    decoding = Decoding(temperature=1.0, max_response_tokens=8)
    samples = engine.generate(encode_prompts(tokenizer, rows), seeds, decoding)
    return fmean(verdict.correct for _, verdict in judge_samples(tokenizer, rows, samples))
