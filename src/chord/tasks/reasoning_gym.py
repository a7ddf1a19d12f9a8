"""Task `reasoning_gym`: procedural tasks of the package reasoning-gym, whose verifiers give the verdict.

A row names the entry (data set, configuration, seed, number), which is made again to be judged: reasoning_gym's
verifiers read more of it than question and answer. The package is optional (extra `reasoning-gym`).

Its scores are partial and unequal: "The answer is 80" is worth 0.125 in chain_sum and an error in prime_factorization,
no answer at all 0.01 in countdown, a right one between two blanks 0.5 in base_conversion. So the answer is extracted
first, where reasoning_gym asks for it (the last `<answer>`, here after the thinking), without the blanks around it. A
response without an answer is worth 0. `meta.reward` of a row says what the reward is: `exact`, 1 for the score 1 and
else 0, or `score`, the score itself. Correct is the score 1 only.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from chord.errors import GraderError, UserError
from chord.tasks.task import Task, Verdict, answer_part

# The text is reasoning_gym's own (utils.SYSTEM_PROMPTS["default"], Apache-2.0).
SYSTEM = (
    "Given a problem, your task is to answer the question by thinking step-by-step in a clear and specific manner.\n"
    "Once you have thought about the reasoning process, provide the answer in the following format:\n"
    "<answer>answer here</answer>\n"
    "Do not explain your reasoning inside the answer tags, provide only the final answer. When an example is provided, "
    "you should strictly follow the format of the output/answer in that example.\n"
)
SIZE = 1_000_000  # entries of a data set; some distribute their kinds over it
RUNS_CODE = "its verifier runs the answer as Python code"
UNSTABLE = "other processes make other entries from the same seed"
REFUSED = {  # reasoning-gym 0.1.25
    "acre": "it makes a million entries before it gives the first",
    "binary_matrix": RUNS_CODE,
    "codeio": UNSTABLE,
    "coin_flip": "its verifier takes very long for some answers",
    "composite": "it is a mixture itself; name its data sets",
    "intermediate_integration": RUNS_CODE,
    "isomorphic_strings": UNSTABLE,
    "knight_swap": UNSTABLE,
    "list_functions": UNSTABLE,
    "n_queens": RUNS_CODE,
    "polynomial_multiplication": RUNS_CODE,
    "ransom_note": UNSTABLE,
    "simple_integration": RUNS_CODE,
    "spiral_matrix": RUNS_CODE,
    "string_insertion": RUNS_CODE,
    "word_ladder": UNSTABLE,
}
# These run the answer too, but a right one is plain arithmetic, and nothing else reaches them.
ARITHMETIC = {"countdown", "puzzle24"}
_ARITHMETIC = re.compile(r"(?!.*\*\s*\*)[\d\s+*/().-]{1,200}", re.DOTALL)
# What a verifier raises on a text that it cannot read.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, SyntaxError, TypeError, ValueError)


def package() -> Any:
    """The module reasoning_gym; UserError where it is not installed."""
    try:
        import reasoning_gym
    except ImportError as error:
        raise UserError(
            f"reasoning_gym cannot be imported ({error}); install it: pip install -e '.[reasoning-gym]'"
        ) from error
    return reasoning_gym


def open_dataset(name: str, seed: int, config: Mapping[str, Any]) -> Any:
    """A data set of reasoning_gym; UserError for an unknown name or a configuration that it refuses.

    seed: below 2**32.
    """
    gym = package()
    if name not in gym.factory.DATASETS:
        raise UserError(f"reasoning_gym has no data set {name!r}; it has {', '.join(sorted(gym.factory.DATASETS))}")
    try:
        return gym.create_dataset(name, seed=seed, size=SIZE, **config)
    except (AssertionError, TypeError, ValueError) as error:
        raise UserError(f"reasoning_gym: data set {name!r} refuses its configuration {dict(config)}: {error}") from None


def render(question: str) -> list[dict]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


def judge(row: dict, text: str, truncated: bool) -> Verdict:
    """The verifier's score of the extracted answer; 0 without one, or for one that the verifier cannot read."""
    answer = _extract(text)
    if answer is None:
        return Verdict(0.0, False, False, "truncated" if truncated else "unparsed")
    if row["meta"]["dataset"] in ARITHMETIC and not _ARITHMETIC.fullmatch(answer):
        return Verdict(0.0, False, True, "unreadable")
    score = _score(row, answer)
    if score is None:
        return Verdict(0.0, False, True, "unreadable")
    correct = score == 1.0
    reward = score if row["meta"]["reward"] == "score" else float(correct)
    return Verdict(reward, correct, True, "correct" if correct else "partial" if reward else "wrong")


def _extract(text: str) -> str | None:
    """What the last `<answer>` has, without blanks around it; None where there is none, or nothing in it."""
    head, closing, _ = answer_part(text).rpartition("</answer>")
    _, opening, answer = head.rpartition("<answer>")
    return answer.strip() or None if opening and closing else None


def _score(row: dict, answer: str) -> float | None:
    """The score of an answer; None if the verifier fails on it.

    reasoning_gym promises a score for any text, and that of the reference answer. A verifier that fails on the
    reference answer too is broken, or its row is: GraderError.
    """
    dataset, entry = _entry(row)
    try:
        return float(dataset.score_answer(answer, entry))
    except _UNREADABLE:
        pass
    try:
        dataset.score_answer(entry["answer"], entry)
    except _UNREADABLE as error:
        raise GraderError(
            f"row {row['id']!r}: reasoning_gym's verifier of {row['meta']['dataset']!r} fails on the reference answer "
            f"({type(error).__name__}: {error})"
        ) from error
    return None


def _entry(row: dict) -> tuple[Any, dict]:
    """The data set and the row's entry; UserError if it is another one than the row was made from."""
    meta = row["meta"]
    dataset, entry = _made_entry(meta["dataset"], meta["seed"], json.dumps(meta["config"]), meta["index"])
    if entry["question"] != meta["question"]:
        raise UserError(
            f"row {row['id']!r}: reasoning-gym {version('reasoning-gym')} makes another question of this entry; "
            "expected the version by which the row was made"
        )
    return dataset, entry


@lru_cache(maxsize=4096)
def _made_entry(name: str, seed: int, config: str, index: int) -> tuple[Any, dict]:
    dataset = _dataset(name, seed, config)
    return dataset, dataset[index]


@lru_cache(maxsize=256)
def _dataset(name: str, seed: int, config: str) -> Any:
    return open_dataset(name, seed, json.loads(config))


def record() -> dict:
    """The verdicts depend on the package."""
    package()
    return {"reasoning_gym": version("reasoning-gym")}


REASONING_GYM = Task("reasoning_gym", judge, render, record=record, makes_rows=True, code=("tasks/reasoning_gym.py",))
