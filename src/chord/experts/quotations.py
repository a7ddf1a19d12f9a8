"""Finds what a question says about the value of a parameter: the words around the value's text."""

import re
from decimal import Decimal
from itertools import takewhile
from typing import Any

WORDS_BEFORE, WORDS_AFTER = 2, 1
_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()
_ENDS = ".?!:;"  # of a part of the question, which a quotation does not go beyond


def quotation(question: str, value: Any, about: str) -> str | None:
    """The value's text in the question with its neighbours; None if it does not occur.

    about: name and description of the parameter. Of several places the one with the most words of it counts, and of
    equal ones the first.
    """
    spans = _list_spans(question, value) if isinstance(value, list) else _spans(question, value)
    known = _long_words(about)
    quotations = [_with_neighbours(question, *span) for span in spans]
    return max(quotations, key=lambda text: len(known & _long_words(text)), default=None)


def _list_spans(question: str, items: list) -> list[tuple[int, int]]:
    """One span from the first item to the last, if all occur in their order."""
    spans: list[tuple[int, int]] = []
    for item in items:
        end = spans[-1][1] if spans else 0
        span = next((span for span in _spans(question, item) if span[0] >= end), None)
        if span is None:
            return []
        spans.append(span)
    return [(spans[0][0], spans[-1][1])] if spans else []


def _spans(question: str, value: Any) -> list[tuple[int, int]]:
    """Where the question has the value, in the first of its forms that occurs at all."""
    for form in _forms(value):
        # 5 is in "5m" and "5.", but not in "15", "5.2" or "1,500"; other texts are whole words.
        after = r"(?!\d|[.,]\d)" if form[-1].isdigit() else r"(?!\w)"
        case = re.IGNORECASE if len(form) > 3 else re.NOFLAG  # "IN" is a state, "in" is not
        matches = re.finditer(rf"(?<!\w)(?<!\d[.,]){re.escape(form)}{after}", question, case)
        if spans := [match.span() for match in matches]:
            return spans
    return []


def _forms(value: Any) -> list[str]:
    """The ways in which a question may write a value, first those that are like JSON's."""
    if isinstance(value, str):
        place = value.partition(",")[0]  # "Tel Aviv" says "Tel Aviv, Israel"
        return [form for form in (value, value.replace("_", " "), place if len(place) > 3 else "") if form.strip()]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    if isinstance(value, float) and not value.is_integer():
        decimal = Decimal(repr(value))
        return [f"{decimal:f}", f"{decimal:,f}", f"{(100 * decimal).normalize():f}%"]
    number = int(value)
    millions = [f"{number // 10**6} million"] if number and number % 10**6 == 0 else []
    word = _NUMBERS[number : number + 1] if number >= 0 else []
    return [str(value), str(number), f"{number:,}", *millions, *word]


def _with_neighbours(question: str, start: int, end: int) -> str:
    """The words that the span touches and those around them in the same part, without punctuation at the end."""
    words = list(re.finditer(r"\S+", question))
    inside = [number for number, word in enumerate(words) if word.end() > start and word.start() < end]
    first, last = inside[0], inside[-1]
    texts = [word[0] for word in words]
    before = list(takewhile(lambda word: word[-1] not in _ENDS, reversed(texts[:first][-WORDS_BEFORE:])))
    after = [] if texts[last][-1] in _ENDS + "," else texts[last + 1 :][:WORDS_AFTER]
    return " ".join([*reversed(before), *texts[first : last + 1], *after]).rstrip(_ENDS + ",")


def _long_words(text: str) -> set[str]:
    return {word for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 3}
