"""Calls in every layout that models and APIs give them; what is none; truths that no rule can read, by line."""

import json
from pathlib import Path

import pytest

from chord import cli
from chord.errors import UserError
from chord.tasks.call_layouts import calls_in

CASES = Path(__file__).parents[1] / "data" / "cases" / "bfcl.jsonl"
ARGUMENTS = {"item": "tea", "n": 2}
TEXT = json.dumps(ARGUMENTS)
CALL = {"name": "shop.buy", "arguments": ARGUMENTS}
OTHER = {"name": "ping", "arguments": {}}
OPENAI = {"id": "call_1", "type": "function", "function": {"name": "shop.buy", "arguments": TEXT}}
OFFERED = {"shop.buy", "ping"}


@pytest.mark.parametrize(
    "prediction",
    [
        [CALL],
        CALL,
        [{"name": "shop.buy", "arguments": TEXT}],
        [CALL | {"id": "call_1", "type": "function"}],
        [OPENAI],
        OPENAI,
        {"role": "assistant", "content": None, "tool_calls": [OPENAI]},
        {"tool_calls": [OPENAI]},
        {"function_call": {"name": "shop.buy", "arguments": TEXT}},
        {"type": "function", "function": CALL},
        {"type": "function", "function": "shop.buy", "arguments": ARGUMENTS},
        {"type": "function", "name": "shop.buy", "parameters": ARGUMENTS},
        {"type": "tool_use", "id": "t", "name": "shop.buy", "input": ARGUMENTS},
        {"tool": "shop.buy", "args": ARGUMENTS},
        [{"shop.buy": ARGUMENTS}],
        {"shop.buy": ARGUMENTS},
        [{"shop.buy": TEXT}],
    ],
)
def test_a_call_in_every_layout(prediction):
    """As a value, as its JSON text, and as the texts in which that stands."""
    text = json.dumps(prediction)
    for given in (
        prediction,
        text,
        f"  {text}\n",
        json.dumps(text),
        f"```json\n{text}\n```",
        f"```\n{text}```",
        f"Here is the call:\n```json\n{text}\n```\nDone.",
        f"I will call {text} now.",
        f"<tool_call>{text}</tool_call>",
        f"<tool_call>\n{text}\n</tool_call>",
        f"<think>why {{}}</think> <tool_call>{text}</tool_call>",
        f"<think>why [1]</think>{text}",
        f"<|python_tag|>{text}<|eom_id|>",
        f"[TOOL_CALLS]{text}",
    ):
        assert calls_in(given, OFFERED) == [CALL], given


@pytest.mark.parametrize(
    "text",
    [
        "shop.buy(item='tea', n=2)",
        '[shop.buy(item="tea", n=2)]',
        "```python\nshop.buy(item='tea', n=2)\n```",
        "<think>why</think>\n[shop.buy(item='tea', n=2)]",
    ],
)
def test_a_call_in_python(text):
    assert calls_in(text, OFFERED) == [CALL]


@pytest.mark.parametrize(
    "prediction",
    [
        [CALL, OTHER],
        json.dumps([CALL, OTHER]),
        [{"shop.buy": ARGUMENTS}, {"ping": {}}],
        {"shop.buy": ARGUMENTS, "ping": {}},
        {"tool_calls": [OPENAI, {"type": "function", "function": {"name": "ping", "arguments": "{}"}}]},
        f"<tool_call>{json.dumps(CALL)}</tool_call>\n<tool_call>{json.dumps(OTHER)}</tool_call>",
        "[shop.buy(item='tea', n=2), ping()]",
    ],
)
def test_several_calls(prediction):
    assert calls_in(prediction, OFFERED) == [CALL, OTHER]


@pytest.mark.parametrize(
    "text", ["```json\n[{}]\n```", "I call {} now.", "<tool_call>{}</tool_call>", "[send(to='x')]", "{}"]
)
def test_a_call_of_a_function_that_is_not_offered_is_a_call(text):
    call = {"name": "send", "arguments": {"to": "x"}}
    assert calls_in(text.replace("{}", json.dumps(call)), OFFERED) == [call]


@pytest.mark.parametrize("prediction", [[], "[]", "<tool_call>[]</tool_call>", {"content": "No.", "tool_calls": None}])
def test_an_empty_list(prediction):
    assert calls_in(prediction, OFFERED) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None of the functions fits.",
        "I would need [the city] first (see above).",
        'The price is {"amount": 3}.',
        'It answers {"result": {"item": "tea"}} then.',
        "shop.buy is a function",
        "sorry(nothing=1)",
        "3",
        "[1, 2]",
        "null",
        '[{"name": "shop.buy", "argum',
        "<tool_call>[",
        "<tool_call>no JSON</tool_call>",
        "<think>" + json.dumps([CALL]),
        "[" * 100_000,
        "{" * 100_000,
        "(" * 100_000,
        "f(" * 10_000 + ")" * 10_000,
    ],
)
def test_a_text_without_a_call(text):
    assert calls_in(text, OFFERED) is None


