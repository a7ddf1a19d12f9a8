"""Which option a response chose: as models write it, near misses, retractions, odd options, odd texts."""

import json
import random
import re
import time
from pathlib import Path

import pytest

from chord import cli
from chord.tasks.choice_extraction import LETTERS, extract
from chord.tasks.mmlu_pro import extract_official
from tests.helpers.choice_cases import NONE, RIGHT, SECONDS, lines

CASES = Path(__file__).parents[1] / "data" / "cases" / "choice.jsonl"


def test_every_reported_case(tmp_path):
    out = tmp_path / "verdicts.jsonl"
    assert cli.main(["grade", "--task", "choice", "--input", str(CASES), "--output", str(out)]) == 0
    graded = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["id"] for line in graded if line["correct"] is not line["expected"]] == []
    assert len(graded) == 42


@pytest.mark.parametrize(("texts", "chosen"), [(RIGHT, 3), (NONE, None)])
def test_which_option_is_stated(texts, chosen):
    assert [text for text in lines(texts) if extract(text, SECONDS)[0] != chosen] == []


NUMBERS = ["3", "2", "1", "0"]
FOURTEEN = [f"value {number}" for number in range(14)]
ALPHABET = [f"value {number}" for number in range(26)]
GERMS = ["E. coli", "S. aureus", "B. subtilis", "none", "all"]
ROMAN = ["I only", "II only", "I and II", "neither"]
VITAMINS = ["Vitamin C", "Vitamin B", "Vitamin A", "Vitamin D"]


@pytest.mark.parametrize(
    ("options", "text", "chosen"),
    [
        (NUMBERS, "\\boxed{2}", 1),  # the option's text, not its number
        (NUMBERS, "2", 1),
        (NUMBERS, "\\boxed{0}", 3),
        (NUMBERS, "\\boxed{4}", None),
        (NUMBERS, "\\boxed{C}", 2),
        (NUMBERS, "\\boxed{C. 1}", 2),
        (NUMBERS, "\\boxed{C. 2}", None),
        (NUMBERS, "The answer is \\boxed{1}.", 2),
        (NUMBERS, "The answer is 1 (C).", 2),
        (NUMBERS, "x = \\boxed{2}. The answer is (B).", 1),
        (NUMBERS, "x = \\boxed{2}. The answer is (C).", None),
        (["5.8", "6.5", "4.9", "4.5"], "\\boxed{4.9}", 2),
        (["5.8", "6.5", "4.9", "4.5"], "\\boxed{3}", 3),  # no option's text, so its number
        (["4 m/s", "6 m/s", "1 m/s", "8 m/s", "9 m/s"], "\\boxed{4}", None),  # a value, or the option of that number?
        (["-1", "1"], "\\boxed{-1}", 0),
        (["1,000", "2,000"], "\\boxed{1,000}", 0),
        (["10%", "20%"], "\\boxed{20\\%}", 1),
        (["$10", "$20"], "B. $20", 1),
        (["$10", "$20"], "\\boxed{\\$20}", 1),
        (["$\\frac{1}{2}$", "$\\frac{1}{3}$"], "\\boxed{\\frac{1}{2}}", 0),
        (["$\\frac{1}{2}$", "$\\frac{1}{3}$"], "\\boxed{B. $\\frac{1}{3}$}", 1),
        (["x", "x", "y"], "\\boxed{x}", None),  # two options have this text
        (["MV", "mV", "kV"], "\\boxed{mV}", 1),
        (["yes", "no", "maybe"], "\\boxed{No}", 1),
        (["yes", "no", "maybe"], "The answer is (D).", None),
        (["AB", "A", "B", "O"], "\\boxed{AB}", 0),
        (["AB", "A", "B", "O"], "\\boxed{B}", 1),  # a letter is a letter first
        (["True", "False"], "B. False", 1),
        (["True", "False"], "B. True", None),
        (FOURTEEN, "The answer is (K).", 10),
        (FOURTEEN, "L", 11),
        (FOURTEEN, "Answer: n", 13),
        (FOURTEEN, "Answer: O", None),
        (FOURTEEN, "\\boxed{K. value 10}", 10),
        (FOURTEEN, "\\boxed{K. value 1}", None),
        (FOURTEEN, "\\boxed{value 10}", 10),
        (ALPHABET, "The answer is Z.", 25),
        (ALPHABET, "\\boxed{25}", 25),
        (ALPHABET, "Answer: I", 8),
        (GERMS, "The answer is E. coli.", 0),
        (GERMS, "\\boxed{E. coli}", 0),
        (GERMS, "A. E. coli", 0),
        (GERMS, "Answer: C. B. subtilis", 2),
        (ROMAN, "The answer is C. I and II", 2),
        (ROMAN, "The answer is C, I and II.", 2),
        (ROMAN, "Statement I is correct. The answer is (A).", 0),
        (VITAMINS, "The answer is Vitamin D.", None),
        (VITAMINS, "Answer: A. Vitamin C", 0),
        (VITAMINS, "Answer: C. Vitamin C", None),
    ],
)
def test_options_of_every_kind(options, text, chosen):
    assert extract(text, options)[0] == chosen


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("D" * 100_000, None),
        ("The answer is " * 50_000, None),
        ("\\boxed{" * 100_000, None),
        ("\\boxed{D}" * 50_000, 3),
        ("\\boxed{D} \\boxed{B} " * 30_000, None),
        ("answer " * 100_000 + "The answer is D", 3),
        ("(" * 300_000, None),
        ("*" * 300_000, None),
        (" " * 300_000 + "D", 3),
        ("\n" * 300_000 + "D", 3),
        ("<answer>" * 50_000, None),
        ("A, B, C, " * 50_000, None),
        ("D is correct. B is correct. " * 20_000, None),
    ],
)
def test_long_and_hostile_texts_end_soon(text, chosen):
    start = time.process_time()
    assert extract(text, SECONDS)[0] == chosen
    assert time.process_time() - start < 10


