"""Uniform writing of an answer: one way to write each sign, and nothing around it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord.tasks.answers.extraction import final_box
from chord.tasks.answers.typography import is_balanced, is_too_complex, normalize

MEGABYTE = 10**6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" $5$ ", "5"),
        ("5.", "5"),
        ("5..", "5.."),
        ("52,", "52"),
        ("=52", "52"),
        ("\\approx 52", "52"),
        ("**52**", "52"),
        ("`52`", "52"),
        ("x**3", "x**3"),  # a power, and no Markdown
        ("10{,}000", "10000"),
        ("10\\,000", "10000"),
        ("10,\\!080", "10,080"),
        ("1 234 567", "1234567"),
        ("1 2 3", "1 2 3"),
        ("0{,}45", "0.45"),
        ("7{:}45", "7:45"),
        ("\u0664\u0662", "42"),
        ("\uff14\uff12", "42"),
        ("\u200b42\ufeff", "42"),
        ("\u22125", "-5"),
        ("\u00bd", "\\frac{1}{2}"),
        ("90\u00b0", "90^{\\circ}"),
        ("90\\degree", "90^{\\circ}"),
        ("x\u00b2", "x^{2}"),
        ("\u221a7", "\\sqrt{7}"),
        ("\u221a(x+1)", "\\sqrt{x+1}"),
        ("x \u2264 \u03c0", "x \\le \\pi"),
        ("\\$5", "\\$5"),
        ("{\\bf 52}", "52"),
        ("\\color{red}{52}", "52"),
        ("\\boldsymbol{52}", "52"),
        ("{\\{3,8\\}}", "\\{3,8\\}"),
        ("\\left( 1,~2 \\right)", "( 1, 2 )"),
        ("\\dfrac{1}{2}", "\\frac{1}{2}"),
        ("{3\\over7}", "\\frac{3}{7}"),
        ("{9\\choose4}", "\\binom{9}{4}"),
        ("\\mathrm{e}^5", "e^5"),
        ("\\operatorname{tg} x", "\\tg x"),
        ("12~\\mathrm{km/h}", "12 \\text{km/h}"),
        ("\\text{52 cows}", "52 \\text{cows}"),
        ("\\text{4\\%}", "4\\%"),
        ("f^{\\prime}(x)", "f'(x)"),
        ('["4", "$9$"]', "4, 9"),
        ("['4', '9']", "4, 9"),
        ('["$\\frac{1}{2}$"]', "\\frac{1}{2}"),
        ('["$\\\\frac{1}{2}$"]', "\\frac{1}{2}"),
        ("[4, 9]", "[4, 9]"),  # may be an interval
    ],
)
def test_uniform(text, expected):
    assert normalize(text) == expected


@given(st.text(alphabet="ab1\\{}$,.~^_ xfrctexboldMATH*\u00b2\u221a", max_size=40))
def test_uniform_writing_is_never_an_error(text):
    assert isinstance(normalize(text), str)


def test_texts_of_a_megabyte_take_linear_time():
    began = time.process_time()
    for text in ("\\boxed{" * (MEGABYTE // 7), "{" * MEGABYTE, "\\boxed{5}" + "}" * MEGABYTE, " " * MEGABYTE + "5"):
        final_box(text)
        is_too_complex(normalize(text))
    assert normalize(" " * MEGABYTE + "5") == "5"
    assert time.process_time() - began < 10


@pytest.mark.parametrize("text", ["9^{9^{9^9}}", "9^9^9^9", "9^(9^(9^9))", "9**9**9**9", "x" * 1001, "(" * 13])
def test_towers_long_and_deep_texts_are_not_computed(text):
    assert is_too_complex(text)


@pytest.mark.parametrize(
    "text", ["2^{2^{3}}", "x^2+y^2+z^2", "x^{2}+y^{2}+z^{2}", "e^{x^{2}}", "9^{999}", "\\frac{1}{2}"]
)
def test_ordinary_powers_are_computed(text):
    assert not is_too_complex(text)


def test_balanced():
    assert is_balanced("\\{1\\}{}")
    assert not is_balanced("}{")
    assert not is_balanced("{")
