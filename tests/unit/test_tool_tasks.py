"""Tool calls in training and BFCL's prompt: the rendered text, how a reply is read, the rewards."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chord.tasks import verdict
from chord.tasks.bfcl import BFCL as BFCL_TASK
from chord.tasks.bfcl_training import BFCL_CALL
from chord.tasks.task import Verdict
from chord.tasks.tool_call import TOOL_CALL
from tests.helpers.prompts import expected

FUNCTIONS = [
    {
        "name": "weather.today",
        "description": "Weather of a city.",
        "parameters": {
            "type": "dict",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
    {"name": "ping", "description": "Says hello.", "parameters": {"type": "dict", "properties": {}, "required": []}},
]
ASKED = {"role": "user", "content": "Is it warm in Köln?"}
CALLS = [{"name": "weather.today", "arguments": {"city": "Köln", "days": 1}}, {"name": "ping", "arguments": {}}]
TOOLS = {"id": "t", "task": "tool_call", "gold": json.dumps(CALLS)}
TRUTH = [{"weather.today": {"city": ["Köln"], "days": [1, ""]}}]
BFCL = {"id": "b", "task": "bfcl", "gold": json.dumps(TRUTH), "meta": {"functions": FUNCTIONS, "category": "multiple"}}


def reply(calls, think="<think>why</think>"):
    return f"{think} <tool_call>{json.dumps(calls)}</tool_call>"


RIGHT = [{"name": "weather.today", "arguments": {"city": "köln"}}]


def test_short_prompt():
    """One function a line; a system message of the question's own stays in front."""
    asked = (
        'Answer with a JSON list of calls: <tool_call>[{"name": ..., "arguments": {...}}, ...]</tool_call>\n'
        "You may think before it: <think>...</think>\n"
        "The functions, one per line:\n"
        '{"name": "weather.today", "description": "Weather of a city.", "parameters": {"type": "dict", "properties": '
        '{"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}\n'
        '{"name": "ping", "description": "Says hello.", "parameters": {"type": "dict", "properties": {}, '
        '"required": []}}'
    )
    assert BFCL_CALL.render([ASKED], FUNCTIONS) == [{"role": "system", "content": asked}, ASKED]
    system = {"role": "system", "content": "Be quick."}
    assert BFCL_CALL.render([system, ASKED], FUNCTIONS)[0]["content"] == f"Be quick.\n{asked}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (reply(RIGHT, think=""), "correct"),
        (reply(RIGHT), "correct"),
        (f"Sure! {reply(CALLS)} No: {reply(RIGHT)} Anything else?", "correct"),  # the last closed block counts
        (reply(RIGHT, think="<think>Then I write <tool_call> and</think>"), "correct"),
        (f"{reply(RIGHT)} <tool_call>[", "correct"),
        (reply(RIGHT[0]), "correct"),
        (f"{reply(RIGHT)}{reply([])}", "count"),
        (reply([{"name": "weather.today", "arguments": {"city": "Rome"}}]), "value"),
        (json.dumps(RIGHT), "unparsed"),
        ("<think>why</think><tool_call>[{", "unparsed"),
        (f"{reply(RIGHT)}<tool_call>}}</tool_call>", "unparsed"),
        ("</tool_call><tool_call>", "unparsed"),
        ("", "unparsed"),
    ],
)
def test_calls_with_or_without_thinking(text, reason):
    right = reason == "correct"
    row = BFCL | {"task": "bfcl_call"}
    assert verdict(row, text, False) == Verdict(float(right), right, reason != "unparsed", reason)
    assert verdict(row, text, True).reason == reason.replace("unparsed", "truncated")


def test_training_prompt_with_a_system_message_of_its_own():
    system = {"role": "system", "content": "You may call:\n"}
    messages = TOOL_CALL.render([system, ASKED], FUNCTIONS)
    assert [message["role"] for message in messages] == ["system", "user"]
    assert messages[1] == ASKED
    assert messages[0]["content"] == expected("tool_call.txt")


def test_training_prompt_without_one_opens_as_toolace_does():
    text = TOOL_CALL.render([ASKED], FUNCTIONS)[0]["content"]
    assert text.startswith("You are an expert in composing functions.")
    assert "that you can invoke:\n# Tool\n\n<tools>\n{" in text


