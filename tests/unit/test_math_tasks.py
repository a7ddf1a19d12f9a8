"""The tasks `math` and `math_trinity`: rewards by hand, equal answers in many forms, real reference answers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chord import tasks
from chord.errors import GraderError
from chord.tasks import math_grader, verdict, verdicts
from chord.tasks.answers import typography
from chord.tasks.math import MATH, MATH_TRINITY
from chord.tasks.task import Verdict

WELL = "<think>\nhm</think>\n"


def row(gold: str, task: str = "math") -> dict:
    return {"id": "m-1", "task": task, "gold": gold}


@pytest.mark.parametrize(
    ("text", "truncated", "paper", "trinity", "reason"),
    [
        (WELL + "\\boxed{5}", False, 1.0, 1.0, "correct"),
        ("\\boxed{5}", False, 1.0, 0.9, "correct"),
        (WELL + "\\boxed{5}", True, 1.0, 1.0, "correct"),
        (WELL + "\\boxed{6}", False, 0.0, 0.0, "wrong"),
        ("\\boxed{6}", False, -0.1, -0.1, "wrong"),
        ("\\boxed{5} no, <think></think> \\boxed{6}", False, 0.0, 0.0, "wrong"),
        (WELL + "It is 5.", False, -0.1, 0.0, "unparsed"),
        ("It is 5.", False, -0.1, -0.1, "unparsed"),
        (WELL + "It is", True, -1.0, 0.0, "truncated"),
        ("<think>\nIt is", True, -1.0, -0.1, "truncated"),
    ],
)
def test_rewards(text, truncated, paper, trinity, reason):
    correct, parsed = reason == "correct", reason in ("correct", "wrong")
    assert verdict(row("5"), text, truncated) == Verdict(paper, correct, parsed, reason)
    assert verdict(row("5", "math_trinity"), text, truncated) == Verdict(
        pytest.approx(trinity), correct, parsed, reason
    )


def test_prompts_differ_in_the_problem_only():
    system, user = MATH.render("1+1?")
    assert "<think>\n" in system["content"]
    assert "\\boxed{}" in system["content"]
    assert user == {"role": "user", "content": "1+1?"}
    assert MATH_TRINITY.render("1+1?") == MATH.render("1+1?")


RIGHT = [
    ("\\frac12", "50\\%"),
    ("0.5", "50\\%"),
    ("90", "90°"),
    ("90^\\circ", "90"),
    ("10{,}000", "10000"),
    ("10000", "10\\,000"),
    ("5", "5\\text{ cm}"),
    ("5\\ \\mathrm{cm}", "5"),
    ("12", "12 apples"),
    ("\\{1,2\\}", "2, 1"),
    ("(1,2)", "\\left( 1, 2 \\right)"),
    ("[1,2)", "[1, 2)"),
    ("\\text{(A)}", "A"),
    ("\\text{east}", "east"),
    ("2\\frac12", "2.5"),
    ("2.5", "2½"),
    ("\\sqrt{8}", "2\\sqrt2"),
    ("1/3", "0.333333"),
    ("x=5", "5"),
    ("5", "x = 5"),
    ("1024", "2^{10}"),
    ("\\pm 2", "2, -2"),
    ("\\frac{\\pi}{4}", "\\pi/4"),
    ("x<2", "(-\\infty,2)"),
    ("\\int_0^1 x dx", "\\frac{1}{2}"),  # by math-verify
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{bmatrix}1\\\\2\\end{bmatrix}"),
]
WRONG = [
    ("[1,2)", "[1,2]", "wrong"),
    ("(1,2)", "(2,1)", "wrong"),
    ("1,2", "1,2,3", "wrong"),
    ("5", "\\infty", "wrong"),
    ("5", "nan", "wrong"),
    ("5", "9^{9^{9^9}}", "too_complex"),
    ("5", "\\sqrt{", "unparsed"),
    ("5", "\x00", "unreadable"),
    ("4:40 a.m.", "5", "wrong"),
    ("5", "\\binom{10^9}{10^8}", "wrong"),
    ("5", "\\square", "unreadable"),
    ("\\forall x: x > 0", "5", "undecided"),
    ("\\int_0^1 x dx", "\\frac{1}{3}", "wrong"),
]


def test_equal_answers_in_other_forms_are_right_and_others_are_not():
    items = [(row(gold), f"{WELL}\\boxed{{{answer}}}", False) for gold, answer in RIGHT]
    items += [(row(gold), f"{WELL}\\boxed{{{answer}}}", False) for gold, answer, _ in WRONG]
    reasons = [found.reason for found in verdicts(items)]
    assert dict(zip(RIGHT, reasons, strict=False)) == dict.fromkeys(RIGHT, "correct")
    assert reasons[len(RIGHT) :] == [reason for *_, reason in WRONG]


@pytest.mark.parametrize("gold", ["", " $ $ ", "\\frac{1}{2", "9^{9^{9^9}}", "x" * 2000])
def test_a_gold_that_cannot_be_used_is_an_error_that_names_its_row(gold):
    with pytest.raises(GraderError, match="row 'm-1': the reference answer"):
        verdict(row(gold), "\\boxed{5}", False)


def test_a_gold_that_cannot_be_computed_is_an_error_too():
    with pytest.raises(GraderError, match=r"row 'm-1': .* cannot be computed in time"):
        verdict(row("\\int_0^1 \\binom{10^9}{10^8} dx"), "\\boxed{5}", False)


def test_verdicts_come_in_order_over_tasks_and_blocks(monkeypatch):
    monkeypatch.setattr(tasks, "BLOCK_ITEMS", 3)
    world = {"id": "w", "task": "world", "gold": "4 1"}
    items = [(row("5"), f"\\boxed{{{n}}}", False) if n % 2 else (world, f"answer 4 {n % 3}", False) for n in range(9)]
    assert [found.correct for found in verdicts(iter(items))] == [n in (4, 5) for n in range(9)]
    assert list(verdicts([])) == []


def test_responses_and_bare_answers():
    pairs = [
        ("7", "The answer is 7."),
        ("\\frac12", "0.5"),
        ("\\sqrt{8}", "2\\sqrt{2}"),
        ("\\frac{1}{2}", "Thus the result is $\\frac{2}{4}$."),
        ("7", "7 \\boxed{8}"),
        ("7", "I cannot say"),
    ]
    found = math_grader.judge_responses(pairs)
    assert [judgement.reason for judgement in found] == ["correct"] * 4 + ["wrong", "wrong"]
    assert [judgement.extracted for judgement in found][4:] == ["8", "I cannot say"]


CASES = Path(__file__).parents[1] / "data" / "cases" / "math.jsonl"


def test_cases_from_reports_and_their_neighbours():
    """Each kind of mistake that was found once, further members of it, and near misses."""
    cases = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    found = math_grader.judge_responses((str(case["gold"]), str(case["prediction"])) for case in cases)
    wrong = [case["id"] for case, judgement in zip(cases, found, strict=True) if judgement.correct != case["expected"]]
    assert wrong == []


def real_answers(folder) -> list[str]:
    """Reference answers of every mathematics set, each once."""
    answers = {}
    for path, key in [
        ("aime_2024/train.jsonl", "answer"),
        ("aime25/test.jsonl", "answer"),
        ("amc23/test.jsonl", "answer"),
        ("aimo_validation_amc/train.jsonl", "answer"),
        ("math_500/test.jsonl", "answer"),
        ("minerva_math/test.jsonl", "answer"),
        ("deepscaler_subset/train.jsonl", "answer"),
        ("olympiadbench/test.jsonl", "final_answer"),
        ("gsm8k/main/test.jsonl", "answer"),
    ]:
        for line in (folder / path).read_text(encoding="utf-8").splitlines():
            value = json.loads(line)[key]
            text = value[0] if isinstance(value, list) else str(value).rpartition("#### ")[2]
            if typography.is_balanced(text):
                answers[text] = None
    return list(answers)


def test_every_real_reference_answer_is_right_for_itself_and_no_other_is(benchmark_data):
    golds = real_answers(benchmark_data)
    assert len(golds) > 1500
    assert all(found.correct for found in math_grader.judge_answers([(gold, gold) for gold in golds]))


def test_scoring_does_not_import_math_verify_here():
    code = "from chord.tasks import *; [find_task(name) for name in TASKS]; import sys; "
    code += "print(*({'math_verify', 'sympy', 'torch', 'transformers'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.stdout.strip(), found.returncode) == ("", 0), found.stderr
