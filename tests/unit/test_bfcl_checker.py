"""BFCL's AST rules by hand: types, alternatives, what may be left out, parallel calls; each oddity of the source too.

That the rules are the official checker's is shown in test_bfcl_official.py.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord.errors import UserError
from chord.tasks.bfcl_checker import check

PROPERTIES = {
    "text": {"type": "string"},
    "count": {"type": "integer"},
    "rate": {"type": "float"},
    "on": {"type": "boolean"},
    "words": {"type": "array", "items": {"type": "string"}},
    "rates": {"type": "array", "items": {"type": "float"}},
    "pair": {"type": "tuple", "items": {"type": "integer"}},
    "filter": {"type": "dict", "properties": {}},
    "filters": {"type": "array", "items": {"type": "dict"}},
    "free": {"type": "any"},
}


def document(name, required=(), **properties):
    parameters = {"type": "dict", "properties": properties or PROPERTIES, "required": list(required)}
    return {"name": name, "description": "", "parameters": parameters}


def call(name, **arguments):
    return {"name": name, "arguments": arguments}


def one(parameter, alternatives, value):
    """Reason for one argument of one call, the parameter not being required."""
    return check([document("f")], [{"f": {parameter: alternatives}}], [call("f", **{parameter: value})], "simple")[1]


@pytest.mark.parametrize(
    ("parameter", "alternatives", "value", "reason"),
    [
        ("text", ["April 1, 2024"], "april 1 2024", "correct"),
        ("text", ["April 1, 2024"], "April-1/2024.", "correct"),
        ("text", ["it's"], 'IT"S', "correct"),
        ("text", ["a", "b"], "b", "correct"),
        ("text", ["2^3 * 4_5"], "23 45", "correct"),
        ("text", ["a"], "c", "value"),
        ("text", ["a;b"], "ab", "value"),  # other punctuation counts
        ("text", ["a\tb"], "ab", "value"),  # and other white space than blanks
        ("text", ["1"], 1, "type"),
        ("text", [5, "ab"], "ab", "correct"),
        ("text", [5, "ab"], "AB", "value"),  # the first alternative's type makes this a variable
        ("text", ["a"], ["a"], "type"),
        ("text", ["a", ""], "-", "correct"),  # nothing is left of it, as of the mark for what may be left out
        ("count", [2], 2, "correct"),
        ("count", [2], 2.0, "type"),
        ("count", [1], True, "type"),
        ("count", [2], "2", "type"),
        ("count", [2], None, "type"),
        ("count", ["n"], "n", "correct"),  # a variable's name stands for the value
        ("count", ["n"], "N", "value"),  # which is then compared as it is
        ("count", ["n"], 2, "value"),
        ("count", [None, ""], None, "correct"),
        ("rate", [2.5], 2.5, "correct"),
        ("rate", [2.0], 2, "correct"),  # the only conversion there is
        ("rate", [2], 2, "correct"),
        ("rate", [2.0], "2", "type"),
        ("rate", [1.0], True, "type"),
        ("rate", [2.0], 10**400, "value"),
        ("on", [True], True, "correct"),
        ("on", [True], 1, "type"),
        ("on", [True], "true", "type"),
        ("on", [False, ""], True, "value"),
        ("words", [["New York", "Rome"]], ["new york", "rome"], "correct"),
        ("words", [["New York", "Rome"]], ["Rome", "New York"], "value"),
        ("words", [["a"], ["b"]], ["b"], "correct"),
        ("words", [["a"]], ["a", "a"], "value"),
        ("words", [["a"]], [1], "type"),
        ("words", [["a"]], "a", "type"),
        ("words", [["a"], ""], [], "correct"),  # `""` reads as an empty list
        ("words", [["a"]], [], "value"),
        ("words", [], [], "type"),  # such answers stand in the data: nothing satisfies them
        ("words", ["names"], "names", "correct"),
        ("words", ["names"], "Names", "value"),  # a variable is not standardised
        ("rates", [[1.5, 2.0]], [1.5, 2.0], "correct"),
        ("rates", [[1.5, 2.0]], [1.5, 2], "type"),  # no conversion inside a list
        ("rates", [[1, 2]], [1, 2], "correct"),  # unless the answer has integers itself
        ("pair", [[1, 2]], [1, 2], "correct"),
        ("pair", [[1, 2]], [2, 1], "value"),
        ("filter", [{"city": ["Rome"], "max": [5, ""]}], {"city": "ROME"}, "correct"),
        ("filter", [{"city": ["Rome"], "max": [5, ""]}], {"city": "rome", "max": 5}, "correct"),
        ("filter", [{"city": ["Rome"], "max": [5, ""]}], {"max": 5}, "value"),
        ("filter", [{"city": ["Rome"], "max": [5, ""]}], {"city": "Rome", "max": 6}, "value"),
        ("filter", [{"city": ["Rome"]}], {"city": "Rome", "min": 1}, "value"),
        ("filter", [{"n": [1]}], {"n": True}, "correct"),  # inside a dict no type is looked at
        ("filter", [{"n": [["a b"]]}], {"n": ["ab"]}, "value"),  # nor is a text in a list standardised
        ("filter", ["", {"n": [1]}], {"n": 1}, "correct"),
        ("filter", [{"n": [1]}, {"m": [2]}], {"m": 2}, "correct"),
        ("filter", [{"n": [1]}], [{"n": 1}], "type"),
        ("filters", [[{"n": [1]}, {"n": [2, 3]}]], [{"n": 1}, {"n": 3}], "correct"),
        ("filters", [[{"n": [1]}, {"n": [2]}]], [{"n": 2}, {"n": 1}], "value"),
        ("filters", [[{"n": [1]}]], [{"n": 1}, {"n": 1}], "value"),
        ("filters", ["", [{"n": [1]}]], [1], "value"),
        ("free", ["x"], "X", "correct"),
        ("free", [5], 5, "correct"),
        ("free", [5], "5", "value"),
    ],
)
def test_one_argument(parameter, alternatives, value, reason):
    assert one(parameter, alternatives, value) == reason


def test_what_must_and_what_may_be_there():
    function = document("f", required=["text"])
    truth = [{"f": {"text": ["a"], "count": [1, ""], "rate": [2.0]}}]
    reasons = {
        "correct": [call("f", text="a", count=1, rate=2.0), call("f", text="a", rate=2.0)],
        "missing": [call("f", text="a"), call("f", rate=2.0), call("f")],
        "unexpected": [call("f", text="a", rate=2.0, on=True), call("f", text="a", rate=2.0, other=1)],
        "name": [call("g", text="a", rate=2.0), call("F", text="a", rate=2.0)],
    }
    for reason, calls in reasons.items():
        for item in calls:
            assert check([function], truth, [item], "simple") == (reason == "correct", reason)


def test_names_are_exact():
    """The authors' model has `underscore_to_dot` off: no name is converted."""
    truth = [{"a.b": {"text": ["x"]}}]
    assert check([document("a.b")], truth, [call("a.b", text="x")], "simple")[0]
    assert check([document("a.b")], truth, [call("a_b", text="x")], "simple") == (False, "name")


