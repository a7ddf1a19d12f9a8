"""Verdicts: gold always wins, nothing else does, and the reward scheme of the paper (appendix A.2)."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord.errors import UserError
from chord.rollouts import Sample
from chord.tasks import judge_samples, verdict
from chord.tasks.task import CORRECT, TRUNCATED, UNPARSED, WRONG, Verdict
from chord.world import problems, solutions

digits = st.integers(0, 9)
WORLD = {"id": "w", "task": "world", "gold": "4 1"}
CHOICE = {"id": "c", "task": "choice", "gold": "3"}


@given(
    st.integers(0, 2**62),
    st.integers(2, 6),
    st.sampled_from([solutions.EXPERT, solutions.base_style(0.3, 0.0, 0.5, 0.4)]),
)
def test_every_correct_solution_gets_full_reward(seed, k, style):
    problem = problems.generate(seed, k)
    row = {"id": "w", "task": "world", "gold": solutions.gold(problem)}
    text = solutions.write(problem, style, random.Random(seed))
    assert verdict(row, text, False) == Verdict(CORRECT, True, True, "correct")


@given(digits, digits, digits, digits, st.text(max_size=20))
def test_world_reward_is_equality_of_both_digits(a, b, c, d, before):
    row = WORLD | {"gold": f"{a} {b}"}
    found = verdict(row, f"{before} answer {c} {d}", False)
    assert found.parsed
    assert found.correct == ((a, b) == (c, d))
    assert found.reward == (CORRECT if (a, b) == (c, d) else WRONG)


@given(st.text(max_size=60))
def test_no_text_without_the_answer_is_correct(text):
    if "answer 4 1" not in text:
        assert not verdict(WORLD, text, False).correct
    if "option 3" not in text:
        assert not verdict(CHOICE, text, False).correct


@pytest.mark.parametrize(
    ("text", "reason", "reward"),
    [
        ("Ann 7 . answer 4 1", "correct", CORRECT),
        ("answer 4 1 ", "correct", CORRECT),
        ("answer 1 4", "wrong", WRONG),
        ("answer 4 2 . answer 4 1", "correct", CORRECT),
        ("answer 4 1 . answer 4 2", "wrong", WRONG),
        ("answer 4 1 . Ann 7", "unparsed", UNPARSED),
        ("answer 4 1 1", "unparsed", UNPARSED),
        ("answer 41", "unparsed", UNPARSED),
        ("answer 4", "unparsed", UNPARSED),
        ("4 1", "unparsed", UNPARSED),
        ("noanswer 4 1", "unparsed", UNPARSED),
        ("", "unparsed", UNPARSED),
    ],
)
def test_world(text, reason, reward):
    assert verdict(WORLD, text, False) == Verdict(reward, reason == "correct", reason != "unparsed", reason)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("option 3", "correct"),
        (" option 3 ", "correct"),
        ("option 2", "wrong"),
        ("option 30", "wrong"),
        ("3", "unparsed"),
        ("option 3 is 4", "unparsed"),
        ("9 is option 3", "correct"),
        ("option 3 option 2", "wrong"),
        ("option three", "unparsed"),
    ],
)
def test_choice(text, reason):
    assert verdict(CHOICE, text, False).reason == reason


def test_truncated_without_an_answer_is_punished_and_with_one_is_not():
    assert verdict(WORLD, "Ann 7 . Bob", True) == Verdict(TRUNCATED, False, False, "truncated")
    assert verdict(WORLD, "Ann 7 . answer 4 1", True).reward == CORRECT


def test_unknown_task_names_the_row_and_the_known_tasks():
    with pytest.raises(
        UserError, match=r"row 'x': task 'poetry' is unknown; expected one of bfcl, .*choice, .*, world"
    ):
        verdict({"id": "x", "task": "poetry", "gold": ""}, "", False)
    with pytest.raises(UserError, match="task None"):
        verdict({"id": "x"}, "", False)


def test_samples_are_judged_by_their_rows_without_special_tokens(tiny_tokenizer):
    texts = ["answer 4 1 <eos>", "answer 4 2 <eos>", "option 3 <eos> <pad>", "has 7"]
    samples = [
        Sample(tiny_tokenizer(text, add_special_tokens=False).input_ids, text == "has 7", [], []) for text in texts
    ]
    judged = judge_samples(tiny_tokenizer, [WORLD, WORLD, CHOICE, WORLD], samples)
    assert [text for text, _ in judged] == ["answer 4 1", "answer 4 2", "option 3", "has 7"]
    assert [found.reason for _, found in judged] == ["correct", "wrong", "correct", "truncated"]
    with pytest.raises(ValueError, match="zip"):
        judge_samples(tiny_tokenizer, [WORLD], samples)
