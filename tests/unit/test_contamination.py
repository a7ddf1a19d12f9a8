"""Near-duplicates against an independent count of common runs of words, and cases worked by hand."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord.data.contamination import COVERED_SHARE, RUN_WORDS, TestQuestion, TestQuestions, words


def index(*texts: str) -> TestQuestions:
    return TestQuestions(TestQuestion("test", str(number), text) for number, text in enumerate(texts))


def shares(found) -> dict[str, float]:
    return {match.row_id: match.share for match in found}


def test_words_are_letters_and_digits_whatever_their_case_and_signs():
    assert words("Let $x_1 = \\frac{1}{2}$; ＦＩＮＤ it!") == ["let", "x", "1", "frac", "1", "2", "find", "it"]


def test_same_words_are_the_same_question():
    questions = index("Find $x$.", "Find y.")
    assert shares(questions.matches("find X")) == {"0": 1.0}
    assert questions.matches("Find x now") == []  # a question below 8 words is matched as a whole only
    assert questions.matches("$$") == []


def test_more_than_half_of_the_words_in_common_runs():
    question = "one two three four five six seven eight nine ten a b c d e f g h"  # 18 words
    nine = "one two three four five six seven eight nine"
    assert index(question).matches(f"x y {nine} z") == []  # 9 of 18 are not more than half
    assert shares(index(question).matches(f"x y {nine} ten z")) == {"0": 10 / 18}
    # Two runs that do not touch count together: 8 + 8 of 18.
    assert shares(index(question).matches("one two three four five six seven eight x a b c d e f g h")) == {
        "0": 16 / 18
    }
    assert shares(index(question).matches(f"Before. {question} After.")) == {"0": 1.0}


def test_an_ending_that_many_problems_share_is_no_contamination():
    ending = "can be written as m over n where m and n are relatively prime positive integers find m plus n"
    asked = (
        "A fair die is thrown until each of the six numbers has come up at least once and the expected count of throws"
    )
    other = "Two circles of radius 5 and 12 touch each other and a line from outside and the area of the region between"
    assert index(f"{asked} {ending}").matches(f"{other} {ending}") == []


text = st.lists(st.sampled_from("abc"), max_size=40).map(" ".join)


@given(st.lists(text, min_size=1, max_size=4), text)
def test_as_counted_word_by_word(questions, prompt):
    """Each word of the question is looked at by itself: does a run around it stand in the prompt as well?"""
    tokens = prompt.split()
    runs = {tuple(tokens[i : i + RUN_WORDS]) for i in range(len(tokens) - RUN_WORDS + 1)}
    expected = {}
    for number, question in enumerate(questions):
        asked = question.split()
        common = [tuple(asked[i : i + RUN_WORDS]) in runs for i in range(max(0, len(asked) - RUN_WORDS + 1))]
        covered = sum(any(common[max(0, place - RUN_WORDS + 1) : place + 1]) for place in range(len(asked)))
        share = 1.0 if asked and asked == tokens else covered / len(asked) if asked else 0.0
        if share > COVERED_SHARE:
            expected[str(number)] = pytest.approx(share)
    assert shares(index(*questions).matches(prompt)) == expected


def test_a_training_set_is_searched_in_a_minute():
    """14,000 questions and 25,000 prompts are 1 / 20 of this many; a fifth of a minute's share leaves room."""
    sentence = "a train leaves town {} at {} and meets another of length {} after {} minutes how fast is it if {} miles"
    questions = index(*(sentence.format(*range(n, n + 5)) for n in range(700)))
    prompts = [sentence.format(*range(n, n + 5)).replace("train", "tram") for n in range(1250)]
    started = time.process_time()
    found = [questions.matches(prompt) for prompt in prompts]
    assert time.process_time() - started < 60 / 20
    assert sum(map(bool, found)) == 700
