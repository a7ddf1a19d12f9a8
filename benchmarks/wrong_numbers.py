"""Makes wrong answers that are close to a plain number; see `wrong_answers`."""

import re
from collections.abc import Iterator
from fractions import Fraction

from references import Answer, Number, Shape, exact


def write(value: Fraction, like: str) -> str:
    """The value in the notation of `like`: a decimal, a LaTeX fraction, a/b or an integer."""
    sign, size = "-" * (value < 0), abs(value)
    if size.denominator == 1 and "e" not in like:
        return f"{sign}{size.numerator}"
    if "frac" not in like and "/" not in like:
        places = next((n for n in range(60) if (size * 10**n).denominator == 1), None)
        if places is not None:
            digits = str(size * 10**places).rjust(places + 1, "0")
            return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"
    form = "{}{}/{}" if "/" in like else "{}\\frac{{{}}}{{{}}}"
    return form.format(sign, size.numerator, size.denominator)


def digit_changes(text: str) -> Iterator[str]:
    """Yield the text with one digit increased by one (9 becomes 8), for each digit outside subscripts."""
    for match in re.finditer(r"(?<!_)(?<!_\{)\d", text):
        digit = int(match.group())
        yield f"{text[: match.start()]}{digit + 1 if digit < 9 else 8}{text[match.end() :]}"


def digit_swaps(text: str) -> Iterator[str]:
    """Yield the text with two neighbouring digits swapped."""
    for pair in re.finditer(r"(?=(\d)(\d))", text):
        if pair[1] != pair[2]:
            yield f"{text[: pair.start()]}{pair[2]}{pair[1]}{text[pair.start() + 2 :]}"


def numbers(reference: Shape) -> Iterator[Answer]:
    number = reference.number
    value = number.value
    for rule, other in [
        ("sign", -value),
        ("one more", value + 1),
        ("one less", value - 1),
        ("a half of it", value / 2),
        ("twice it", 2 * value),
        ("decimal point", value * 10),
        ("decimal point", value / 10),
        *([("fraction swapped", 1 / value)] if value.denominator > 1 else []),
    ]:
        if other != value:
            yield rule, f"{number.before}{write(other, number.body)}{number.after}"
    for rule, bodies in [("one digit", digit_changes(number.body)), ("digits swapped", digit_swaps(number.body))]:
        for body in bodies:
            if exact(body) not in (value, None):
                yield rule, f"{number.before}{body}{number.after}"
    yield from _beside_a_number(reference.text, number)
    if not number.before and not number.after:
        yield from _around_a_number(number.body, value)


def _beside_a_number(text: str, number: Number) -> Iterator[Answer]:
    """Yield changes that turn any number into another answer, whatever surrounds it."""
    other = f"{number.before}{write(number.value + 1, number.body)}{number.after}"
    yield "another value beside it", f"{text}, {other}"
    yield "another value beside it", f"{text}\\text{{ or }}{other}"
    yield "negated in words", f"\\text{{not }}{text}"
    yield "inequality", f"x \\neq {text}"
    yield "inequality", f"x < {text}"
    yield "inequality", f"x \\geq {text}"
    units = {
        "circ": ["\\text{ radians}"],
        "degrees": ["\\text{ radians}", "\\text{ minutes}"],
        "cents": ["\\text{ dollars}", "\\text{ euros}"],
        "cm": ["\\text{ m}^2", "\\text{ cm}^3", "\\text{ cm}"],
    }
    for unit in next((forms for name, forms in units.items() if name in number.after), []):
        yield "unit", f"{number.body}{unit}"
    if number.before:
        yield "unit", f"{number.body}\\text{{ cents}}"
        yield "unit", f"\\text{{€}}{number.body}"


def _around_a_number(body: str, value: Fraction) -> Iterator[Answer]:
    """Yield additions to a plain number that turn it into another answer."""
    yield from _equations(body, value)
    if value:
        yield "word that multiplies", f"{body}\\text{{ million}}"
        yield "word that multiplies", f"{body}\\text{{ dozen}}"
        yield "power of ten", f"{body} \\times 10^{{3}}"
        yield "variable", f"{body}x"
        yield "factor", f"{body}\\pi"
        yield "factor", f"{body}i"
    yield "complex", f"{body}+i"
    if value.denominator > 1 or "." in body:
        return
    integer = int(value)
    yield "tiny difference", f"{body}+\\frac{{1}}{{10^{{20}}}}"
    yield "tiny difference", f"{body}-2^{{-70}}"
    if integer > 0:
        yield "second quantity", f"{body}\\text{{ hours }}30\\text{{ minutes}}"
        yield "mixed number", f"{body}\\frac{{1}}{{2}}"
        yield "range", f"{body}-{integer + 3}"
    if integer > 1:
        yield "exponent", f"{body}^2"
        yield "exponent", f"{body}^{{-1}}"
        yield "root", f"\\sqrt{{{body}}}"
    if 2 < integer < 1000:
        yield "factorial", f"{body}!"


def _equations(body: str, value: Fraction) -> Iterator[Answer]:
    """Yield equations with the reference as one side and with another solution, or none."""
    if value:
        yield "side of an equation", f"3x={body}"
        yield "side of an equation", f"-x={body}"
    if value not in (0, 1):
        yield "side of an equation", f"x^2={body}"
    if value != 2:
        yield "side of an equation", f"1+1={body}"
    yield "side of an equation", f"x-2={body}"
    yield "side of an equation", f"x^2+y^2={body}"
    yield "side of an equation", f"{write(value + 1, body)}={body}"
