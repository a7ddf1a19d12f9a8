"""The generators behind the tables of benchmarks/grade.py: wrong answers are wrong, equivalent ones are right."""

import json
import re
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from equivalent_answers import all_equivalent, some_equivalent
from latex_value import equal, split, values
from references import FILES, choose, exact, read, shape
from wrong_answers import all_wrong, some_wrong
from wrong_numbers import digit_changes, digit_swaps, write

CASES = Path(__file__).parents[1] / "data" / "cases" / "math.jsonl"

REFERENCES = [
    "0", "1", "2", "-2", "18", "101", "2,500", "0.15", ".0000672", "4.5e33", "1e-5", "-1./3", "\\frac43",
    "\\frac{14}{3}", "-\\frac{24}{25}", "1\\frac{4}{5}", "137 \\frac{1}{2}", "\\$18.90", "90^\\circ", "62.5%",
    "5.4 \\text{ cents}", "15\\mbox{ cm}^2", "52_8", "4210_{5}", "\\text{(C)}", "\\text{even}", "\\text{Evelyn}",
    "(-2,1)", "(3,4]", "(2,\\infty)", "\\left( 3, \\frac{\\pi}{2} \\right)", "(-\\infty, 2) \\cup (3, \\infty)",
    "x \\in [-2,7]", "1,-2", "-2,-2", "3, 5, 7", "\\{1\\pm\\sqrt{5},-2\\}", "1 \\pm \\sqrt{19}", "x=5", "y = 2x + 3",
    "$f(x)=x,f(x)=-x$", "3\\sqrt{13}", "6 - 5i", "\\pi", "x^5 - x^4 + x^3 - x^2 + x - 1", "(a+5)(b+2)",
    "\\frac{3\\sqrt{3}}{4}", "\\begin{pmatrix} -1/3 \\\\ 2/3 \\\\ 5/3 \\end{pmatrix}", "$\\binom{2n}{n}$",
    "e^{t} / 3", "\\frac{1}{4p^2}",
]  # fmt: skip


def wrong(reference: str) -> set[str]:
    return {text for _, text in all_wrong(reference)}


def ways(reference: str) -> set[str]:
    rules, typesetting = all_equivalent(reference)
    return {text for _, text in [*rules, *typesetting]}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("\\frac43", "\\frac{8}{6}"),
        ("3\\frac{1}{2}", "7/2"),
        ("\\sqrt{12}", "2 \\sqrt3"),
        ("(1+i)^2", "2i"),
        ("2x(x+1)", "2x^2+2x"),
        ("a/bc", "\\frac{a}{b} c"),
        ("\\log_2 8", "3"),
        ("\\sin^2 t+\\cos^2 t", "1"),
        ("-2^2", "-4"),
        ("\\binom{5}{2}", "10"),
        ("\\lfloor 7/2 \\rfloor", "3"),
        ("E_{1}+E_{2}", "E_{2}+E_{1}"),
    ],
)
def test_equal_values(first, second):
    assert equal(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("R^2", "r^2"),
        ("E_1", "E_2"),
        ("2^{-70}", "2^{-71}"),
        ("\\pi+10^{-20}", "\\pi"),
        ("6-5i", "6+5i"),
        ("3 \\cdot \\frac12", "3\\frac12"),
        ("x^{12}", "x^1 2"),
    ],
)
def test_different_values(first, second):
    assert not equal(first, second)


@pytest.mark.parametrize("text", ["", "\\foo", "1+", "(1", "1,2", "\\frac{1}{0}", "x=3", "\\text{even}", "1)"])
def test_what_has_no_value(text):
    with pytest.raises(ValueError, match=r"left over|expected|no value"):
        values(text)


def test_split_minds_brackets():
    assert split("(1,2), [3,4), \\{5,6\\},7") == ["(1,2)", "[3,4)", "\\{5,6\\}", "7"]


@pytest.mark.parametrize(
    ("reference", "kind", "parts"),
    [
        ("18", "number", ()),
        ("\\frac{270}7\\text{ degrees}", "number", ()),
        ("52_8", "base", ("52", "8")),
        ("\\text{(C)}", "option", ("C",)),
        ("\\text{even}", "text", ("even",)),
        ("(3,4]", "interval", ("3", "4")),
        ("(3,4)", "pair", ("3", "4")),
        ("$[\\frac{1}{2}, 8]$", "interval", ("\\frac{1}{2}", "8")),
        ("$69$,$84$", "list", ("69", "84")),
        ("\\{1,2\\}", "set", ("1", "2")),
        ("$f(x)=2 x$", "equation", ("f(x)", "2 x")),
        ("1 \\pm \\sqrt{19}", "pm", ()),
        ("MR=SRMC", "other", ()),
        ("2k+2", "expression", ()),
    ],
)
def test_shapes(reference, kind, parts):
    found = shape(reference)
    assert (found.kind, found.parts) == (kind, parts)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("2,500", 2500),
        ("11,\\! 111,\\! 111,\\! 100", 11111111100),
        (".35625", Fraction(35625, 10**5)),
        ("4.5e33", Fraction(45 * 10**32)),
        ("1e-5", Fraction(1, 10**5)),
        ("-1./3", Fraction(-1, 3)),
        ("\\frac 59", Fraction(5, 9)),
        ("137 \\frac{1}{2}", Fraction(275, 2)),
        ("1,2", None),
        ("x", None),
        ("", None),
        (".", None),
    ],
)
def test_exact_values(body, value):
    assert exact(body) == value


