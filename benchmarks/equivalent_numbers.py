r"""Writes a plain number in other ways: other notations of its value, units and currencies, names and signs."""

import re
from collections.abc import Iterator
from fractions import Fraction

from references import Answer, Number, Shape


def numbers(reference: Shape) -> Iterator[Answer]:
    number = reference.number
    if number.before:
        yield from _dollars(number)
    elif number.after:
        yield from _units(number)
    else:
        yield "equals sign", f"= {reference.text}"
        yield "name", f"x = {reference.text}"
        yield "name", f"n={reference.text}"
        yield "in words", f"\\text{{The answer is }}{reference.text}"
        yield from _plain(number.body, number.value)


def _plain(body: str, value: Fraction) -> Iterator[Answer]:
    sign, size = "-" * (value < 0), abs(value)
    if re.fullmatch(r"[-+]?[\d.]*e[-+]?\d+", body):
        yield from _scientific(body, value)
    elif "." in body and "/" not in body:
        yield from _decimals(body, value)
    elif value.denominator == 1:
        yield from _integers(f"{sign}{size}", value)
    else:
        yield from _fractions(value)
        if "." not in body:
            places = next((n for n in range(1, 5) if (size * 10**n).denominator == 1), None)
            if places:
                yield "decimal", f"{sign}{float(size):.{places}f}"


def _integers(text: str, value: Fraction) -> Iterator[Answer]:
    yield "zero places", f"{text}.0"
    yield "zero places", f"{text}.00"
    yield "in \\text", f"\\text{{{text}}}"
    yield "in \\text", f"\\mathrm{{{text}}}"
    yield "round brackets", f"({text})"
    yield "fraction", f"\\frac{{{2 * int(value)}}}{{2}}"
    yield "fraction", f"{text}/1"
    yield "unit", f"{text}\\text{{ units}}"
    yield "unit", f"{text}~\\mathrm{{cm}}"
    yield "unit", f"{text} apples"
    if value >= 0:
        yield "currency", f"\\${text}"
        yield "currency", f"{text}\\text{{ dollars}}"
        yield "sign", f"+{text}"
    if abs(value) >= 1000:
        with_commas = f"{int(value):,}"
        for mark in (",", "{,}", "\\,", " ", "\\ ", ",\\!"):
            yield "thousands", with_commas.replace(",", mark)
    digits = str(abs(int(value)))
    if len(digits) > 4 and len(digits.rstrip("0")) < 4:
        yield from _powers_of_ten(value)


def _powers_of_ten(value: Fraction) -> Iterator[Answer]:
    digits, exponent = _mantissa(value)
    yield "power of ten in LaTeX", f"{digits}\\times 10^{{{exponent}}}"
    yield "power of ten in LaTeX", f"{digits} \\cdot 10^{{{exponent}}}"
    yield "plain exponent", f"{digits}e{exponent}"
    yield "plain exponent", f"{digits}E{exponent}"
    yield "power of ten in plain text", f"{digits} \u00d7 10^{exponent}"
    yield "power of ten in plain text", f"{digits} x 10^{exponent}"
    yield "power of ten in plain text", f"{digits}*10^{exponent}"
    if digits == "1":
        yield "power of ten in LaTeX", f"10^{{{exponent}}}"


def _mantissa(value: Fraction) -> tuple[str, int]:
    """Returns the digits of a finite decimal, with one of them before the point, and the exponent."""
    exponent, size = 0, abs(value)
    while size >= 10:
        size, exponent = size / 10, exponent + 1
    while size and size < 1:
        size, exponent = size * 10, exponent - 1
    places = next(n for n in range(40) if (size * 10**n).denominator == 1)
    digits = str(int(size * 10**places))
    return "-" * (value < 0) + digits[0] + (f".{digits[1:]}" if places else ""), exponent


def _scientific(body: str, value: Fraction) -> Iterator[Answer]:
    yield from ((rule, text) for rule, text in _powers_of_ten(value) if text != body)
    digits, exponent = _mantissa(value)
    yield "other mantissa", f"{_shift_point(digits)}\\times10^{{{exponent - 1}}}"
    yield "unit", f"{digits}\\times 10^{{{exponent}}}\\ \\mathrm{{kg}}"
    yield "unit", f"{digits} \\times 10^{{{exponent}}} \\text{{ m/s}}"
    yield "approximately", f"\\approx {digits} \\times 10^{{{exponent}}}"
    yield "expanded", _expand(value)


