r"""Plain numbers: integers with grouped thousands, decimals, repeating decimals, scientific notation, fractions."""

import re
from fractions import Fraction
from typing import NamedTuple

MAX_EXPONENT = 5000  # of a power of ten that is written out
MAX_DIGITS = 1000

_REPEAT = r"\.\d*\\(?:overline|bar|dot)\s*\{?\s*\d+\s*\}?"
_EXPONENT = r"[eE][+-]?\d{1,4}(?![\w^.])"
# One number, unsigned, as a token of a formula. e with digits right behind it is a power of ten.
NUMBER = rf"\d*{_REPEAT}|(?:\d{{1,3}}(?:,\d{{3}})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+|\.(?=\s*[/*]))?|\.\d+)(?:{_EXPONENT})?"


class Numeral(NamedTuple):
    """value; decimal: it has a decimal point or a power of ten as a computer writes it; unit: of its last place."""

    value: Fraction
    decimal: bool
    unit: Fraction


def token(text: str) -> tuple[Fraction, Fraction]:
    """(value, unit of the last place if a decimal point takes part, else 0) of a text that matches NUMBER."""
    numeral = _unsigned(text)
    return numeral.value, numeral.unit if numeral.decimal else Fraction(0)


def _unsigned(text: str) -> Numeral:
    if "\\" in text:
        head, _, rest = text.partition(".")
        fixed, _, repeated = rest.partition("\\")
        digits = re.sub(r"\D", "", repeated)
        value = Fraction(int((head + fixed) or 0), 10 ** len(fixed))
        value += Fraction(int(digits), 10 ** len(fixed) * (10 ** len(digits) - 1))
        return Numeral(value, False, Fraction(0))
    mantissa, _, power = text.replace(",", "").replace("E", "e").partition("e")
    whole, _, places = mantissa.partition(".")
    scale = Fraction(10) ** (int(power or 0) - len(places))
    return Numeral(int(whole + places) * scale, "." in mantissa or bool(power), scale)


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
    """The number that a tidy text is and nothing else, None if it is none. Round brackets and braces do not count."""
    if len(text) > MAX_DIGITS + 40 or not any(character.isdigit() for character in text):
        return None
    text = text.strip()
    while (wrapped := _WRAPPED.fullmatch(text)) and "," not in text:
        text = (wrapped[1] if wrapped[1] is not None else wrapped[2]).strip()
    for pattern, clean in ((_PLAIN, ""), (_LAKH, ","), (_DOTS, ".")):
        if found := pattern.fullmatch(text):
            number = found["number"].replace(clean, "") if clean else found["number"].removesuffix(".")
            return _signed(found["sign"], _unsigned(number))
    if found := _EUROPEAN.fullmatch(text):
        return _signed(found["sign"], _unsigned(found["number"].replace(".", "").replace(",", ".")))
    if found := _SCIENTIFIC.fullmatch(text):
        power = int((found["braced"] or found["round"] or found["bare"]).replace(" ", ""))
        mantissa = _unsigned(found["mantissa"] or "1")
        scale = Fraction(10) ** power
        return _signed(found["sign"], Numeral(mantissa.value * scale, mantissa.decimal, mantissa.unit * scale))
    if found := _FRACTION.fullmatch(text):
        return _fraction(found)
    return None


def _fraction(found: re.Match) -> Numeral | None:
    above = int(found["a"] or found["c"] or found["e"])
    below = int(found["b"] or found["d"] or found["f"])
    if not below:
        return None
    value = Fraction(above, below)
    if found["whole"]:
        if not 0 < value < 1:  # 5 7/2 is no mixed number
            return None
        value += int(found["whole"])
    return _signed(found["sign"], Numeral(value, False, Fraction(0)))


def _signed(sign: str, numeral: Numeral) -> Numeral:
    return numeral._replace(value=-numeral.value) if sign == "-" else numeral


def same(first: Numeral, second: Numeral) -> bool:
    """Whether two numbers are equal: exactly, or one a rounding of the other to six significant digits or more.

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
