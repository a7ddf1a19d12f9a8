"""The text side of grading mathematics: boxes, tidy text, and exact comparison where it cannot be disputed."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord.tasks.math_text import is_balanced, is_too_complex, is_well_formed, last_box, same_exactly, tidy

MEGABYTE = 10**6


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("so \\boxed{5}", "5"),
        ("\\boxed{1} and \\boxed{2}", "2"),
        ("\\boxed{\\frac{1}{2}} done", "\\frac{1}{2}"),
        ("\\boxed{\\boxed{5}}", "5"),
        ("\\fbox{3}", "3"),
        ("\\boxed {7}", "7"),
        ("\\boxed{1} then \\boxed{2", "1"),  # the last with balanced braces
        ("} {{ \\boxed{4}}}", "4"),
        ("\\boxed{\\{1,2\\}}", "\\{1,2\\}"),
        ("\\boxed{}", ""),
        ("\\boxed", None),
        ("\\boxed 5", None),
        ("\\boxed{5", None),
        ("a sandbox {5}", None),
        ("", None),
    ],
)
def test_the_last_balanced_box_counts(text, content):
    assert last_box(text) == content


@given(st.text(alphabet="ab1\\{}", max_size=30), st.text(alphabet="xyz ", max_size=10))
def test_a_box_at_the_end_is_found_whatever_stands_before(before, inside):
    assert last_box(f"{before} \\boxed{{{inside}}}") == inside


def test_texts_of_a_megabyte_take_linear_time():
    began = time.process_time()
    for text in ("\\boxed{" * (MEGABYTE // 7), "{" * MEGABYTE, "\\boxed{5}" + "}" * MEGABYTE, " " * MEGABYTE + "5"):
        last_box(text)
        is_too_complex(tidy(text))
    assert tidy(" " * MEGABYTE + "5") == "5"
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("text", "well"),
    [
        ("<think>a</think> b", True),
        ("b", False),
        ("<think>a", False),
        ("</think><think>", False),
        ("<think><think>a</think>", False),
        ("<think>a</think></think>", False),
    ],
)
def test_well_formed_is_one_pair_of_think_tags(text, well):
    assert is_well_formed(text) is well


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" $5$ ", "5"),
        ("5.", "5"),
        ("5..", "5.."),
        ("10{,}000", "10000"),
        ("10\\,000", "10000"),
        ("1 234 567", "1234567"),
        ("1 2 3", "1 2 3"),
        ("1{,}23", "1{,}23"),
        ("٤٢", "42"),
        ("４２", "42"),
        ("\u200b42\ufeff", "42"),
        ("−5", "-5"),
        ("½", "\\frac{1}{2}"),
        ("90°", "90^{\\circ}"),
        ("x²", "x²"),  # a superscript is no digit
        ("\\$5", "\\$5"),
    ],
)
def test_tidy(text, expected):
    assert tidy(text) == expected


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("025", "25", True),
        ("27.0", "27", True),
        ("1,000", "1000", True),
        (".5", "0.50", True),
        ("\\frac{1}{2}", "2/4", True),
        ("-\\dfrac{1}{2}", "\\frac{-1}{2}", True),
        ("\\frac{1}{2}", "0.5", True),
        ("5", "((5))", True),
        ("5", "{5}", True),
        ("\\text{east}", "\\text{east}", True),
        ("5", "6", False),
        ("5", "-5", False),
        ("1/3", "0.333", False),
        ("1/3", "0.333333", None),  # math-verify rounds
        ("5", "(5", None),
        ("2,600", "(2,600)", None),  # a pair
        ("1/0", "1/1", None),
        ("5", "5\\%", None),
        ("5", "x", None),
        ("", "()", None),
        ("12345678901234567890.0", "12345678901234567891.0", None),  # beyond its floats
        ("9" * 900, "9" * 899 + "8", False),
    ],
)
def test_exact_comparison(gold, answer, same):
    assert same_exactly(gold, answer) is same


@given(st.fractions(max_denominator=500), st.fractions(max_denominator=500))
def test_fractions_compare_as_numbers(first, second):
    def text(value: Fraction) -> str:
        return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"

    assert same_exactly(text(first), text(second)) is (first == second)


@pytest.mark.parametrize(
    "text", ["9^{9^{9^9}}", "9^9^9^9", "9^(9^(9^9))", "9**9**9", "700^{700^{700}}", "x" * 1001, "(" * 13]
)
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
