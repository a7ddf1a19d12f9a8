"""Official answers of BFCL as expert trajectories: the written reasoning, and that each is right by its own task."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chord.data.bfcl_reader import bfcl_rows
from chord.data.rows_spec import BfclPromptsSource
from chord.errors import UserError
from chord.experts.experts_spec import OfficialSource
from chord.experts.quotations import quotation
from chord.experts.sources import open_source
from chord.experts.written_calls import write
from chord.rollouts.completions import FinishedBatches
from chord.study import load_study
from chord.tasks import verdict
from tests.helpers.study_files import STUDY_FILE, Root

NO_ANSWER = {"live_simple_106-63-0", "live_simple_112-68-0"}  # by BFCL's own rules (docs/benchmarks.md)


def row(question: str, function: dict, truths: list[dict], category: str = "simple", task: str = "bfcl_call") -> dict:
    """truths: for each call the right values of each parameter."""
    meta = {"question": question, "functions": [function], "category": category}
    gold = json.dumps([{function["name"]: truth} for truth in truths])
    messages = [{"role": "user", "content": question}]
    return {"id": "r", "messages": messages, "gold": gold, "task": task, "group": category, "meta": meta}


def function(name: str, description: str, required: tuple[str, ...], **types: str) -> dict:
    properties = {parameter: {"type": kind, "description": "A value."} for parameter, kind in types.items()}
    parameters = {"type": "dict", "properties": properties, "required": list(required)}
    return {"name": name, "description": description, "parameters": parameters}


def bmi(**changes) -> dict:
    document = function(
        "calculate_bmi",
        "Calculate the Body Mass Index (BMI) for a person based on their weight and height.",
        ("weight", "height"),
        weight="integer",
        height="integer",
        system="string",
    )
    question = "Calculate the Body Mass Index for a person with a weight of 70 kg and a height of 175 cm."
    return row(question, document, [{"weight": [70], "height": [175], "system": ["metric", ""]}], **changes)


BMI_CALL = '<tool_call>[{"name": "calculate_bmi", "arguments": {"weight": 70, "height": 175}}]</tool_call>'


def test_one_call():
    """The example of docs/benchmarks.md."""
    assert write(bmi(), "terse") == BMI_CALL
    assert write(bmi(), "reasoned") == (
        "<think>\n"
        "calculate_bmi\n"
        'weight: "weight of 70 kg" so 70\n'
        'height: "height of 175 cm" so 175\n'
        "without system\n"
        f"</think>\n{BMI_CALL}"
    )


def test_optional_parameters_and_other_ways_of_writing_a_value():
    """The required ones come first."""
    document = function(
        "find_recipes",
        "Find recipes, e.g. for a party. Needs no account.",
        ("number", "share"),
        diet="string",
        number="integer",
        share="float",
        pictures="boolean",
        language="string",
        site="string",
    )
    truth = {"diet": ["gluten_free"], "number": [5], "share": [0.08], "pictures": [True]}
    truth |= {"language": ["English", ""], "site": ["", "any"]}
    text = write(row("Show five gluten free recipes at 8% fat, with pictures.", document, [truth]), "reasoned")
    assert text.splitlines()[1:-2] == [
        "find_recipes",
        'number: "Show five gluten" so 5',
        'share: "recipes at 8% fat" so 0.08',
        'diet: "Show five gluten free recipes" so "gluten_free"',
        "pictures: true",
        "without language, site",
    ]


def test_several_calls():
    """One of the values is quoted as another right one, and an optional one is there but need not be given."""
    document = function(
        "sales_tax",
        "Calculate the sales tax.",
        ("amount", "city"),
        amount="float",
        city="string",
        state="string",
        unit="string",
    )
    truths = [
        {"amount": [30.45], "city": ["Chicago"], "state": ["IL", "Illinois"], "unit": ["percent", ""]},
        {"amount": [1200.0], "city": ["Portland"], "state": ["OR", "Oregon"], "unit": ["percent", ""]},
    ]
    question = "Sales tax on $30.45 in Chicago, Illinois and on 1,200 dollars in Portland, in percent?"
    assert write(row(question, document, truths, "parallel"), "reasoned") == (
        "<think>\n"
        "sales_tax\n"
        'amount: "tax on $30.45 in" so 30.45\n'
        'city: "$30.45 in Chicago" so "Chicago"\n'
        'state: "in Chicago, Illinois and" so "IL"\n'
        "without unit\n"
        "sales_tax\n"
        'amount: "and on 1,200 dollars" so 1200.0\n'
        'city: "dollars in Portland" so "Portland"\n'
        'state: "OR"\n'
        "without unit\n"
        "</think>\n"
        '<tool_call>[{"name": "sales_tax", "arguments": {"amount": 30.45, "city": "Chicago", "state": "IL"}}, '
        '{"name": "sales_tax", "arguments": {"amount": 1200.0, "city": "Portland", "state": "OR"}}]</tool_call>'
    )


def test_no_call():
    none = bmi(category="irrelevance") | {"gold": "[]"}
    text = write(none, "reasoned")
    assert text == "<think>\nNo function fits.\n</think>\n<tool_call>[]</tool_call>"
    assert verdict(none, text, False).correct


def test_an_answer_that_is_wrong_by_bfcls_own_rules_is_no_trajectory():
    assert write(row("What?", function("f", "Does it.", ("a",), a="integer"), [{"a": []}]), "terse") is None


@pytest.mark.parametrize(
    ("question", "value", "found"),
    [
        ("A field of 15, 5.2 and 1,500 m, or 5m wide.", 5, "m, or 5m wide"),  # no part of another number
        ("It is 5. Not 6.", 5, "It is 5"),  # not beyond its sentence
        ("About 0.0000001 F.", 1e-07, "About 0.0000001 F"),
        ("It pays 50 million USD.", 50_000_000, "It pays 50 million USD"),
        ("At -5 degrees.", -5, "At -5 degrees"),
        ("Is it in Rome or in Indiana?", "IN", None),  # a short text with its case
        ("Is it in Rome or in Indiana?", "indiana", "or in Indiana"),
        ("The Romeo of Rome.", "Rome", "Romeo of Rome"),  # whole words
        ("In Tel Aviv, please.", "Tel Aviv, Israel", "In Tel Aviv"),
        ("Use \n'a b'\n now", "a b", "Use 'a b' now"),
        ("Runs of 3, 4 and 5 km", [3, 4, 5], "Runs of 3, 4 and 5 km"),
        ("Runs of 4, 3 and 5 km", [3, 4, 5], None),
        ("Runs of true length", True, None),
        ("Any.", [], None),
        ("Any.", None, None),
        ("Any.", {"Any": 1}, None),
        ("", "a", None),
    ],
)
def test_what_is_quoted(question, value, found):
    assert quotation(question, value, about="") == found


def test_of_two_places_the_one_about_the_parameter_is_quoted():
    question = "For 3 people a trip of 3 days"
    assert quotation(question, 3, "days: How many days") == "trip of 3 days"
    assert quotation(question, 3, "people: How many people") == "For 3 people"
    assert quotation(question, 3, "") == "For 3 people"


def test_long_texts_are_cut_in_the_reasoning_alone():
    message = "word " * 40 + "end"
    document = function("send", "Sends " + "very " * 40 + "long texts.", ("text",), text="string")
    lines = write(row(f"Send: {message}", document, [{"text": [message]}]), "reasoned").splitlines()
    assert lines[2] == f'text: "{message[:97]}..." so "{message[:96]}...'
    assert json.loads(lines[-1].removeprefix("<tool_call>").removesuffix("</tool_call>"))[0]["arguments"] == {
        "text": message
    }


def test_hard_values():
    """Quotation marks, other scripts, objects and lists of objects."""
    document = function("f", "Stores.", ("text", "tree", "items"), text="string", tree="dict", items="array")
    document["parameters"]["properties"]["items"]["items"] = {"type": "dict"}
    truth = {"text": ['Sie sagt "Köln\\n" 上海'], "tree": [{"a": [[1, {"b": '"'}]], "c": ["", 2]}]}
    truth["items"] = [[{"k": ["ü"]}, {"k": ["'"]}]]
    for task in ("bfcl_call", "bfcl_tool_call"):
        asked = row("Store it.", document, [truth], task=task)
        text = write(asked, "reasoned")
        assert verdict(asked, text, False).correct
        assert text.endswith(
            '{"text": "Sie sagt \\"Köln\\\\n\\" 上海", "tree": {"a": [1, {"b": "\\""}]}, '
            '"items": [{"k": "ü"}, {"k": "\'"}]}}]</tool_call>'
        )


def test_tags_of_a_question_are_none_of_the_trajectory():
    document = function("f", "Reads <tool_call> blocks.", ("text",), text="string")
    asked = row("Say a <think> b </think> to me", document, [{"text": ["a <think> b </think>"]}])
    assert write(asked, "reasoned") == (
        "<think>\n"
        "f\n"
        'text: "Say a [think> b [/think> to" so "a [think> b [/think>"\n'
        "</think>\n"
        '<tool_call>[{"name": "f", "arguments": {"text": "a \\u003cthink> b \\u003c/think>"}}]</tool_call>'
    )


PIECES = ["<", "<think>", "</think>", "<tool_call>", "</tool_call>", '"', "\\", "\n", " ", "ü", "5", "think>", "u003c"]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join)


@given(TEXTS, TEXTS, TEXTS)
def test_any_text_is_right_in_both_tasks(value, question, description):
    document = function("f", description, ("text",), text="string")
    for task in ("bfcl_call", "bfcl_tool_call"):
        asked = row(f"{question} {value} {question}", document, [{"text": [value]}], task=task)
        text = write(asked, "reasoned")
        assert verdict(asked, text, False).correct
        assert [text.count(tag) for tag in ("<think>", "</think>", "<tool_call>", "</tool_call>")] == [1] * 4


@pytest.mark.parametrize("category", ["simple", "live_simple", "parallel_multiple"])
def test_the_real_answers_are_right(benchmark_data, category):
    for task, styles in (("bfcl_call", ("terse", "reasoned")), ("bfcl_tool_call", ("reasoned",))):
        folder = benchmark_data / "bfcl_v3"
        rows = list(bfcl_rows(BfclPromptsSource(folder=str(folder), categories=(category,), task=task), folder))
        assert len(rows) > 100
        for style in styles:
            source = open_source(OfficialSource(style=style), 1, FinishedBatches(folder))
            found = dict(zip([row["id"] for row in rows], source.candidates(rows), strict=True))
            assert {name for name, candidates in found.items() if not candidates} <= NO_ANSWER
            assert all(candidate.verdict.correct for candidates in found.values() for candidate in candidates)


@pytest.fixture
def root(tmp_path) -> Root:
    """A study of BFCL's questions and answers; its model is of the hub, so that no folder is missing."""
    root = Root(tmp_path)
    source = {"kind": "bfcl", "dataset": "pypi:bfcl-eval==2025.8.6", "categories": ["simple"]}
    root.set(STUDY_FILE, "data", "source", value=source)
    root.set(STUDY_FILE, "experts", "source", value={"kind": "official"})
    root.set(STUDY_FILE, "model", value="owner/model")
    return root


