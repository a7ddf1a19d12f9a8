"""Is an answer to a mathematical question right? Plain numbers exactly, the rest by math-verify in worker processes."""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from chord.errors import GraderError
from chord.tasks import math_text
from chord.tasks.grader_pool import Death, WorkerPool

log = logging.getLogger(__name__)

MAX_WORKERS = 8  # each holds about 100 MB
MAX_RESPONSE_CHARACTERS = 20_000  # of a response without a box that math-verify searches for an answer
MAX_REMEMBERED = 200_000
GOLD_FAILED = "gold_failed"  # the gold alone cannot be computed: an error of the data, nothing about the answer

# Pairs whose verdict is known; between them they go through every part of math-verify that answers need.
CANARIES = [
    (("\\frac{1}{2}", "0.5", "answer"), ["correct", None]),
    (("\\sqrt{8}", "2\\sqrt{2}", "answer"), ["correct", None]),
    (("1,2", "2,1", "answer"), ["correct", None]),
    (("[1,2)", "[1,2]", "answer"), ["wrong", None]),
    (("15\\%", "15", "answer"), ["correct", None]),  # not with every version of antlr4-python3-runtime
    (("5", "2+4", "answer"), ["wrong", None]),
    (("5", "9^{9^9}", "answer"), ["wrong", None]),
    (("7", "The answer is 7.", "response"), ["correct", "7"]),
]


class Judgement(NamedTuple):
    """reason: `correct`; `wrong`; `unparsed` (no answer in the response); `unreadable` (the answer is no mathematics,
    and not the gold's text); `gold_as_text` (the gold is none, and the answer is not its text); `too_complex` (not
    computed, see `math_text.is_too_complex`); `grader_timeout`, `grader_crash`, `grader_error` (it could not be
    computed); GOLD_FAILED. extracted: the text taken for the answer.
    """

    correct: bool
    reason: str
    extracted: str | None


def clean_gold(gold: str) -> str:
    """The reference answer as it is compared: its last box if it has one, tidied. GraderError if it cannot be used."""
    text = math_text.tidy(gold if (box := math_text.last_box(gold)) is None else box)
    if not text:
        raise GraderError(f"the reference answer {gold!r} is empty")
    if not math_text.is_balanced(text):
        raise GraderError(f"the reference answer {gold!r} has unbalanced braces")
    if math_text.is_too_complex(text):
        raise GraderError(f"the reference answer {gold[:80]!r} is too long, too deeply nested or a tower of powers")
    return text


_clean_gold = lru_cache(maxsize=65536)(clean_gold)


def judge_answers(pairs: Iterable[tuple[str, str]]) -> list[Judgement]:
    """Judgement of each (gold, answer); an answer is the content of a box. GraderError if a gold cannot be used."""
    return _judge([(gold, answer, "answer") for gold, answer in pairs])


def judge_responses(pairs: Iterable[tuple[str, str]]) -> list[Judgement]:
    """Judgement of each (gold, prediction): a full response, or a bare answer.

    Its last box counts. Without one a short text that is no sentence is the answer if that is right, and else whatever
    math-verify finds in the text.
    """
    pairs = list(pairs)
    requests = []
    for gold, text in pairs:
        box = math_text.last_box(text)
        bare = box is None and math_text.is_bare(math_text.tidy(text))
        requests.append((gold, text, "answer" if bare else "response") if box is None else (gold, box, "box"))
    judged = _judge([(gold, text, "answer" if form == "box" else form) for gold, text, form in requests])
    again = [number for number, (_, _, form) in enumerate(requests) if form == "answer" and not judged[number].correct]
    for number, found in zip(again, _judge([(*pairs[number], "response") for number in again]), strict=True):
        if found.correct or judged[number].reason == "unreadable":
            judged[number] = found
    return judged


def _judge(requests: Sequence[tuple[str, str, str]]) -> list[Judgement]:
    """Judgement of each (gold, text, form) with the forms of `math_worker.judge`."""
    judged: list[Judgement | None] = [None] * len(requests)
    places: dict[tuple[str, str, str], list[int]] = {}  # of what only math-verify can tell
    for number, (gold, text, form) in enumerate(requests):
        gold, answer = _clean_gold(gold), math_text.tidy(text)
        same = math_text.same_exactly(gold, answer)
        if same is not None:
            judged[number] = Judgement(same, "correct" if same else "wrong", text)
        elif math_text.is_too_complex(answer) if form == "answer" else len(text) > MAX_RESPONSE_CHARACTERS:
            judged[number] = Judgement(False, "too_complex", text if form == "answer" else None)
        else:
            places.setdefault((gold, answer if form == "answer" else text, form), []).append(number)
    for (key, numbers), (reason, shown) in zip(places.items(), _computed(list(places)), strict=True):
        for number in numbers:
            extracted = requests[number][1] if key[2] == "answer" else shown
            judged[number] = Judgement(reason == "correct", reason, extracted)
    return judged


_remembered: dict[tuple[str, str, str], tuple[str, str | None]] = {}


def _computed(requests: list[tuple[str, str, str]]) -> list[tuple[str, str | None]]:
    """(reason, text that was read) of each different request, from the workers or from an earlier call."""
    if len(_remembered) + len(requests) > MAX_REMEMBERED:
        _remembered.clear()
    new = [request for request in requests if request not in _remembered]
    failed: Counter[str] = Counter()
    for request, reply in zip(new, _pool().map(new), strict=True):
        if isinstance(reply, Death):
            reply = _reason_of_death(request[0], reply), None
        reason, shown = reply[0].partition(":")[0], reply[1]
        failed[reply[0]] += reason.startswith("grader_")
        _remembered[request] = (reason, shown)
    if +failed:
        log.warning("answers that could not be graded and count as wrong: %s", dict(+failed))
    return [_remembered[request] for request in requests]


def _reason_of_death(gold: str, death: Death) -> str:
    (alone,) = _pool().map([(gold, "0", "answer")])
    if isinstance(alone, Death):
        return GOLD_FAILED
    return "grader_timeout" if death.timeout else "grader_crash"


@cache
def _pool() -> WorkerPool:
    workers = min(MAX_WORKERS, len(os.sched_getaffinity(0)))
    return WorkerPool(Path(__file__).with_name("math_worker.py"), workers, CANARIES)
