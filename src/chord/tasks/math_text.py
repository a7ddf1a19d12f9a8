"""The text side of grading mathematics: which part of a response is the answer, and what two texts say exactly.

Nothing here needs a computer algebra system: it decides what cannot be wrong (equal texts, plain numbers) and says
what should not reach one. All functions are linear in the length of their text.
"""

import re
import unicodedata
from fractions import Fraction

# Beyond these a text is no answer that a reader would check: real reference answers have at most 150 characters and
# nest 4 deep, and a parser's time grows with the square of both and worse.
MAX_CHARACTERS, MAX_NESTING = 1000, 12

_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_OPEN_THINK, _CLOSE_THINK = "<think>", "</think>"


def last_box(text: str) -> str | None:
    r"""Content of the last \boxed{...} (or \fbox{...}) whose braces are balanced, None without one.

    Trinity-RFT, too, reads the last. Of nested boxes that is the inner one; escaped braces do not count.
    """
    boxes = {match.end() for match in _BOX.finditer(text)} if "box" in text else ()
    if not boxes:
        return None
    opened: list[int] = []
    last, content = 0, None
    for brace in _BRACE.finditer(text, min(boxes) - 1):
        if brace.group() == "{":
            opened.append(brace.end())
        elif brace.group() == "}" and opened:
            start = opened.pop()
            if start in boxes and start > last:
                last, content = start, text[start : brace.start()]
    return content


def is_well_formed(text: str) -> bool:
    """Exactly one <think> and after it exactly one </think> (Trinity-RFT, validate_think_pattern)."""
    return text.count(_OPEN_THINK) == text.count(_CLOSE_THINK) == 1 and text.find(_OPEN_THINK) < text.find(_CLOSE_THINK)


def tidy(text: str) -> str:
    r"""The same answer with ASCII digits and signs, single spaces, no $, no full stop at the end, plain thousands.

    `10{,}000`, `10\,000` and `10 000` become 10000. Exponents, letters and LaTeX commands stay as they are.
    """
    if not text.isascii():
        text = text.translate(_ASCII)
    if "$" in text:
        text = _DOLLAR.sub("", text)
    text = " ".join(text.split())
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].rstrip()
    if len(text) > MAX_CHARACTERS:
        return text
    return _NUMBER_SPACE.sub(lambda found: found[1] + re.sub(r"\D", "", found[2]), text)


class _Ascii(dict):
    """Table for str.translate: decimal digits of all scripts, signs, vulgar fractions; no zero-width marks."""

    def __missing__(self, code: int) -> str:
        self[code] = found = self._of(chr(code))
        return found

    @staticmethod
    def _of(character: str) -> str:
        if character.isdecimal():
            return str(unicodedata.decimal(character))
        if unicodedata.category(character) == "Cf":  # zero-width and direction marks
            return ""
        kind, *codes = unicodedata.decomposition(character).split() or [""]
        above, _, below = "".join(chr(int(code, 16)) for code in codes).partition("\u2044")
        return rf"\frac{{{above}}}{{{below}}}" if kind == "<fraction>" and below else character


_MINUS = dict.fromkeys(map(ord, "\u2212\u2012\u2013\ufe63\uff0d"), "-")
_ASCII = _Ascii(_MINUS | {ord("\u00b0"): r"^{\circ}", ord("\u00ba"): r"^{\circ}", ord("\u2044"): "/"})
_NUMBER_SPACE = re.compile(r"(?<![\d.,])(\d{1,3})((?:(?:\\[,;:! ]|~| |\{,\})\d{3})+)(?!\d)")
_DOLLAR = re.compile(r"(?<!\\)\$")


_INTEGER = r"(?:[1-9]\d{0,2}(?:,\d{3})+|\d+)"
_DECIMAL = re.compile(rf"([+-]?)({_INTEGER}?)(?:\.(\d*))?")
_FRACTION = re.compile(r"([+-]?)\s*(?:\\[dtc]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(-?\d+)\s*\}|(\d+)\s*/\s*(\d+))")
_WRAPPED = re.compile(r"([({ ]*)([^(){}]*)([)} ]*)")
_CLOSING = {"(": ")", "{": "}"}
MAX_EXACT_DIGITS = 1000
FLOAT_DIGITS = 15  # math-verify keeps decimals as floats of this many digits
CLOSE = Fraction(2, 10**6)  # it rounds to 6 places where a decimal takes part


