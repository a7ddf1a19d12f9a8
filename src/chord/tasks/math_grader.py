"""Judges answers to mathematical questions: by `chord.tasks.answers`, or by math-verify what that cannot compute.

math-verify 0.9 reads many texts as mathematics that are not (8:30 as a quotient, `even` as a product). So it is asked
only about formulas with operations that `answers` does not compute, and only if upper and lower case cannot mislead
it. An answer that neither decides is `undecided`: it is counted, and never right.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from chord.errors import GraderError
from chord.io.devices import available_cores
from chord.tasks.answers import comparison, extraction, reading, typography
from chord.tasks.grader_pool import Death, WorkerPool

log = logging.getLogger(__name__)

MAX_WORKERS = 8  # each takes about 100 MB
MAX_REMEMBERED = 200_000
GOLD_FAILED = "gold_failed"  # the gold itself cannot be computed: this is an error in the data, not in the answer

# Pairs for which the verdict of math-verify is known.
CANARIES = [
    (("\\int_0^1 x dx", "\\frac{1}{2}"), "correct"),
    (("\\lim_{x \\to 0} \\frac{\\sin x}{x}", "1"), "correct"),
    (("\\int_0^1 x dx", "2"), "wrong"),
]


class Judgement(NamedTuple):
    """The judgement of one answer.

    reason: `correct`; `wrong`; `undecided` (neither could be shown); `unparsed` (the response has no answer);
    `unreadable` (the answer is not mathematics, and not the gold's text); `too_complex` (not computed, see
    `typography.is_too_complex`); `grader_timeout`, `grader_crash` or `grader_error` (math-verify could not compute
    it); or GOLD_FAILED. extracted: the text that was taken as the answer.
    """

    correct: bool
    reason: str
    extracted: str | None


@lru_cache(maxsize=65536)
def clean_gold(gold: str) -> str:
    """The normalized reference answer: its last box if it has one. Raises GraderError if it cannot be used."""
    boxes = extraction.boxes(gold)
    text = typography.normalize(boxes[-1].content if boxes else gold)
    if not text:
        raise GraderError(f"the reference answer {gold!r} is empty")
    if not typography.is_balanced(text):
        raise GraderError(f"the reference answer {gold!r} has unbalanced braces")
    if typography.is_too_complex(text):
        raise GraderError(f"the reference answer {gold[:80]!r} is too long, too deeply nested or a tower of powers")
    return text


def judge_answers(pairs: Iterable[tuple[str, str]]) -> list[Judgement]:
    """Judge each (gold, answer); an answer is the content of a box. Raises GraderError if a gold cannot be used."""
    return _judge(list(pairs))


def judge_responses(pairs: Iterable[tuple[str, str]]) -> list[Judgement]:
    """Judge each (gold, prediction), where a prediction is a full response or a bare answer.

    The box or boxes of the final statement count; without a box, what `extraction.stated_answers` finds. A response
    with nothing readable there is `unparsed`.
    """
    pairs = list(pairs)
    candidates = [_candidates(text) for _, text in pairs]
    judgements = [Judgement(False, "unparsed", None)] * len(pairs)
    for turn in range(max(map(len, candidates), default=0)):
        # A later candidate is a part of an earlier one that could not be read, or of a whole sentence.
        unsettled = ("unparsed", "undecided", "wrong") if turn == 1 else ("unparsed", "undecided")
        numbers = [
            number
            for number, texts in enumerate(candidates)
            if turn < len(texts) and judgements[number].reason in unsettled
        ]
        results = _judge([(pairs[number][0], candidates[number][turn]) for number in numbers])
        for number, judgement in zip(numbers, results, strict=True):
            if judgement.reason != "unreadable":
                judgements[number] = judgement
    return judgements


def _candidates(text: str) -> list[str]:
    box = extraction.final_box(text)
    return extraction.stated_answers(text) if box is None else [box]


# Models repeat the same answers, and long texts are not answers.
_normalize = lru_cache(maxsize=65536)(typography.normalize)


def _judge(pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
    reasons: list[str] = []
    places: dict[tuple[str, str], list[int]] = {}  # of the pairs that only math-verify can judge
    for number, pair in enumerate(pairs):
        gold, answer = clean_gold(pair[0]), _normalize(pair[1])
        reason = _reason(gold, answer)
        reasons.append(reason)
        if reason == _ASK:
            places.setdefault((gold, answer), []).append(number)
    for numbers, reason in zip(places.values(), _ask_workers(list(places)), strict=True):
        for number in numbers:
            reasons[number] = reason
    return [Judgement(reason == "correct", reason, text) for reason, (_, text) in zip(reasons, pairs, strict=True)]


_ASK = "ask math-verify"


@lru_cache(maxsize=MAX_REMEMBERED)
def _reason(gold: str, answer: str) -> str:
    if gold == answer:
        return "correct"
    if typography.is_too_complex(answer):
        return "too_complex"
    verdict = comparison.same(gold, answer)
    if verdict is not None:
        return "correct" if verdict else "wrong"
    if _is_for_library(gold, answer):
        return _ASK
    return "unreadable" if isinstance(reading.read(answer), reading.Opaque) else "undecided"


_BEYOND = re.compile(r"\\(?:int|iint|oint|lim|sum|prod|partial|begin\s*\{cases\})(?![a-z])|\\frac\s*\{d\}")


def _is_for_library(gold: str, answer: str) -> bool:
    """Whether a pair has an operation that `answers` does not compute, and no letter in both upper and lower case."""
    if not (_BEYOND.search(gold) or _BEYOND.search(answer)):
        return False
    letters = set(re.sub(r"\\[A-Za-z]+", "", gold + answer))
    return not any(letter.swapcase() in letters for letter in letters if letter.isalpha())


_reasons: dict[tuple[str, str], str] = {}  # of earlier requests


def _ask_workers(requests: list[tuple[str, str]]) -> list[str]:
    """The reason for each different request, from the workers or from an earlier call."""
    if len(_reasons) + len(requests) > MAX_REMEMBERED:
        _reasons.clear()
    new = [request for request in requests if request not in _reasons]
    failures: Counter[str] = Counter()
    for request, reply in zip(new, _pool().map(new), strict=True):
        if isinstance(reply, Death):
            reply = _reason_of_death(request[0], reply)
        failures[reply] += reply.startswith("grader_")
        _reasons[request] = reply.partition(":")[0]
    if +failures:
        log.warning("some answers could not be graded and count as wrong: %s", dict(+failures))
    return [_reasons[request] for request in requests]


def _reason_of_death(gold: str, death: Death) -> str:
    (alone,) = _pool().map([(gold, "0")])
    if isinstance(alone, Death):
        return GOLD_FAILED
    return "grader_timeout" if death.timeout else "grader_crash"


@cache
def _pool() -> WorkerPool:
    return WorkerPool(Path(__file__).with_name("math_worker.py"), min(MAX_WORKERS, available_cores()), CANARIES)