def test_numbers_are_written_as_the_reference_is():
    assert write(Fraction(3, 2), "18") == "1.5"
    assert write(Fraction(1, 3), "18") == "\\frac{1}{3}"
    assert write(Fraction(-3, 2), "\\frac{1}{2}") == "-\\frac{3}{2}"
    assert write(Fraction(1, 4), "1/3") == "1/4"
    assert write(Fraction(36), "1.5") == "36"
    assert list(digit_changes("52_8")) == ["62_8", "53_8"]
    assert list(digit_changes("9")) == ["8"]
    assert list(digit_swaps("1123")) == ["1213", "1132"]


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("4", {"-4", "3x=4", "1+1=4", "5=4", "2", "8", "4\\text{ million}", "4\\frac{1}{2}", "4^2", "x \\geq 4"}),
        ("\\frac{14}{3}", {"\\frac{3}{14}", "-\\frac{14}{3}", "\\frac{7}{3}", "\\frac{41}{3}", "\\frac{24}{3}"}),
        ("52_8", {"52_{9}", "25_{8}", "53_{8}", "5_{8}"}),
        ("(-2,1)", {"(1,-2)", "(2,1)", "(-2,1]", "(-2,1,1)", "-2"}),
        ("(3,4]", {"[3,4]", "(3,4)", "3 \\leq x < 4", "(-3,4]"}),
        ("(2,\\infty)", {"[2,\\infty)", "2 \\leq x", "(-\\infty,2)", "x = 2"}),
        ("1,-2", {"1", "-2", "1,-2,1", "-1,-2"}),
        ("2k+2", {"2K+2", "2k-2", "2m+2", "\\frac{2k+2}{2}"}),
        ("6 - 5i", {"6 + 5i", "6 - 5"}),
        ("\\text{even}", {"\\text{neve}", "\\text{odd}", "\\text{not even}"}),
        ("\\text{(C)}", {"B", "\\text{(D)}"}),
        ("x=5", {"x = -5", "2x = 5", "x = 6"}),
        ("90^\\circ", {"90\\text{ radians}", "91^\\circ"}),
        ("\\$36", {"36\\text{ cents}", "\\$63"}),
        ("(-\\infty, 2) \\cup (3, \\infty)", {"(-\\infty, 2) \\cap (3, \\infty)", "(-\\infty,2] \\cup (3, \\infty)"}),
    ],
)
def test_wrong_answers_by_hand(reference, expected):
    assert expected <= wrong(reference)


@pytest.mark.parametrize(
    ("reference", "equal_after_all"),
    [
        ("0", {"-0", "0\\text{ million}", "0\\pi", "3x=0", "-x=0", "x^2=0", "0.0", "0^2"}),
        ("1", {"1^2", "x^2=1", "1!", "\\sqrt{1}", "1^{-1}"}),
        ("2", {"1+1=2", "2!"}),
        ("22", {"22"}),
        ("(1,1)", {"(1,1)"}),
        ("(0,3)", {"(-0,3)", "(\\frac{0}{2},3)"}),
        ("1,-1", {"-1,1", "-1,-1,1"}),
        ("\\{1,2\\}", {"\\{1,2,1\\}", "\\{1,2,2\\}"}),
        ("11_2", {"11_{2}", "11"}),
        ("\\text{level}", {"\\text{level}", "\\text{LEVEL}"}),
        ("x^2", {"(-x)^2"}),
        ("\\frac{1}{1}", {"\\frac{1}{1}", "1"}),
        ("15\\mbox{ cm}^2", {"15", "15\\text{ cm}^2"}),
    ],
)
def test_no_right_answer_is_among_the_wrong_ones(reference, equal_after_all):
    assert not equal_after_all & wrong(reference)


def plain(text: str) -> Fraction | None:
    """Of integers, decimals, a/b and \\frac{a}{b}: another reading than that of the generators."""
    text = re.sub(r"^(-?)\\[dt]?frac\{(-?\d+)\}\{(-?\d+)\}$", r"\1\2/\3", text.replace(",", ""))
    return Fraction(text) if re.fullmatch(r"-?(?:\d+/\d+|\d*\.?\d+)", text) else None


@pytest.mark.parametrize(
    "reference", ["18", "-7", "0", "2,500", "0.15", "\\frac{14}{3}", "-\\frac{24}{25}", "100", "11"]
)
def test_wrong_numbers_have_other_values_and_equivalent_ones_the_same(reference):
    other = [value for text in wrong(reference) if (value := plain(text)) is not None]
    same = [value for text in ways(reference) if (value := plain(text)) is not None]
    assert len(other) >= 2
    assert plain(reference) not in other
    assert same
    assert set(same) == {plain(reference)}