def same_exactly(gold: str, answer: str) -> bool | None:
    """Whether two tidy texts say the same, where that cannot be disputed; None: a matter for math-verify.

    Right: equal texts, and plain numbers (integers, decimals, fractions) of equal value. Wrong: plain numbers that
    differ by more than math-verify's rounding.
    """
    if gold == answer:
        return True
    numbers = _number(gold), _number(answer)
    if None in numbers:
        return None
    (first, first_decimal, first_digits), (second, second_decimal, second_digits) = numbers
    if first == second:
        return True
    if not (first_decimal or second_decimal):
        return False
    if max(first_digits, second_digits) > FLOAT_DIGITS:
        return None
    return False if abs(first - second) > CLOSE else None


def _number(text: str) -> tuple[Fraction, bool, int] | None:
    """(value, has a decimal point, digits) of a plain number, which may stand in round brackets or braces."""
    if len(text) > MAX_EXACT_DIGITS or not text.strip("({ )}"):
        return None
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped and (wrapped[1] or wrapped[3]):
        opened, closed = wrapped[1].replace(" ", ""), wrapped[3].replace(" ", "")
        if "".join(_CLOSING[bracket] for bracket in reversed(opened)) != closed or "," in text:
            return None  # (2,600) is a pair or an interval
        text = wrapped[2].strip()
    if (found := _DECIMAL.fullmatch(text)) and (found[2] or found[3]):
        whole, places = found[2].replace(",", ""), found[3] or ""
        value = Fraction(int(f"{found[1]}{whole}{places}"), 10 ** len(places))
        return value, found[3] is not None, len(whole) + len(places)
    if found := _FRACTION.fullmatch(text):
        above, below = int(found[2] or found[4]), int(found[3] or found[5])
        if below:
            return Fraction(-above if found[1] == "-" else above, below), False, len(text)
    return None


# a^{b^{c^...: three powers on top of each other; no computer algebra system finishes most of them.
_TOWER = re.compile(r"(?:(?:\^|\*\*)\s*(?:[({][^(){}^]*|[\w.\\]+\s*)){2}(?:\^|\*\*)")
# a^{b^c} of plain numbers: a computer algebra system that leaves it a symbol still hangs when it estimates it.
_NUMBER_TOWER = re.compile(r"(\d+)\s*(?:\^|\*\*)\s*[({]?\s*(\d+)\s*(?:\^|\*\*)\s*[({]?\s*(\d+)")
MAX_POWER_BITS = 20_000
_BRACKETS = re.compile(r"[()\[\]{}]")


def is_too_complex(text: str) -> bool:
    """A tidy text that is too long, too deeply nested or a tower of powers, so that nobody tries to compute it."""
    if len(text) > MAX_CHARACTERS:
        return True
    depth = deepest = 0
    for bracket in _BRACKETS.findall(text):
        depth += 1 if bracket in "([{" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_NESTING or _TOWER.search(text):
        return True
    return any(_is_large(*map(int, numbers)) for numbers in _NUMBER_TOWER.findall(text))


def _is_large(base: int, middle: int, top: int) -> bool:
    """Whether base ** middle ** top has more than MAX_POWER_BITS bits."""
    if base < 2 or middle < 2:
        return False
    return top > 64 or middle.bit_length() > 64 or middle**top * base.bit_length() > MAX_POWER_BITS


_TWO_WORDS = re.compile(r"(?<![\\\w])[A-Za-z]{2,} [A-Za-z]{2,}")
MAX_BARE_CHARACTERS = 200


def is_bare(text: str) -> bool:
    """Whether a tidy text may be an answer by itself and no sentence about one."""
    return len(text) <= MAX_BARE_CHARACTERS and _TWO_WORDS.search(text) is None


def is_balanced(text: str) -> bool:
    """Every brace that opens closes; escaped ones do not count."""
    depth = 0
    for brace in _BRACE.findall(text):
        depth += (brace == "{") - (brace == "}")
        if depth < 0:
            return False
    return depth == 0