def problem(root: Root) -> str:
    with pytest.raises(UserError) as error:
        load_study("small", root.path, thoroughly=True)
    return str(error.value).removeprefix(f"{STUDY_FILE}: ")


def test_a_study_asks_an_expert_who_knows_its_prompts(root):
    load_study("small", root.path, thoroughly=True)
    unfit = "source.kind: solver: expected data.source.kind world, got bfcl"
    root.set(STUDY_FILE, "experts", "source", "kind", value="solver")
    assert problem(root) == f"experts.{unfit}"
    for reader in ("sft_rl", "decay"):
        root.delete(STUDY_FILE, "methods", reader)
    root.set(STUDY_FILE, "comparisons", "main", "methods", value=["original", "rl"])
    root.delete(STUDY_FILE, "tuning", "search", "decay")
    root.set(STUDY_FILE, "claims", value=None)
    load_study("small", root.path, thoroughly=True)  # no method reads expert rows
    priming = {"experts": {"source": {"kind": "solver"}, "max_response_tokens": 40}}
    root.set(STUDY_FILE, "priming", value=priming | {"stage": {"epochs": 1, "keep": "last"}})
    root.set(STUDY_FILE, "data", "priming", value=8)
    assert problem(root) == f"priming.experts.{unfit}"


def test_official_answers_are_not_about_the_world(root):
    root.set(STUDY_FILE, "data", "source", value={"kind": "world"})
    assert problem(root) == "experts.source.kind: official: expected data.source.kind bfcl, got world"
