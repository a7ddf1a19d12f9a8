"""Formulas: what is read, what is refused, what is equal; sympy as the independent implementation."""

import re
from fractions import Fraction

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from chord.tasks.answers import numerals
from chord.tasks.answers.evaluation import proportional, real, same
from chord.tasks.answers.expression import Unreadable, read
from chord.tasks.answers.rational import exact


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("\\sqrt{8}", "2\\sqrt2"),
        ("2i", "(1+i)^2"),
        ("1-i", "\\frac{2}{1+i}"),
        ("\\sin 30^\\circ", "\\frac12"),
        ("\\sin(\\pi)", "0"),
        ("\\lg 100", "2"),
        ("\\log_e 6", "\\ln 6"),
        ("\\log 2", "\\ln 2"),
        ("\\log 100", "2"),
        ("\\binom{9}{4}", "C(9,4)"),
        ("C_9^4", "126"),
        ("x**3", "x^3"),
        ("\\ln(ab)", "\\ln a+\\ln b"),
        ("\\sum_{i=1}^n i", "\\frac{n(n+1)}{2}"),
        ("n!", "n(n-1)!"),
        ("2(3)", "6"),
        ("\\tan x\\cdot 2", "2\\tan x"),
        ("2\\frac12", "2.5"),
        ("0.\\overline{3}", "\\frac13"),
        ("\\sqrt[3]{-8}", "-2"),
        ("e^{i\\pi}", "-1"),
        ("\\tan^{-1} 1", "\\frac{\\pi}{4}"),
        ("3\\sqrt{2}+1.5", "5.742641"),
        ("10**-3", ".001"),
        ("\\frac{30!30!}{60!}", "\\frac{1}{\\binom{60}{30}}"),
        ("AB+BC", "BC+AB"),
    ],
)
def test_equal_formulas(first, second):
    assert same(read(first), read(second)) is True


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("\\frac{1}{40!}", "\\frac{1}{41!}"),
        ("\\frac{1}{1200!}", "\\frac{1}{1201!}"),
        ("2^{-90}", "2^{-91}"),
        ("e^{-200}", "e^{-201}"),
        ("e^{1000}", "e^{1000}+1"),
        ("\\frac{3^{40}-1}{3^{39}}", "\\frac{3^{41}-1}{3^{40}}"),
        ("\\pi(R^2-r^2)", "0"),
        ("\\frac{n}{N}", "1"),
        ("k", "K"),
        ("|x|", "x"),
        ("\\sqrt{x^2}", "x"),
        ("f(2x)", "2f(x)"),
        ("9^{9^9}", "5"),
        ("\\binom{10^9}{10^8}", "5"),
        ("0.3333\\pi", "1.0471"),
        ("(-1)^n", "1"),
        ("AB\\cdot CD", "AC\\cdot BD"),
        ("x'+1", "x+1"),
    ],
)
def test_different_formulas(first, second):
    assert same(read(first), read(second)) is False


@pytest.mark.parametrize(
    "text",
    ["1 2", "{1}{2}", "5 7/2", "x 2", "2\\sqrt", "12_3", "\\text{abc}", "a,b", "\\frac{1}", "\\int x", "2!!",
    "(1", "", "a=b", "5 \\square", "1+"],
)  # fmt: skip
def test_what_is_not_understood_whole_is_refused(text):
    with pytest.raises(Unreadable):
        read(text)


LEAVES = st.integers(1, 30).map(sympy.Integer) | st.sampled_from(sympy.symbols("x y a b"))


def _grown(children):
    pairs = st.tuples(children, children)
    return (
        pairs.map(lambda pair: pair[0] + pair[1])
        | pairs.map(lambda pair: pair[0] * pair[1])
        | pairs.map(lambda pair: pair[0] - pair[1])
        | st.tuples(children, st.integers(1, 4)).map(lambda pair: pair[0] ** pair[1])
        | pairs.map(lambda pair: pair[0] / (pair[1] ** 2 + 1))
        | children.map(lambda one: sympy.sqrt(one**2 + 2))
        | children.map(sympy.sin)
    )


@given(st.recursive(LEAVES, _grown, max_leaves=8))
def test_what_sympy_writes_is_read_as_sympy_means_it(formula):
    values = {"x": Fraction(7, 5), "y": Fraction(-3, 4), "a": Fraction(2), "b": Fraction(9, 7)}
    expected = sympy.N(formula.subs({name: sympy.Rational(value) for name, value in values.items()}), 60)
    # values in place of the letters: the reader is under test, not its points
    text = re.sub(
        r"\\[a-z]+|[xyab]",
        lambda found: _written(values[found[0]]) if found[0] in values else found[0],
        sympy.latex(formula).replace("\\left", "").replace("\\right", ""),
    )
    assert abs(real(read(text)) - expected) <= (abs(expected) + 1) * sympy.Float("1e-45", 50)


def _written(value: Fraction) -> str:
    return f"(\\frac{{{value.numerator}}}{{{value.denominator}}})"


@given(st.fractions(max_denominator=500), st.fractions(max_denominator=500))
def test_fractions_compare_as_numbers(first, second):
    def text(value: Fraction) -> str:
        return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"

    assert exact(read(text(first))) == first
    assert numerals.same(numerals.read(text(first)), numerals.read(text(second))) is (first == second)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("025", 25), ("27.0", 27), ("1,000", 1000), (".5", Fraction(1, 2)), ("2/4", Fraction(1, 2)),
        ("-\\frac{1}{2}", Fraction(-1, 2)), ("(5)", 5), ("3 1/2", Fraction(7, 2)),
        ("3\\frac12", Fraction(7, 2)), ("6.02e23", 602 * 10**21), ("4e8", 4 * 10**8),
        ("2.5\\cdot10^{-6}", Fraction(25, 10**7)),
        ("3.2 x 10^6", 3200000), ("10^{3}", 1000), ("2.345.678", 2345678), ("23,45,678", 2345678),
        ("1.234,5", Fraction(12345, 10)),
        ("0.1\\overline{6}", Fraction(1, 6)), (".\\overline{36}", Fraction(4, 11)), ("9" * 900, int("9" * 900)),
    ],
)  # fmt: skip
def test_numerals(text, value):
    assert numerals.read(text).value == value


@pytest.mark.parametrize(
    "text", ["5 7/2", "(2,600)", "1/0", "32e", "7e - 2", "(5", "", "1 2", "5%", "1,23", "x", "3-1/2"]
)
def test_what_is_no_numeral(text):
    assert numerals.read(text) is None


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ("0.333333", "1/3", True),
        ("0.333", "1/3", False),  # too coarse for a rounding
        ("12345.678", "12345.679", False),
        ("66.6667", "200/3", True),
        ("10995574.3", "10995574", False),
        ("0.00000021", "0.00000035", False),
        ("8.1e-31", "2.2e-31", False),
        ("0.50", ".5", True),
    ],
)
def test_decimals_may_be_roundings_to_six_digits(first, second, equal):
    assert numerals.same(numerals.read(first), numerals.read(second)) is equal


def test_equations_differ_by_a_factor():
    assert proportional(read("3x-4y+1"), read("8y-6x-2"), positive=False) is True
    assert proportional(read("3x-4y+1"), read("8y-6x-2"), positive=True) is False
    assert proportional(read("3x-4y+1"), read("3x-4y+2"), positive=False) is False