def _shift_point(digits: str) -> str:
    """Ten times a mantissa."""
    integer, _, places = digits.partition(".")
    return f"{integer}{places[:1] or '0'}" + (f".{places[1:]}" if places[1:] else "")


def _expand(value: Fraction) -> str:
    """A finite decimal with all of its digits."""
    places = next(n for n in range(60) if (value * 10**n).denominator == 1)
    digits = str(int(abs(value) * 10**places)).rjust(places + 1, "0")
    return "-" * (value < 0) + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def _decimals(body: str, value: Fraction) -> Iterator[Answer]:
    yield "zero places", f"{body}0"
    yield "approximately", f"\\approx {body}"
    yield "in \\text", f"\\text{{{body}}}"
    yield "in \\text", f"\\mathrm{{{body}}}"
    yield "fraction", _fraction(value)
    yield "unit", f"{body}\\ \\mathrm{{m/s^2}}"
    yield "unit", f"{body} \\text{{ km/h}}"
    yield "unit", f"{body}~\\mathrm{{kg}}"
    yield "zero before the point", body.replace("0.", ".", 1) if re.match(r"-?0\.", body) else body
    yield "zero before the point", re.sub(r"^(-?)\.", r"\g<1>0.", body)
    integer, _, places = body.partition(".")
    if integer and len(places) != 3:
        yield "decimal comma", f"{integer}{{,}}{places}"
    if abs(value) < Fraction(1, 100):
        yield from _powers_of_ten(value)


def _fraction(value: Fraction) -> str:
    return f"{'-' * (value < 0)}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def _fractions(value: Fraction) -> Iterator[Answer]:
    sign, above, below = "-" * (value < 0), abs(value.numerator), value.denominator
    yield "quotient", f"{sign}{above}/{below}"
    yield "form of \\frac", f"{sign}{{{above} \\over {below}}}"
    yield "form of \\frac", _fraction(value)
    yield "form of \\frac", f"{sign}\\dfrac{{{above}}}{{{below}}}"
    yield "form of \\frac", f"{sign}\\frac {{{above}}} {{{below}}}"
    yield "fraction", f"{sign}\\frac{{{3 * above}}}{{{3 * below}}}"
    yield "round brackets", f"({sign}{above}/{below})"
    if sign:
        yield "sign", f"\\frac{{-{above}}}{{{below}}}"
        yield "sign", f"\\frac{{{above}}}{{-{below}}}"
    integer, rest = divmod(above, below)
    if integer:
        yield "mixed number", f"{sign}{integer} {rest}/{below}"
        yield "mixed number", f"{sign}{integer}\\frac{{{rest}}}{{{below}}}"
        yield "mixed number", f"{sign}{integer} \\frac{{{rest}}}{{{below}}}"


def _dollars(number: Number) -> Iterator[Answer]:
    amount = number.body
    yield "currency", amount
    yield "currency", f"\\$ {amount}"
    yield "currency", f"\\text{{\\$}}{amount}"
    yield "currency", f"\\text{{USD }}{amount}"
    yield "currency", f"{amount}\\text{{ dollars}}"
    yield "currency", f"{amount} dollars"
    yield "name", f"x = \\${amount}"
    yield "zero places", f"\\${amount}" + (".00" if "." not in amount else "0")


def _units(number: Number) -> Iterator[Answer]:
    body, after = number.body, number.after
    if "circ" in after or "degrees" in after:
        for form in ("^{\\circ}", "^\\circ", "\u00b0", "\\degree", "\\text{ degrees}", "", "^{\\circ }", " degrees"):
            yield "degrees", f"{body}{form}"
    elif "%" in after:
        for form in ("\\%", "%", " \\%", "\\text{ percent}", "\\text{\\%}", "~\\%"):
            yield "per cent", f"{body}{form}"
    elif "cents" in after:
        for form in ("", " cents", "\\ \\text{cents}", "\\text{ cents}", "~\\mathrm{cents}"):
            yield "unit", f"{body}{form}"
    elif "cm" in after:
        for form in ("", "\\text{ cm}^2", "\\text{ cm}^{2}", "\\ \\mathrm{cm^2}", "\\text{ square centimeters}"):
            yield "unit", f"{body}{form}"
    yield "name", f"x = {body}{after}"
    yield "equals sign", f"={body}{after}"
