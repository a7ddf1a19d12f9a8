"""`chord grade`: verdicts on any file of pairs (reference, prediction), one JSON object a line.

Lines that cannot be read as a pair are reported with their number; the others are graded.
"""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from chord.errors import GraderError, UserError
from chord.io.files import atomic_path
from chord.tasks import choice_extraction, math_grader
from chord.tasks.bfcl_checker import check, check_question
from chord.tasks.call_layouts import calls_in
from chord.tasks.choice_extraction import LETTERS


class Grade(NamedTuple):
    """extracted: what was taken for the answer, as JSON; None if there is none."""

    correct: bool
    extracted: Any
    reason: str


class PairTask(NamedTuple):
    """read: a line's object to what `judge` takes, or UserError; judge: many of these to a grade or an error each."""

    read: Callable[[dict], Any]
    judge: Callable[[list], list[Grade | UserError]]


def run(task: str, given: Path, out: Path) -> None:
    """Write each pair of `given` with `correct`, `extracted` and `reason` to `out`.

    UserError with a line for each pair that could not be graded, after the others were written.
    """
    numbers, pairs, items, problems = [], [], [], {}
    with open(given, encoding="utf-8", errors="surrogateescape") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                pair = _object(line)
                items.append(PAIR_TASKS[task].read(pair))
            except UserError as error:
                problems[number] = error
                continue
            numbers.append(number)
            pairs.append(pair)
    graded = []
    for number, pair, grade in zip(numbers, pairs, PAIR_TASKS[task].judge(items), strict=True):
        if isinstance(grade, UserError):
            problems[number] = grade
        else:
            graded.append(pair | {"correct": grade.correct, "extracted": grade.extracted, "reason": grade.reason})
    with atomic_path(out) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.writelines(map(_line, graded))
    if problems:
        lines = [f"{given}:{number}: {problems[number]}" for number in sorted(problems)]
        raise UserError("\n".join([*lines, f"{out}: {len(graded)} pairs graded, {len(problems)} lines not"]))


def _object(line: str) -> dict:
    try:
        line.encode()
        pair = json.loads(line, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not valid JSON ({error})") from None
    if not isinstance(pair, dict):
        raise UserError(f"expected a JSON object, got {type(pair).__name__}")
    return pair


def _finite(text: str) -> float:
    """Refuse NaN and infinity, which are not JSON and could not be written back."""
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not a finite number")
    return value


def _line(row: dict) -> str:
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    # JSON can hold half of a surrogate pair only as an escape
    return (text if text.isascii() or not _SURROGATE.search(text) else json.dumps(row, allow_nan=False)) + "\n"


_SURROGATE = re.compile("[\ud800-\udfff]")


def _get(pair: dict, key: str, kinds: tuple[type, ...], expected: str) -> Any:
    if key not in pair:
        raise UserError(f"missing key {key!r}; expected {expected}")
    value = pair[key]
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise UserError(f"{key}: expected {expected}, got {json.dumps(value)[:80]}")
    return value


def _text(pair: dict, key: str) -> str:
    """A text, or a number as its text."""
    value = _get(pair, key, (str, int, float), "a text or a number")
    return value if isinstance(value, str) else str(value)


def _read_math(pair: dict) -> tuple[str, str]:
    gold, prediction = _text(pair, "gold"), _text(pair, "prediction")
    try:
        math_grader.clean_gold(gold)
    except GraderError as error:
        raise UserError(f"gold: {error}") from None
    return gold, prediction


def _judge_math(pairs: list[tuple[str, str]]) -> list[Grade | UserError]:
    return [
        UserError("gold: the reference answer cannot be computed in time")
        if judgement.reason == math_grader.GOLD_FAILED
        else Grade(judgement.correct, judgement.extracted, judgement.reason)
        for judgement in math_grader.judge_responses(pairs)
    ]


def _read_choice(pair: dict) -> tuple[int, list[str], str]:
    options = _get(pair, "options", (list,), "a list of texts")
    if not options or not all(isinstance(option, str) for option in options):
        raise UserError("options: expected a list of texts, at least one")
    if len(options) > len(LETTERS):
        raise UserError(f"options: expected at most {len(LETTERS)}, one a letter, got {len(options)}")
    gold = _place(_text(pair, "gold"), len(options))
    if gold is None:
        last = len(options) - 1
        raise UserError(f"gold: expected a letter from A to {chr(65 + last)} or an index from 0 to {last}")
    return gold, options, _text(pair, "prediction")


def _place(text: str, count: int) -> int | None:
    """The index of an option from a letter or an index by itself; None for any other text."""
    text = text.strip().strip("().").strip()
    place = None
    if re.fullmatch(r"[A-Za-z]", text):
        place = ord(text.upper()) - ord("A")
    elif re.fullmatch(r"[0-9]{1,3}", text):
        place = int(text)
    return place if place is not None and place < count else None


def _judge_choice(items: list[tuple[int, list[str], str]]) -> list[Grade | UserError]:
    choices = [choice_extraction.extract(text, options)[0] for _, options, text in items]
    return [
        Grade(chosen == gold, chosen, "unparsed" if chosen is None else "correct" if chosen == gold else "wrong")
        for (gold, _, _), chosen in zip(items, choices, strict=True)
    ]


def _read_bfcl(pair: dict) -> tuple[list[dict], list[dict], list[dict] | None]:
    _get(pair, "question", (str, list), "a text or messages")
    functions = _get(pair, "function", (list, dict), "a function document or a list of them")
    truth = _get(pair, "ground_truth", (list,), "a list of {function: {parameter: [values]}}")
    prediction = _get(
        pair,
        "prediction",
        (list, dict, str),
        "a list of {name, arguments}, or its JSON text, or calls in another layout",
    )
    functions = functions if isinstance(functions, list) else [functions]
    for key, values in (("function", functions), ("ground_truth", truth)):
        if not all(isinstance(value, dict) for value in values):
            raise UserError(f"{key}: expected objects in the list")
    check_question(functions, truth)
    try:
        calls = calls_in(prediction, {function["name"] for function in functions})
    except UserError as error:
        raise UserError(f"prediction: {error}") from None
    return functions, truth, calls


def _judge_bfcl(items: list[tuple[list[dict], list[dict], list[dict] | None]]) -> list[Grade | UserError]:
    """Judge by the parallel rules (any order) if several calls are expected; if none is expected, a call is wrong."""
    return [_judge_calls(*item) for item in items]


def _judge_calls(functions: list[dict], truth: list[dict], calls: list[dict] | None) -> Grade | UserError:
    try:
        correct, reason = check(functions, truth, calls or [], None)
    except UserError as error:
        return error
    return Grade(correct, calls, reason) if correct or calls is not None else Grade(False, None, "unparsed")


PAIR_TASKS = {
    "math": PairTask(_read_math, _judge_math),
    "choice": PairTask(_read_choice, _judge_choice),
    "bfcl": PairTask(_read_bfcl, _judge_bfcl),
}
