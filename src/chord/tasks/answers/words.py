"""Reads answers in words: which runs of letters are words, how they are normalized, what some of them stand for."""

import re

from chord.tasks.answers import tokens, trees, units
from chord.tasks.answers.kinds import ALL_REALS, EMPTY, Answer, Opaque, Value, Words
from chord.tasks.answers.units import NONE

_ONLY_WORDS = re.compile(r"[A-Za-z\s.,;:!?'\"()-]+")
_ARTICLE = re.compile(r"^(?:the|an?) ")
_PRODUCT_LETTERS = set("abcdfghjklmnpqrstvwxyz")


def is_symbolic(word: str) -> bool:
    """Whether a run of letters is a product or a function and not a word: xy, ab, sin."""
    if word in _MATHEMATICAL:
        return True
    if 2 <= len(word) <= 3 and not word.islower() and not word.isupper():
        return set(word.lower()) <= _PRODUCT_LETTERS - {"a"} or set(word) == {"a", "A"}  # Rr and GMm
    return len(word) <= 3 and word.islower() and set(word) <= _PRODUCT_LETTERS and word not in _SHORT_WORDS


_MATHEMATICAL = {
    *tokens.FUNCTIONS,
    "log",
    "lg",
    "pi",
    "sinx",
    "cosx",
    "tanx",
    "lnx",
    "theta",
    "alpha",
    "beta",
    "lambda",
}
_SHORT_WORDS = {
    "cm", "mm", "km", "kg", "mg", "ft", "lb", "yd", "hr", "pm", "am", "lbs", "yds", "and", "all", "mph", "kph", "dm",
    "nm", "th", "nd", "st", "rd", "by", "cats", "ml", "ms", "ns", "gal", "mln", "fps", "rad", "days", "sq",
}  # fmt: skip


def is_word(text: str) -> bool:
    """Whether the text has a word in it. Capitals next to an operator are not words: 2RC + C, AB + BC."""
    formula = re.search(r"[\d+*/^=\\]|\s-", text) is not None
    runs = re.findall(r"(?<![\\A-Za-z])[A-Za-z]{2,}", text)
    return any(not (is_symbolic(run) or (formula and run.isupper() and len(run) <= 3)) for run in runs)


def read_words(text: str) -> Words | None:
    """Read a text of words, or a sequence of capital letters; None for any other text."""
    plain = (
        re.sub(r"\\text\{([^{}]*)\}", r" \1 ", text.replace("\\overline", "").replace("\\ldots", "..."))
        .replace("{", "")
        .replace("}", "")
    )
    plain = re.sub(
        r"\\(triangle|angle)(?![A-Za-z])", r" \1 ", re.sub(r"\\(?:leftrightarrow|to)(?![A-Za-z])", " ", plain)
    )
    if not _ONLY_WORDS.fullmatch(plain) or not ("\\text" in text or is_word(plain)):
        return None
    return Words(normalize(plain))


def _is_ordinary(word: str) -> bool:
    """Whether a word is lower case, Capitalized or ALL CAPITALS: then its case says nothing, unlike in aB or xyZ."""
    return word.islower() or word.isupper() or word.istitle()


def normalize(text: str) -> str:
    words = re.sub(r"[.,;:!?'\"()-]", " ", text).split()
    text = " ".join(word.casefold() if _is_ordinary(word) else word for word in words)
    text = _ARTICLE.sub("", text)
    return _SAME_WORDS.get(text, text)


_SAME_WORDS = {"dne": "does not exist", "undefined": "not defined"}
_NOTHING = {
    "no solution",
    "no solutions",
    "no real solution",
    "no real solutions",
    "empty set",
    "none",
    "null set",
    "no such solution",
}
_EVERYTHING = {
    "all real numbers",
    "all reals",
    "real numbers",
    "all real",
    "every real number",
    "any real number",
    "reals",
    "r",
}
NUMBER_WORDS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen "
        "eighteen nineteen twenty".split()
    )
}


def meaning(words: Words) -> Answer | None:
    """What the words stand for (the empty set, all real numbers, infinity, a small number); None for other words."""
    if words.text in _NOTHING:
        return EMPTY
    if words.text in _EVERYTHING and words.text != "r":
        return ALL_REALS
    if words.text in ("infinity", "positive infinity", "infinite"):
        return Opaque("\\infty")
    if words.text == "negative infinity":
        return Opaque("-\\infty")
    if words.text in NUMBER_WORDS:
        return Value(trees.number(NUMBER_WORDS[words.text]), NONE, str(NUMBER_WORDS[words.text]))
    first, _, rest = words.text.partition(" ")
    if rest and first in NUMBER_WORDS and (quantity := units.read(rest)) and quantity[0] == 1:
        return Value(trees.number(NUMBER_WORDS[first]), quantity[1], str(NUMBER_WORDS[first]))  # five dollars
    return None
