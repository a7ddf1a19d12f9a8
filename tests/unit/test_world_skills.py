"""The three unrelated skills: right options, unique answers, questions held out of pretraining."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord.io.seeds import derive_seed
from chord.world import skills


def options(text: str) -> dict[str, str]:
    """What stands at each number, read from the question."""
    return dict(re.findall(r"([1-4]) is (\w+)", text))


@given(st.integers(0, 2**62), st.sampled_from(skills.GROUPS))
def test_exactly_one_option_is_right(seed, group):
    choice = skills.generate(seed, group)
    shown = options(choice.text)
    assert sorted(shown) == ["1", "2", "3", "4"]
    if group == "largest":
        right = max(shown.values(), key=int)
    elif group == "odd":
        digits = [value for value in shown.values() if value.isdigit()]
        colours = [value for value in shown.values() if not value.isdigit()]
        (right,) = min(digits, colours, key=len)
    else:
        first, second, third = map(int, choice.text.split()[:3])
        assert (second - first) % 10 == (third - second) % 10
        right = str((2 * third - second) % 10)
    assert [number for number, value in shown.items() if value == right] == [choice.gold]
    assert choice.solution == f"{right} is option {choice.gold}"


@pytest.mark.parametrize("group", skills.GROUPS)
def test_right_option_stands_everywhere_equally_often(group):
    counts = Counter(skills.generate(derive_seed("place", place), group).gold for place in range(2000))
    assert all(abs(count / 2000 - 0.25) < 0.05 for count in counts.values())


def test_about_a_fifth_is_held_out():
    texts = {skills.generate(derive_seed("held", place), "next").text for place in range(3000)}
    assert abs(sum(map(skills.is_test, texts)) / len(texts) - skills.TEST_SHARE) < 0.04


def test_unknown_skill():
    with pytest.raises(ValueError, match="spelling"):
        skills.generate(1, "spelling")