def test_every_real_option_in_twelve_layouts(benchmark_data):
    """The right option of every fourth question by letter, or letter and text; and by a letter that is not its own."""
    layouts = (
        "The answer is ({letter}).",
        "{letter}",
        "({letter})",
        "**{letter}. {text}**",
        "{letter}) {text}",
        "Answer: {letter}. {text}",
        "The correct option is {letter}: {text}",
        "The correct answer is **({letter}) {text}**.",
        "\\boxed{{{letter}}}",
        "\\boxed{{\\text{{{letter}}}}}",
        "Therefore, option {letter} is correct.",
        "<answer>{letter}</answer>",
    )
    draw = random.Random(0)
    asked, right, wrong = 0, 0, 0
    for line in (benchmark_data / "mmlu_pro" / "test.jsonl").read_text(encoding="utf-8").splitlines()[::4]:
        row = json.loads(line)
        options, gold = row["options"], row["answer_index"]
        other = draw.choice([place for place in range(len(options)) if place != gold])
        for layout in layouts:
            asked += 1
            text = layout.format(letter=LETTERS[gold], text=options[gold])
            right += extract(text, options)[0] == gold
            text = layout.format(letter=LETTERS[other], text=options[gold])
            wrong += extract(text, options)[0] == gold
    assert asked == 12 * 700
    assert right / asked > 0.999
    assert wrong == 0


def _source(text: str) -> str | None:
    """The three stages as TIGER-AI-Lab/MMLU-Pro writes them."""
    if found := re.search(r"answer is \(?([A-J])\)?", text):
        return found.group(1)
    if found := re.search(r".*[aA]nswer:\s*([A-J])", text):
        return found.group(1)
    found = re.search(r"\b[A-J]\b(?!.*\b[A-J]\b)", text, re.DOTALL)
    return found.group(0) if found else None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is (B). So the answer is (C).", "B"),  # the first one
        ("the answer is Both", "B"),
        ("Answer: A or answer: C\nAnswer: D", "C"),  # the last one of the first line with any
        ("Answer:\n\nD", "D"),
        ("I do not know.", "I"),
        ("the answer is d", None),
        ("K", None),
        ("", None),
    ],
)
def test_the_official_extraction(text, letter):
    assert extract_official(text) == _source(text) == letter


def test_the_official_extraction_is_that_of_the_source():
    draw = random.Random(0)
    pieces = ["answer is ", "answer is (", "Answer:", "answer: ", "A", "C", "J", "K", "I", ") ", "\n", " ", ".", "xA"]
    for _ in range(20_000):
        text = "".join(draw.choices(pieces, k=draw.randint(0, 12)))
        assert extract_official(text) == _source(text), text


def test_the_official_extraction_takes_linear_time():
    start = time.process_time()
    assert extract_official("A " * 500_000) == "A"
    assert extract_official("x" * 1_000_000) is None
    assert time.process_time() - start < 10