@pytest.mark.parametrize("reference", REFERENCES)
def test_nothing_is_both_wrong_and_right(reference):
    def signs(texts: set[str]) -> set[str]:
        return {re.sub(r"\\left|\\right|[\s~{}]", "", text) for text in texts}

    assert not signs(wrong(reference)) & signs(ways(reference) | {reference})


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("4.5e33", {"4.5\\times 10^{33}", "4.5E33", "45\\times10^{32}", "4.5 x 10^33", "45" + "0" * 32}),
        ("1e-5", {"10^{-5}", "0.00001", "1*10^-5"}),
        ("2,500", {"2{,}500", "2\\,500", "2500.0", "\\mathbf{2,500}", "= 2,500", "x = 2,500", "2,500,"}),
        ("16800000", {"1.68\\times 10^{7}", "16,800,000"}),
        ("0.15", {"0{,}15", "\\text{0.15}", "\\approx 0.15", ".15", "\\frac{3}{20}", "0.150"}),
        ("\\frac{14}{3}", {"14/3", "\\dfrac{14}{3}", "4 2/3", "4\\frac{2}{3}", "{14 \\over 3}"}),
        ("\\$36", {"36", "36\\text{ dollars}", "\\text{USD }36", "\\$36.00"}),
        ("90^\\circ", {"90^{\\circ}", "90\u00b0", "90\\degree", "90\\text{ degrees}", "90"}),
        ("52_8", {"52_{8}", "(52)_8", "52"}),
        ("\\text{even}", {"EVEN", "Even", "\\textbf{even}", "\\text{even.}"}),
        ("\\text{(C)}", {"C", "(C)", "\\textbf{(C)}"}),
        ("(3,4]", {"3 < x \\leq 4", "\\{x \\mid 3 < x \\leq 4\\}", "x \\in (3,4]", "\\left(3,4\\right]"}),
        ("(-\\infty, 0]", {"x \\leq 0", "x ≤ 0"}),
        ("(-\\infty, 2) \\cup (3, \\infty)", {"x < 2 \\text{ or } x > 3", "(3, \\infty) \\cup (-\\infty, 2)"}),
        ("1,-2", {"-2, 1", "1 \\text{ and } -2", "\\{1, -2\\}"}),
        ("1 \\pm \\sqrt{19}", {"1 - \\sqrt{19}, 1 + \\sqrt{19}", "\\pm \\sqrt{19} + 1"}),
        ("6 - 5i", {"-5i+6", "6 - 5\\mathrm{i}", "6 - 5 \\cdot i"}),
        ("y = 2x + 3", {"2x + 3", "y=2x + 3", "y = 3+2x"}),
        ("\\sqrt{51}", {"√51", "{51}^{1/2}", "{{\\sqrt{51}}}"}),
        ("e^{t} / 3", {"\\mathrm{e}^{t} / 3", "\\exp(t) / 3", "\\frac{e^{t}}{3}"}),
        ("\\frac{e^{-1} e^{-s}}{s}", {"\\frac{\\mathrm{e}^{-1} \\mathrm{e}^{-s}}{s}"}),
        ("(-2,1)", {"(-2,~1)", "\\mathbf{(-2,1)}", "\\bigl(-2,1\\bigr)"}),
    ],
)
def test_equivalent_answers_by_hand(reference, expected):
    assert expected <= ways(reference)


@pytest.mark.parametrize(
    ("reference", "disputable"),
    [
        ("-2,-2", {"-2", "\\{-2, -2\\}"}),
        ("24.310", {"24{,}310"}),
        ("1e-5", {"1e - 5", "e^{-5}", "1e\u22125"}),
        ("(-2,1)", {"(1,-2)", "-2 < x < 1", "-2,1"}),
        ("(3,4]", {"3 < x < 4", "[3,4]"}),
        ("52_8", {"42"}),
        ("\\text{even}", {"neve"}),
        ("2k+2", {"2K+2"}),
    ],
)
def test_equivalents_leave_out_what_one_may_dispute(reference, disputable):
    assert not disputable & ways(reference)


def test_choice_prefers_different_rules_and_keeps_its_seed():
    answers = [("a", "1"), ("a", "2"), ("a", "3"), ("b", "4"), ("c", "5")]
    chosen = choose(answers, 4, "0")
    assert Counter(rule for rule, _ in chosen) == {"a": 2, "b": 1, "c": 1}
    assert chosen == choose(answers, 4, "0")
    assert len(choose(answers, 9, "0")) == 5


def test_every_real_reference_has_enough_of_both(benchmark_data):
    for dataset in FILES:
        for reference in read(benchmark_data, dataset):
            assert len(some_equivalent(reference, 8, 0)) == 8, reference
            if dataset in ("math_500", "gsm8k"):
                assert len(some_wrong(reference, 10, 0)) == 10, reference


def test_cases_have_one_verdict_each():
    rows = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    assert all(set(row) == {"id", "kind", "gold", "prediction", "expected"} for row in rows)
    assert len({row["id"] for row in rows}) == len(rows)
    assert len({(str(row["gold"]), row["prediction"]) for row in rows}) == len(rows)
    assert all(isinstance(row["expected"], bool) for row in rows)
