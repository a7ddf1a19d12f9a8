"""MMLU-Pro in both forms: the prompt as it is shown, and which option a response chose, or none."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord.errors import UserError
from chord.tasks import verdict
from chord.tasks.choice_extraction import LETTERS, extract
from chord.tasks.mmlu_pro import MMLU_PRO, MMLU_PRO_LETTER, extract_letter, extract_number
from chord.tasks.task import CORRECT, TRUNCATED, UNPARSED, WRONG, Verdict

QUESTION = "Which gas do plants take in?"
OPTIONS = ["Oxygen", "Carbon dioxide", "Helium", "Neon"]
ROW = {"id": "q", "gold": "1", "meta": {"options": OPTIONS}}


def test_integer_prompt():
    assert MMLU_PRO.render(QUESTION, OPTIONS) == [
        {
            "role": "system",
            "content": "You are a helpful assistant that solves MATH problems. You should first thinks about the "
            "reasoning process in mind and then provides the user with the answer. You should present your reasoning "
            "process using the format: <think>\n ...your reasoning process here... </think>\n first. You should "
            "always include your final answer in \\boxed{} as the integer of the right option.",
        },
        {
            "role": "user",
            "content": "Which gas do plants take in?\n\nOptions:\n0. Oxygen\n1. Carbon dioxide\n2. Helium\n3. Neon",
        },
    ]


def test_letter_prompt():
    assert MMLU_PRO_LETTER.render(QUESTION, OPTIONS) == [
        {
            "role": "user",
            "content": "The following is a multiple choice question (with answer). Think step by step and then "
            'output the answer in the format of "The answer is (X)" at the end.\n\nQuestion: Which gas do plants take '
            "in?\nOptions: A. Oxygen\nB. Carbon dioxide\nC. Helium\nD. Neon\nAnswer: ",
        }
    ]


def test_prompts_of_ten_options_and_no_more():
    ten = list(string.ascii_lowercase[:10])
    assert "9. j" in MMLU_PRO.render("?", ten)[1]["content"]
    assert "J. j" in MMLU_PRO_LETTER.render("?", ten)[0]["content"]
    with pytest.raises(UserError, match=r"at most 10 options.*got 11"):
        MMLU_PRO_LETTER.render("?", [*ten, "k"])


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("<think>\n plants </think>\n \\boxed{1}", 1),
        ("\\boxed{ 3 }", 3),
        ("\\boxed{$2$} and \\boxed{\\text{1}}", 1),  # the last one
        ("\\boxed{(1)}", 1),
        ("<think> \\boxed{1} </think> so it is 1", None),  # boxed while thinking only
        ("<think> so \\boxed{1}", None),  # the thinking never ends
        ("\\boxed{4}", None),  # no such option
        ("\\boxed{B}", None),  # the form asks for an integer
        ("\\boxed{1} \\boxed{CO_2}", None),
        ("\\boxed{1 or 2}", None),
        ("\\boxed{-1}", None),
        ("\\boxed{1.5}", None),
        ("the answer is 1", None),
        ("1", None),
        ("", None),
    ],
)
def test_integer_form(text, chosen):
    assert extract_number(text, OPTIONS) == chosen


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("Plants need it. The answer is (B).", 1),
        ("The answer is B", 1),
        ("The answer is **(B)**", 1),
        ("The answer is $\\boxed{B}$.", 1),
        ("**Answer:** B", 1),
        ("Answer: (D) Neon", 3),
        ("At first the answer is (A), but the answer is (C).", 2),  # the last statement
        ("So\n\n(B)", 1),
        ("So\n\n**B.**", 1),
        ("<think> the answer is (A) </think> The answer is (B)", 1),
        ("<think> the answer is (A)", None),
        ("The answer is (F)", None),  # no such option
        ("I do not know.", None),  # the source's last resort would read the pronoun as option I
        ("A gas called carbon dioxide.", None),
        ("The answer is Both", None),
        ("The answer is (X)", None),
        ("The answer is 1", None),
        ("1", None),
        ("", None),
    ],
)
def test_letter_form(text, chosen):
    assert extract_letter(text, OPTIONS) == chosen


@pytest.mark.parametrize(
    ("text", "chosen", "how"),
    [
        ("\\boxed{B}", 1, "boxed"),
        ("\\boxed{1}", 1, "boxed"),
        ("<think> \\boxed{0} </think> \\boxed{\\text{(b)}}", 1, "boxed"),
        ("The answer is (B)", 1, "stated"),
        ("The answer is (B): \\boxed{1}", 1, "boxed"),
        ("B", 1, "alone"),
        ("b", 1, "alone"),
        (" (3). ", 3, "alone"),
        ("**0**", 0, "alone"),
        ("The answer is (B) or the answer is (C)", None, "ambiguous"),
        ("The answer is (B): \\boxed{2}", None, "ambiguous"),
        ("\\boxed{1} \\boxed{2}", None, "ambiguous"),
        ("\\boxed{CO_2}", None, "unreadable"),
        ("\\boxed{}", None, "unreadable"),
        ("E", None, "no such option"),
        ("\\boxed{4}", None, "no such option"),
        ("I think so", None, "nothing"),
        ("Carbon dioxide", None, "nothing"),
        ("B C", None, "nothing"),
        ("1" * 5000, None, "nothing"),
        ("", None, "nothing"),
    ],
)
def test_any_form(text, chosen, how):
    assert extract(text, OPTIONS) == (chosen, how)


@given(st.integers(0, 9), st.integers(3, 10), st.text(alphabet=string.ascii_lowercase + " .\n", max_size=80))
def test_a_clear_answer_is_read_and_none_is_made_up(position, count, prose):
    options = list(LETTERS[:count])
    chosen = position if position < count else None
    assert extract_number(f"{prose}\\boxed{{{position}}}", options) == chosen
    assert extract_letter(f"{prose} The answer is ({LETTERS[position]}).", options) == chosen
    assert extract(f"{prose}\\boxed{{{LETTERS[position]}}}", options)[0] == chosen
    assert extract_number(prose, options) is None
    assert extract(f"{prose} it is", options)[0] is None


@given(st.text(max_size=60))
def test_no_text_breaks_the_readers(text):
    for read in (extract_number, extract_letter, lambda text, options: extract(text, options)[0]):
        assert read(text, OPTIONS) in (None, 0, 1, 2, 3)


@pytest.mark.parametrize(
    ("task", "right", "wrong"), [("mmlu_pro", "\\boxed{1}", "\\boxed{0}"), ("mmlu_pro_letter", "B", "C")]
)
def test_verdicts(task, right, wrong):
    row = ROW | {"task": task}
    assert verdict(row, right, False) == Verdict(CORRECT, True, True, "correct")
    assert verdict(row, wrong, False) == Verdict(WRONG, False, True, "wrong")
    assert verdict(row, "no idea", False) == Verdict(UNPARSED, False, False, "unparsed")
    assert verdict(row, "no idea", True) == Verdict(TRUNCATED, False, False, "truncated")


def test_every_real_question_can_be_asked_and_answered(benchmark_data):
    counts = set()
    for line in (benchmark_data / "mmlu_pro" / "test.jsonl").read_text(encoding="utf-8").splitlines():
        source = json.loads(line)
        options, gold = source["options"], source["answer_index"]
        counts.add(len(options))
        assert MMLU_PRO.render(source["question"], options)[1]["content"].endswith(f"{len(options) - 1}. {options[-1]}")
        assert extract_number(f"<think>{options[0]}</think>\\boxed{{{gold}}}", options) == gold
        assert extract_letter(f"{options[0]}\nThe answer is ({source['answer']}).", options) == gold
    assert counts == set(range(3, 11))