def test_evaluation_prompt():
    turns = [{"role": "system", "content": "replaced"}, ASKED, {"role": "assistant", "content": "Which day?"}, ASKED]
    messages = BFCL_TASK.render(turns, FUNCTIONS)
    assert messages[1:] == turns[1:]
    assert messages[0] == {"role": "system", "content": expected("bfcl.txt")}
    assert BFCL_TASK.render([ASKED], FUNCTIONS) == [messages[0], ASKED]
    assert FUNCTIONS[0]["description"] == "Weather of a city."  # the document itself stays as it is


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (reply(CALLS), "correct"),
        (reply(CALLS[::-1]), "correct"),
        (reply([{"arguments": {"days": 1, "city": "Köln"}, "name": "weather.today"}, CALLS[1]]), "correct"),
        (reply(json.dumps(CALLS)), "correct"),  # a list inside a JSON string
        (f"{reply([])}<tool_call>{json.dumps(CALLS)}</tool_call>", "correct"),  # the last block counts
        (reply(CALLS[:1]), "wrong"),
        (reply([*CALLS, CALLS[1]]), "wrong"),
        (reply([]), "wrong"),
        (reply([{"name": "weather.today", "arguments": {"city": "Köln", "days": 1.0}}, CALLS[1]]), "wrong"),
        (reply([{"name": "weather.today", "arguments": {"city": "Köln", "days": "1"}}, CALLS[1]]), "wrong"),
        (reply([{"name": "weather.today", "arguments": {"city": "koln", "days": 1}}, CALLS[1]]), "wrong"),
        (reply([{"name": ["weather.today"], "arguments": None}]), "wrong"),
        (reply(CALLS, think=""), "format"),
        (reply(CALLS, think="<think>a</think><think>b</think>"), "format"),
        (reply(CALLS, think="<think>a"), "format"),
        (reply(CALLS, think="</think>a<think>"), "format"),
        (f"{reply(CALLS, think='')}<think>late</think>", "format"),
        ("<think>a</think>", "unparsed"),
        ("<think>a</think><tool_call>[", "unparsed"),
        ("<think>a</think><tool_call>[}</tool_call>", "unparsed"),
        (reply([{"name": "ping"}]), "unparsed"),
        (reply(["ping"]), "unparsed"),
        (reply(3), "unparsed"),
        (f"<think>a</think><tool_call>{'[' * 100_000}</tool_call>", "unparsed"),
        (f"<think>a</think><tool_call>{'9' * 5000}</tool_call>", "unparsed"),
        ("", "unparsed"),
    ],
)
def test_tool_call(text, reason):
    right = reason == "correct"
    assert verdict(TOOLS, text, False) == Verdict(float(right), right, reason != "unparsed", reason)


def test_a_single_call_may_stand_without_its_list_and_no_call_may_be_right():
    assert verdict(TOOLS | {"gold": json.dumps(CALLS[1:])}, reply(CALLS[1]), False).correct
    assert verdict(TOOLS | {"gold": "[]"}, reply([]), False).correct
    assert not verdict(TOOLS | {"gold": "[]"}, reply(CALLS), False).correct


def test_a_reply_cut_off_is_named():
    assert verdict(TOOLS, "<think>a</think><tool_call>[{", True) == Verdict(0.0, False, False, "truncated")
    assert verdict(BFCL, "<think>a</think><tool_call>[{", True) == Verdict(0.0, False, False, "truncated")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
CALL_LISTS = st.lists(
    st.fixed_dictionaries(
        {"name": st.text(max_size=4), "arguments": st.dictionaries(st.text(max_size=3), JSON, max_size=3)}
    ),
    max_size=3,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(CALL_LISTS, CALL_LISTS, st.randoms(use_true_random=False))
def test_the_reward_is_equality_of_multisets(calls, others, rng):
    shuffled = rng.sample(calls, len(calls))
    row = TOOLS | {"gold": json.dumps(calls)}
    assert verdict(row, reply(shuffled), False).correct
    same = sorted(json.dumps(call, sort_keys=True) for call in calls) == sorted(
        json.dumps(call, sort_keys=True) for call in others
    )
    assert verdict(row, reply(others), False).correct == same


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (reply([{"name": "weather.today", "arguments": {"city": "köln"}}]), "correct"),
        (reply([{"name": "weather.today", "arguments": {"city": "Köln"}}], think=""), "correct"),
        (f"{reply([{'name': 'weather.today', 'arguments': {'city': 'Köln'}}])}<tool_call>[]</tool_call>", "correct"),
        (reply([{"name": "weather_today", "arguments": {"city": "Köln"}}]), "name"),
        (reply({"name": "weather.today", "arguments": {"city": "Köln"}}), "unparsed"),  # a list is asked for
        (reply([{"name": "weather.today", "arguments": '{"city": "Köln"}'}]), "format"),
        (reply([]), "count"),
        ("Sunny.", "unparsed"),
    ],
)
def test_bfcl(text, reason):
    right = reason == "correct"
    assert verdict(BFCL, text, False) == Verdict(float(right), right, reason != "unparsed", reason)


@pytest.mark.parametrize(
    ("category", "text", "right", "parsed"),
    [
        ("irrelevance", reply([]), True, True),
        ("irrelevance", "None of the functions fits.", True, False),
        ("irrelevance", reply(CALLS[1]), False, False),  # one call without its list is a call
        ("irrelevance", json.dumps(CALLS), False, False),
        ("live_irrelevance", json.dumps({"tool_calls": [{"function": CALLS[1]}]}), False, False),
        ("irrelevance", reply([{"name": "ping"}]), True, False),
        ("live_irrelevance", reply([CALLS[1]]), False, True),
        ("live_relevance", reply([CALLS[1]]), True, True),
        ("live_relevance", reply([]), False, True),
        ("live_relevance", "None of the functions fits.", False, False),
    ],
)
def test_bfcl_with_no_call_wanted_or_any(category, text, right, parsed):
    row = BFCL | {"gold": "[]", "meta": {"functions": FUNCTIONS, "category": category}}
    found = verdict(row, text, False)
    assert (found.correct, found.parsed) == (right, parsed)
