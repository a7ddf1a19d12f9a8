r"""Reads and compares plain numbers: grouped thousands, decimals (also repeating), powers of ten, fractions."""

import re
from fractions import Fraction
from typing import NamedTuple

MAX_EXPONENT = 5000  # of a power of ten that is written out
MAX_DIGITS = 1000

_REPEAT = r"\.\d*\\(?:overline|bar|dot)\s*\{?\s*\d+\s*\}?"
_EXPONENT = r"[eE][+-]?\d{1,4}(?![\w^.])"
# One unsigned number, as a token of a formula. An e with digits right after it is a power of ten.
NUMBER = rf"\d*{_REPEAT}|(?:\d{{1,3}}(?:,\d{{3}})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+|\.(?=\s*[/*]))?|\.\d+)(?:{_EXPONENT})?"


class Numeral(NamedTuple):
    """A number. decimal: it has a decimal point or an exponent such as e5. unit: the value of its last place."""

    value: Fraction
    decimal: bool
    unit: Fraction


def token(text: str) -> tuple[Fraction, Fraction]:
    """Returns (value, unit of the last place if the number is a decimal, else 0) of a text that matches NUMBER."""
    numeral = _unsigned(text)
    return numeral.value, numeral.unit if numeral.decimal else Fraction(0)


def _unsigned(text: str) -> Numeral:
    if "\\" in text:
        head, _, rest = text.partition(".")
        fixed, _, repetend = rest.partition("\\")
        digits = re.sub(r"\D", "", repetend)
        value = Fraction(int((head + fixed) or 0), 10 ** len(fixed))
        value += Fraction(int(digits), 10 ** len(fixed) * (10 ** len(digits) - 1))
        return Numeral(value, False, Fraction(0))
    mantissa, _, power = text.replace(",", "").replace("E", "e").partition("e")
    integer, _, places = mantissa.partition(".")
    scale = Fraction(10) ** (int(power or 0) - len(places))
    return Numeral(int(integer + places) * scale, "." in mantissa or bool(power), scale)


_SIGN = r"(?P<sign>[+-]?)\s*"
_SCIENTIFIC = re.compile(
    rf"{_SIGN}(?:(?P<mantissa>\d+(?:\.\d+)?)\s*(?:\\times|\\cdot|\*|[xX])\s*)?10\s*(?:\^|\*\*)\s*"
    r"(?:\{\s*(?P<braced>[+-]?\s*\d{1,4})\s*\}|\(\s*(?P<round>[+-]?\s*\d{1,4})\s*\)|(?P<bare>[+-]?\d{1,4}))"
)
_PLAIN = re.compile(rf"{_SIGN}(?P<number>{NUMBER}|\d+\.)")
_DOTS = re.compile(rf"{_SIGN}(?P<number>\d{{1,3}}(?:\.\d{{3}}){{2,}})")  # 2.345.678
_LAKH = re.compile(rf"{_SIGN}(?P<number>\d{{1,2}}(?:,\d{{2}})+,\d{{3}}(?:\.\d+)?)")  # 23,45,678
_EUROPEAN = re.compile(rf"{_SIGN}(?P<number>\d{{1,3}}(?:\.\d{{3}})+,\d+)")  # 1.234,5
_FRACTION = re.compile(
    rf"{_SIGN}(?:(?P<whole>\d+)(?:\s+|\s*(?=\\)|\s+and\s+))?"
    r"(?:\\frac\s*(?:\{\s*(?P<a>[+-]?\d+)\s*\}|(?P<c>\d))\s*(?:\{\s*(?P<b>[+-]?\d+)\s*\}|(?P<d>\d))|(?P<e>\d+)\s*/\s*(?P<f>\d+))"
)
_WRAPPED = re.compile(r"\(([^(){}]*)\)|\{([^(){}]*)\}")


def read(text: str) -> Numeral | None:
    """The number that a normalized text consists of, or None. Parentheses and braces around it do not count."""
    if len(text) > MAX_DIGITS + 40 or not any(character.isdigit() for character in text):
        return None
    text = text.strip()
    while (wrapped := _WRAPPED.fullmatch(text)) and "," not in text:
        text = (wrapped[1] if wrapped[1] is not None else wrapped[2]).strip()
    for pattern, clean in ((_PLAIN, ""), (_LAKH, ","), (_DOTS, ".")):
        if match := pattern.fullmatch(text):
            number = match["number"].replace(clean, "") if clean else match["number"].removesuffix(".")
            return _signed(match["sign"], _unsigned(number))
    if match := _EUROPEAN.fullmatch(text):
        return _signed(match["sign"], _unsigned(match["number"].replace(".", "").replace(",", ".")))
    if match := _SCIENTIFIC.fullmatch(text):
        power = int((match["braced"] or match["round"] or match["bare"]).replace(" ", ""))
        mantissa = _unsigned(match["mantissa"] or "1")
        scale = Fraction(10) ** power
        return _signed(match["sign"], Numeral(mantissa.value * scale, mantissa.decimal, mantissa.unit * scale))
    if match := _FRACTION.fullmatch(text):
        return _fraction(match)
    return None


def _fraction(match: re.Match) -> Numeral | None:
    above = int(match["a"] or match["c"] or match["e"])
    below = int(match["b"] or match["d"] or match["f"])
    if not below:
        return None
    value = Fraction(above, below)
    if match["whole"]:
        if not 0 < value < 1:  # 5 7/2 is not a mixed number
            return None
        value += int(match["whole"])
    return _signed(match["sign"], Numeral(value, False, Fraction(0)))


def _signed(sign: str, numeral: Numeral) -> Numeral:
    return numeral._replace(value=-numeral.value) if sign == "-" else numeral


def same(first: Numeral, second: Numeral) -> bool:
    """Whether two numbers are equal, or one is a rounding of the other to at least six significant digits.

    A rounding differs by less than a unit of its last place. Numbers without a decimal point are exact.
    """
    if first.value == second.value:
        return True
    if not (first.decimal or second.decimal):
        return False
    coarse = max(numeral.unit for numeral in (first, second) if numeral.decimal)
    difference = abs(first.value - second.value)
    return difference < coarse and difference <= ROUNDING * max(abs(first.value), abs(second.value))


ROUNDING = Fraction(15, 10**7)
