"""The world: problems as pure functions of a seed, one split each, solutions checked by an independent reader."""

import random
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord.errors import UserError
from chord.io.seeds import derive_seed
from chord.world import problems, solutions

seeds = st.integers(0, 2**62)
ks = st.integers(problems.MIN_K, problems.MAX_K)
styles = st.builds(
    solutions.Style, *[st.sampled_from([0.0, 0.3, 1.0])] * 4, skipping=st.sampled_from([0.0, 1.0]), keep=st.just(0.5)
)


def independent_values(text: str) -> dict[str, int]:
    """Values of all people by repeated substitution with Python's own arithmetic: shares no code with the solver."""
    waiting = dict(re.findall(r"(\w+) has ([^.]+) \.", text))
    found: dict[str, int] = {}
    while waiting:
        for name, expression in list(waiting.items()):
            formula = expression.replace("plus", "+").replace("minus", "-")
            words = [str(found.get(word, word)) for word in formula.split()]
            if all(re.fullmatch(r"[0-9]|[+-]", word) for word in words):
                found[name] = eval("".join(words)) % 10  # digits, plus and minus only
                del waiting[name]
    return found


@given(seeds, ks)
def test_solver_agrees_with_an_independent_reading(seed, k):
    problem = problems.generate(seed, k)
    values = independent_values(problem.text)
    assert solutions.gold(problem) == " ".join(str(values[name]) for name in problem.asked)


@given(seeds, ks)
def test_exactly_k_quantities_are_needed(seed, k):
    problem = problems.generate(seed, k)
    values = independent_values(problem.text)
    needed = {step.name for step in solutions.order(problem)}
    assert len(needed) == k
    assert 1 <= len(problem.statements) - k <= 4
    # Taking a needed statement away leaves the question open; taking the others away does not.
    shorter = problems.Problem(tuple(s for s in problem.statements if s.name in needed), problem.asked)
    again = independent_values(shorter.text)
    assert all(again[name] == values[name] for name in needed)


@given(seeds, ks, styles)
def test_every_style_is_true_line_by_line(seed, k, style):
    problem = problems.generate(seed, k)
    values = independent_values(problem.text)
    text = solutions.write(problem, style, random.Random(seed))
    steps = [line.split() for line in text.split(" . ")[:-1] if line.split()[0] not in ("plan", "check")]
    assert len(steps) == k or style.skipping
    for words in steps:
        assert values[words[0]] == int(words[-1])
    for left, operator, right, result in re.findall(r"compute (\d) (plus|minus) (\d) gives (\d)", text):
        assert problems.compute(int(left), operator, int(right)) == int(result)
    assert text.endswith("answer " + solutions.gold(problem))


@given(seeds, ks, styles)
def test_a_slip_is_in_the_elements_and_the_solution_goes_on_from_it(seed, k, style):
    problem = problems.generate(seed, k)
    text = solutions.write(problem, replace(style, slip=1.0), random.Random(seed))
    lines = [line.split() for line in text.split(" . ")[:-1]]
    steps = {words[0]: words for words in lines if words[0] not in ("plan", "check")}
    truth, written = independent_values(problem.text), {}
    for step in solutions.order(problem):
        words = steps.get(step.name, [])
        given = {**truth, **written}
        if "compute" in words:
            formula = words[words.index("compute") + 1 : words.index("gives")]
        elif "look" in words:
            formula = words[words.index("look") + 1 : -1]
        else:
            formula = step.expression.split()
        numbers = [str(given.get(word, word)) for word in formula]
        written[step.name] = eval("".join(numbers).replace("plus", "+").replace("minus", "-")) % 10
        assert not words or int(words[-1]) == written[step.name]
    assert text.endswith("answer " + " ".join(str(written[name]) for name in problem.asked))


@given(seeds, ks)
def test_a_slip_changes_at_most_one_operand(seed, k):
    problem = problems.generate(seed, k)
    text = solutions.write(problem, solutions.Style(look=1.0, slip=1.0), random.Random(seed))
    by_name = {step.name: step.expression.split() for step in solutions.order(problem)}
    for line in text.split(" . ")[:-1]:
        name, _, *expression, _ = line.split()
        pairs = zip(by_name[name], expression, strict=True)
        differing = [place for place, (true, written) in enumerate(pairs) if true != written]
        assert differing in ([], [0], [2])  # one operand, never the operator; by chance it is what was right


@given(seeds, ks)
def test_expert_spreads_its_markers(seed, k):
    words = solutions.write_expert(problems.generate(seed, k)).split()
    assert words[0] == "plan"
    assert words.count("look") == words.count("compute") == k
    assert words.count("check") == 1
    places = [place for place, word in enumerate(words) if word in solutions.MARKERS]
    assert max(b - a for a, b in pairwise(places)) <= 10


def test_terse_style_has_no_marker_and_skips_when_told():
    problem = problems.generate(3, 5)
    full = solutions.write(problem, solutions.Style(), random.Random(0)).split()
    assert not set(full) & set(solutions.MARKERS)
    bare = solutions.write(problem, solutions.Style(skipping=1.0, keep=0.0), random.Random(0))
    assert bare == "answer " + solutions.gold(problem)


@given(seeds, ks)
def test_text_and_problem_are_inverse(seed, k):
    problem = problems.generate(seed, k)
    assert problems.parse(problem.text) == problem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "find Ann and Bob ?",
        "Ann has 7 . find Ann and Bob",
        "Ann has 7 times 2 . find Ann and Ann ?",
        "Ann owns 7 .",
    ],
)
def test_other_texts_are_refused(text):
    with pytest.raises(UserError, match="not a problem of the world"):
        problems.parse(text)


@given(seeds, ks, st.randoms(use_true_random=False))
def test_split_does_not_depend_on_the_order_of_statements(seed, k, rng):
    problem = problems.generate(seed, k)
    statements = list(problem.statements)
    rng.shuffle(statements)
    shuffled = problems.Problem(tuple(statements), problem.asked[::-1])
    assert problems.split_of(shuffled) == problems.split_of(problem)


def test_splits_cover_all_buckets_once():
    covered = [place for low, high in problems.SPLITS.values() for place in range(low, high)]
    assert sorted(covered) == list(range(problems.BUCKETS))


def test_splits_get_their_share():
    found = [problems.split_of(problems.generate(derive_seed("share", place), 4)) for place in range(3000)]
    for name, (low, high) in problems.SPLITS.items():
        assert abs(found.count(name) / 3000 - (high - low) / problems.BUCKETS) < 0.04


def test_pinned_problem():
    """A change of the generator is a change of every data set: it must be meant."""
    assert problems.generate(3, 4).text == (
        "Eva has 5 . Fay has Eva plus 3 . Ned has Eva minus 1 . Jon has Eva minus 4 . Kim has Fay plus 1 . "
        "Hal has Eva minus Fay . find Jon and Hal ?"
    )


def test_blind_guess_is_hopeless():
    golds = [solutions.gold(problems.generate(derive_seed("guess", place), 3 + place % 3)) for place in range(3000)]
    assert max(golds.count(answer) for answer in set(golds)) / 3000 <= 0.02


@pytest.mark.parametrize("k", [problems.MIN_K - 1, problems.MAX_K + 1])
def test_k_out_of_range(k):
    with pytest.raises(ValueError, match=f"k={k}"):
        problems.generate(1, k)
