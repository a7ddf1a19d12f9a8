"""Reads the reference answers of real benchmarks and determines the kind of each, without the grader's code.

The tables of `grade.py` compare the grader's verdicts with these readings, so the two share no code.
"""

import json
import random
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from latex_value import matching, split

FILES = {
    "math_500": [("math_500/test.jsonl", "answer")],
    "minerva_math": [("minerva_math/test.jsonl", "answer")],
    "olympiadbench": [("olympiadbench/test.jsonl", "final_answer")],
    "gsm8k": [("gsm8k/main/test.jsonl", "answer"), ("gsm8k/main/train.jsonl", "answer")],
}


def read(data: Path, dataset: str) -> list[str]:
    """The different references of a dataset in the order of its rows."""
    answers = {}
    for path, key in FILES[dataset]:
        for line in (data / path).read_text(encoding="utf-8").splitlines():
            value = json.loads(line)[key]
            answers[value[0] if isinstance(value, list) else value.rpartition("#### ")[2]] = None
    return list(answers)


Answer = tuple[str, str]  # (rule, text)


def choose(answers: list[Answer], count: int, seed: str) -> list[Answer]:
    """Chooses `count` answers from as many different rules as possible, or all answers if there are fewer."""
    answers = answers.copy()
    random.Random(seed).shuffle(answers)
    uses: Counter[str] = Counter()
    ranked = []
    for rule, text in answers:
        uses[rule] += 1
        ranked.append((uses[rule], len(ranked), rule, text))
    return [(rule, text) for _, _, rule, text in sorted(ranked)[:count]]


class Number(NamedTuple):
    """A plain number. value: of the text `body`. before, after: the texts around it (currency, unit)."""

    value: Fraction
    body: str
    before: str
    after: str


class Shape(NamedTuple):
    """A reference with its kind: number, base, option, text, matrix, interval, union, pair, set, list, equation, pm,
    expression or other.

    parts: the elements, if it has any; the two sides of an equation; the digits and the base of a number with a base.
    opening, closing: the brackets of an interval or a pair.
    """

    kind: str
    text: str
    parts: tuple[str, ...] = ()
    opening: str = ""
    closing: str = ""
    number: Number | None = None


_DIGITS = r"(?:\d{1,3}(?:(?:,|\{,\}|,\\! ?)\d{3})+|\d+)"
_FRACTION = r"\\[dt]?frac ?(?:\{(\d+)\}|(\d)) ?(?:\{(\d+)\}|(\d))"
_PLAIN = re.compile(rf"([+-]?)(?:({_DIGITS})?(?:\.(\d*))?(?:e([+-]?\d+))?)")
_MIXED = re.compile(rf"([+-]?)(?:(\d+) ?)?{_FRACTION}")
_SLASH = re.compile(r"([+-]?)(\d+)\.?/(\d+)")
_BEFORE = re.compile(r"\\\$ ?")
_AFTER = re.compile(
    r"(?:\^ ?\{? ?\\circ ?\}?| ?\\?%| ?\\(?:text|mbox|mathrm)\{ ?(?:degrees|cents|cm|m|units)\}(?:\^\{?\d\}?)?)$"
)


def exact(body: str) -> Fraction | None:
    r"""The value of an integer, decimal, `4e8`, `a/b`, `\frac{a}{b}` or mixed number with nothing around it."""
    if (match := _PLAIN.fullmatch(body)) and (match[2] or match[3]):
        integer, places = re.sub(r"\D", "", match[2] or ""), match[3] or ""
        value = Fraction(int(integer + places), 10 ** len(places)) * Fraction(10) ** int(match[4] or 0)
    elif match := _MIXED.fullmatch(body):
        below = int(match[5] or match[6])
        if not below:
            return None
        value = int(match[2] or 0) + Fraction(int(match[3] or match[4]), below)
    elif (match := _SLASH.fullmatch(body)) and int(match[3]):
        value = Fraction(int(match[2]), int(match[3]))
    else:
        return None
    return -value if match[1] == "-" else value


def number(text: str) -> Number | None:
    before = match.group() if (match := _BEFORE.match(text)) else ""
    rest = text[len(before) :]
    after = match.group() if (match := _AFTER.search(rest)) else ""
    body = rest.removesuffix(after).strip()
    value = exact(body)
    return None if value is None else Number(value, body, before, after)


def bare(reference: str) -> str:
    r"""The reference without `$` (not `\$`), `\left`, `\right` and a full stop: the same answer in one form."""
    text = re.sub(r"(?<!\\)\$|\\left(?![a-zA-Z])|\\right(?![a-zA-Z])|\\quad", "", reference)
    return text.strip().removesuffix(".").strip()


_MATRIX = re.compile(r"\\begin\{pmatrix\}(.*)\\end\{pmatrix\}", re.DOTALL)
_BASE = re.compile(r"(\d+)_(?:\{(\d+)\}|(\d))")
_WORD = re.compile(r"\\text\{([A-Za-z ]+)\}")
_OPTION = re.compile(r"\\text\{\(([A-E])\)\}")
_NAME = re.compile(r"[A-Za-z]|[a-z]\([a-z]\)|[A-Za-z]_\{[a-z\\ ]+\}")


def shape(reference: str) -> Shape:
    text = bare(reference)
    if "$" in text.replace("\\$", "") or "where" in text or text.count("{") != text.count("}"):
        return Shape("other", text)
    if match := number(text):
        return Shape("number", text, number=match)
    if match := _BASE.fullmatch(text):
        return Shape("base", text, (match[1], match[2] or match[3]))
    if match := _OPTION.fullmatch(text):
        return Shape("option", text, (match[1],))
    if match := _WORD.fullmatch(text):
        return Shape("text", text, (match[1],))
    if match := _MATRIX.fullmatch(text):
        return Shape("matrix", text, tuple(part.strip() for part in match[1].split("\\\\")))
    return _with_parts(text)


def _with_parts(text: str) -> Shape:
    if "\\cup" in text and "=" not in text:
        return Shape("union", text, tuple(part.strip() for part in text.split("\\cup")))
    inner = text.removeprefix("x \\in ")
    if inner[:1] in "([" and matching(inner, 0) == len(inner) - 1:
        parts = tuple(split(inner[1:-1]))
        if len(parts) == 2 and (inner[0] == "[" or inner[-1] == "]" or "\\infty" in inner):
            return Shape("interval", text, parts, inner[0], inner[-1])
        if len(parts) > 1 and inner[0] == "(" and inner[-1] == ")":
            return Shape("pair", text, parts, "(", ")")
    if text.startswith("\\{") and text.endswith("\\}"):
        return Shape("set", text, tuple(split(text[2:-2])))
    parts = split(text)
    if len(parts) > 1:
        return Shape("list", text, tuple(parts))
    sides = text.split("=")
    if len(sides) == 2 and _NAME.fullmatch(sides[0].strip()):
        return Shape("equation", text, tuple(side.strip() for side in sides))
    if any(mark in text for mark in ("=", "\\geqslant", "\\text", "\\mbox", "np.")) or re.fullmatch("[A-Z]{2,}", text):
        return Shape("other", text)
    return Shape("pm" if "\\pm" in text else "expression", text)