@pytest.mark.parametrize(
    "prediction",
    [
        {},
        [{}],
        ["shop.buy"],
        [CALL, "ping"],
        [{"name": "shop.buy"}],
        [{"name": "shop.buy", "arguments": None}],
        [{"name": "shop.buy", "arguments": "tea"}],
        [{"name": "shop.buy", "arguments": "[1]"}],
        [{"name": 3, "arguments": {}}],
        [CALL | {"parameters": {}}],
        [{"call": "shop.buy", "with": ARGUMENTS}],
        '[{"call": "shop.buy", "with": {}}]',
        "shop.buy('tea', 2)",
        f"<tool_call>[{json.dumps(CALL)}]</tool_call><tool_call>[{json.dumps(OTHER)}]</tool_call>",
    ],
)
def test_what_could_be_calls_and_cannot_be_read_is_said(prediction):
    with pytest.raises(UserError, match="expected"):
        calls_in(prediction, OFFERED)


def grade(tmp_path, capsys, pairs: list[dict]) -> tuple[int, dict[str, dict], list[str]]:
    given, out = tmp_path / "pairs.jsonl", tmp_path / "verdicts.jsonl"
    given.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    code = cli.main(["grade", "--task", "bfcl", "--input", str(given), "--output", str(out)])
    graded = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return code, {line["id"]: line for line in graded}, capsys.readouterr().err.splitlines()


def test_every_reported_case(tmp_path, capsys):
    """Truths that no rule can read are lines of their own; calls in other layouts are read."""
    cases = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    code, graded, errors = grade(tmp_path, capsys, cases)
    assert code == 2
    for number, case in enumerate(cases, start=1):
        wanted = case["expected"]
        if case["id"] in graded:
            assert "correct" in wanted
            assert graded[case["id"]]["correct"] is (wanted != "not correct"), case
        else:
            assert sum(f"pairs.jsonl:{number}: " in error for error in errors) == 1
            assert wanted != "correct"
    assert len(graded) == 8


FUNCTION = {
    "name": "f",
    "parameters": {
        "type": "dict",
        "properties": {
            "p": {"type": "string"},
            "d": {"type": "dict"},
            "l": {"type": "array", "items": {"type": "dict"}},
        },
        "required": None,
    },
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ground_truth": [{"f": {"p": "tea"}}]}, 'f, p: expected a list of correct values, got "tea"'),
        ({"ground_truth": [{"f": {"p": None}}]}, "f, p: expected a list"),
        ({"ground_truth": [{"f": {"p": 2}}]}, "f, p: expected a list"),
        ({"ground_truth": [{"f": {"p": True}}]}, "f, p: expected a list"),
        ({"ground_truth": [{"f": {"p": {"k": ["v"]}}}]}, "f, p: expected a list"),
        ({"ground_truth": [{"f": {"d": [{"k": "v"}]}}]}, "f, d.k: expected a list"),
        ({"ground_truth": [{"f": {"d": [{"k": None}]}}]}, "f, d.k: expected a list"),
        ({"ground_truth": [{"f": {"l": [[{"k": 3}]]}}]}, "f, l.k: expected a list"),
        ({"ground_truth": [{"f": None}]}, "ground truth: expected {function name"),
        ({"ground_truth": [{"f": ["p"]}]}, "ground truth: expected {function name"),
        ({"ground_truth": [{"f": {}, "g": {}}]}, "ground truth: expected {function name"),
        ({"ground_truth": None}, "ground_truth: expected a list"),
        ({"function": [{"name": "f", "parameters": None}]}, "expected a function with"),
        ({"function": [{"name": "f", "parameters": {"properties": None}}]}, "expected a function with"),
        ({"function": [{"name": "f", "parameters": {"properties": {}, "required": "p"}}]}, "expected a function with"),
        ({"function": [{"name": None, "parameters": {"properties": {}}}]}, "expected a function with"),
        ({"function": [{"name": "f"}]}, "expected a function with"),
        ({"prediction": [{"name": "f"}]}, "prediction: expected a call {name, arguments}"),
        ({"prediction": None}, "prediction: expected a list of {name, arguments}"),
    ],
)
def test_a_line_that_cannot_be_judged_is_named_and_the_others_graded(tmp_path, capsys, change, message):
    right = {
        "id": "right",
        "question": "q",
        "function": [FUNCTION],
        "ground_truth": [{"f": {"p": ["tea"], "d": [{"k": ["v"]}, ""], "l": [[{"k": [1]}], ""]}}],
        "prediction": [{"name": "f", "arguments": {"p": "tea"}}],
    }
    code, graded, errors = grade(tmp_path, capsys, [right, right | {"id": "odd"} | change, right | {"id": "last"}])
    assert code == 2
    assert {name: line["correct"] for name, line in graded.items()} == {"right": True, "last": True}
    assert f"pairs.jsonl:2: {message}" in errors[0] or f"pairs.jsonl:2: ground truth: {message}" in errors[0]
    assert len(errors) == 2


@pytest.mark.parametrize("prediction", ["No function fits.", [], "<tool_call>[]</tool_call>"])
def test_no_call_where_none_is_wanted(tmp_path, capsys, prediction):
    pair = {"id": "a", "question": "q", "function": [FUNCTION], "ground_truth": [], "prediction": prediction}
    _, graded, _ = grade(tmp_path, capsys, [pair, pair | {"id": "b", "prediction": {"f": {"p": "tea"}}}])
    assert graded["a"]["correct"] is True
    assert (graded["b"]["correct"], graded["b"]["reason"]) == (False, "call")