@pytest.mark.parametrize("category", ["simple", "multiple", "live_simple", "live_multiple", None])
def test_one_call_is_one_call(category):
    truth = [{"f": {"text": ["x"]}}]
    right = call("f", text="x")
    assert check([document("f")], truth, [right], category) == (True, "correct")
    assert check([document("f")], truth, [], category) == (False, "count")
    assert check([document("f")], truth, [right, right], category) == (False, "count")


def test_the_document_is_chosen_by_the_wanted_name():
    functions = [document("f", count={"type": "string"}), document("g", count={"type": "integer"})]
    truth = [{"g": {"count": [1]}}]
    for category in ("multiple", None):
        assert check(functions, truth, [call("g", count=1)], category) == (True, "correct")
        assert check(functions, truth, [call("f", count="1")], category) == (False, "name")
    # `simple` takes the first document, whatever the answer's name: some rows differ there.
    assert check([document("h")], truth, [call("h", count=1)], "simple") == (True, "correct")
    assert check([document("h")], truth, [call("h", count=1)], None) == (True, "correct")


@given(st.permutations([1, 2, 3]))
def test_parallel_calls_come_in_any_order(order):
    truth = [{"f": {"count": [number]}} for number in (1, 2, 3)]
    calls = [call("f", count=number) for number in order]
    for category in ("parallel", "parallel_multiple", "live_parallel", None):
        assert check([document("f")], truth, calls, category) == (True, "correct")
        assert check([document("f")], truth, calls[:2], category) == (False, "count")
        assert check([document("f")], truth, [*calls[:2], calls[0]], category)[0] is False


def test_parallel_calls_are_taken_greedily():
    """The first wanted call takes the first that fits; that another pairing would do is not tried, as in the source."""
    truth = [{"f": {"count": [1, 2]}}, {"f": {"count": [1]}}]
    assert check([document("f")], truth, [call("f", count=2), call("f", count=1)], "parallel")[0]
    assert check([document("f")], truth, [call("f", count=1), call("f", count=2)], "parallel") == (False, "value")


def test_no_call_wanted():
    for category in ("irrelevance", "live_irrelevance", None):
        assert check([document("f")], [], [], category) == (True, "correct")
        assert check([document("f")], [], [call("f")], category) == (False, "call")
    assert check([document("f")], [], [call("f")], "live_relevance") == (True, "correct")
    assert check([document("f")], [], [], "live_relevance") == (False, "no_call")


@pytest.mark.parametrize("calls", [["f"], [{"name": "f"}], [{"name": "f", "arguments": "{}"}], [{"f": {}}]])
def test_what_is_no_call(calls):
    assert check([document("f")], [{"f": {}}], calls, "simple") == (False, "format")
    assert check([document("f")], [], calls, "irrelevance") == (True, "correct")


@pytest.mark.parametrize("category", ["java", "javascript", "simple_java", "simple_javascript"])
def test_java_and_javascript_are_refused(category):
    with pytest.raises(UserError, match=f"'{category}': Java and JavaScript are not supported"):
        check([document("f")], [{"f": {}}], [], category)


@pytest.mark.parametrize(
    ("functions", "truth", "category", "problem"),
    [
        ([document("f")], [{"f": {}}], "multi_turn_base", "unknown; expected one of simple"),
        ([document("f")], [{"g": {}}], "multiple", "calls 'g', which is not among the functions"),
        ([document("f")], [{"f": []}], "simple", "ground truth: expected"),
        ([document("f")], [{}], "simple", "ground truth: expected"),
        ([document("f")], [], "simple", "expected functions and a ground truth"),
        ([], [{"f": {}}], "simple", "expected functions and a ground truth"),
        ([{"name": "f"}], [{"f": {}}], "simple", "expected a function with `name`"),
        ([document("f", x={"type": "number"})], [{"f": {"x": [1]}}], "simple", "'f', parameter 'x': expected one of"),
        ([document("f", x={"type": "array"})], [{"f": {"x": [1]}}], "simple", "'f', parameter 'x': expected one of"),
    ],
)
def test_a_question_that_cannot_be_judged_is_an_error(functions, truth, category, problem):
    with pytest.raises(UserError, match=problem):
        check(functions, truth, [call("f", x=1)], category)
