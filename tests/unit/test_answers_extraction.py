"""Which part of a response is its answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord.tasks.answers.extraction import final_box, is_well_formed, stated_answers


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("so \\boxed{5}", "5"),
        ("\\boxed{1}, so that \\boxed{2}", "2"),
        ("\\boxed{\\frac{1}{2}} done", "\\frac{1}{2}"),
        ("\\boxed{\\boxed{5}}", "5"),
        ("\\fbox{3}", "3"),
        ("\\boxed {7}", "7"),
        ("\\boxed{1} then \\boxed{2", "1"),  # one that never closes states nothing
        ("} {{ \\boxed{4}}}", "4"),
        ("\\boxed{\\{1,2\\}}", "\\{1,2\\}"),
        ("\\boxed{}", None),  # a placeholder
        ("It is \\boxed{5}, as asked in \\boxed{}.", "5"),
        ("\\boxed{5} is wrong.", None),
        ("\\boxed{5} Wait, actually it's 6.", None),
        ("\\boxed{5}\n\nWait, let me check that. Yes.", "5"),
        ("x = -\\boxed{5}", None),  # a part of a formula
        ("x > \\boxed{5}", None),
        ("\\boxed{5}^2", None),
        ("\\boxed{60}^\\circ", "60^\\circ"),
        ("\\boxed{5}\\text{ cm}", "5 \\text{ cm}"),
        ("\\boxed{5} or 6", None),
        ("\\boxed", None),
        ("\\boxed 5", None),
        ("\\boxed{5", None),
        ("a sandbox {5}", None),
        ("", None),
        ("<think>\\boxed{5}</think> done", None),
        ("<think>\\boxed{5}", None),
        ("<think>\\boxed{5}</think> \\boxed{6}", "6"),
        ("Both: $\\boxed{2}$ and $\\boxed{5}$.", "2, 5"),
        ("\\boxed{2}, \\boxed{3} or \\boxed{5}", "2, 3, 5"),
        ("$x=\\boxed{2}$ and $y=\\boxed{5}$", "x = 2, y = 5"),
        ("\\boxed{5}, \\boxed{5}", "5"),
        ("\\boxed{3} is wrong. Redo: \\boxed{5}", "5"),
        ("\\boxed{3}\n\n\\boxed{5}", "5"),  # another statement
        ("It is not \\boxed{64}.", None),
        ("It is \\boxed{65} and not \\boxed{64}.", "65"),
    ],
)
def test_the_boxes_of_the_final_statement(text, content):
    assert final_box(text) == content


@given(st.text(alphabet="ab1\\{}", max_size=30), st.text(alphabet="xyz ", min_size=1, max_size=10).filter(str.strip))
def test_a_box_at_the_end_is_found_whatever_stands_before(before, inside):
    assert final_box(f"{before} qed \\boxed{{{inside}}}").split(", ")[-1] == inside


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The answer is 7.", "7"),
        ("**Answer:** 7", "7"),
        ("#### 64\n\nQuestion: one more\n#### 9", "64"),
        ("so <answer>64</answer>", "64"),
        ("2\\sqrt{2}", "2\\sqrt{2}"),
        ("Hence $24$.", "$24$."),
        ("First 3 apples, then 4.\nIn all there are 7 apples.", "7"),
        ("Total: \\$2,350.", "\\$2,350."),
        ("It is not 64 but 65.", "65"),
        ("<think>It is 64.</think> The result is 65.", "65"),
    ],
)
def test_without_a_box_what_is_stated_last(text, found):
    assert stated_answers(text)[-1] == found


@pytest.mark.parametrize(
    "text",
    ["It is not 64, as one sees.", "The answer cannot be 64, so try it.", "<think>64", "so we write \\boxed{64", ""],
)
def test_what_is_denied_or_unfinished_is_no_answer(text):
    assert all("64" in found and len(found) > 4 for found in stated_answers(text))  # at most the sentence itself


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
