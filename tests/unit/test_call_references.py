"""References that are calls: checked when they are read, without the null keys by which Arrow fills up structs."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chord.data import benchmark
from chord.errors import UserError
from chord.io.files import read_jsonl
from chord.tasks import verdict
from tests.helpers import dataset_rows
from tests.helpers.dataset_rows import write
from tests.helpers.shipped_benchmarks import rows_of

ASKED = [{"role": "user", "content": "buy tea"}]
CALL = {"name": "shop.buy", "arguments": {"item": "tea"}}


def prepared(tmp_path, rows: list[dict], kind: str = "jsonl") -> list[dict]:
    """Rows of messages `m` and answer `a` as `chord benchmark` writes them for the task tool_call."""
    folder = tmp_path / "rows"
    if kind == "parquet":
        folder.mkdir()
        pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    else:
        write(folder, {"rows.jsonl": rows})
    columns = {"messages": "m", "answer": "a"}
    source = {"kind": "columns", "folder": str(folder), "files": ["*"], "task": "tool_call", "columns": columns}
    benchmark.run({"seed": 1, "name": "tools", "source": source}, tmp_path / "tools.jsonl")
    return read_jsonl(tmp_path / "tools.jsonl")


def rewarded(row: dict, calls: list[dict]) -> bool:
    return verdict(row, f"<think>a</think><tool_call>{json.dumps(calls)}</tool_call>", False).correct


@pytest.mark.parametrize(
    "answer",
    [
        [CALL],
        CALL,
        json.dumps([CALL]),
        json.dumps(CALL),
        [CALL | {"arguments": json.dumps(CALL["arguments"])}],
        json.dumps([CALL | {"arguments": json.dumps(CALL["arguments"])}]),
        [{"id": "1", "type": "function", "function": CALL | {"arguments": json.dumps(CALL["arguments"])}}],
        [{"shop.buy": {"item": "tea"}}],
    ],
)
def test_a_reference_in_every_layout_rewards_the_right_call(tmp_path, answer):
    (row,) = prepared(tmp_path, [{"m": ASKED, "a": answer}])
    assert json.loads(row["gold"]) == [CALL]
    assert rewarded(row, [CALL])
    assert not rewarded(row, [{"name": "shop.buy", "arguments": {"item": "coffee"}}])


@pytest.mark.parametrize("answer", [[], "[]"])
def test_no_call_may_be_the_reference(tmp_path, answer):
    (row,) = prepared(tmp_path, [{"m": ASKED, "a": answer}])
    assert rewarded(row, [])
    assert not rewarded(row, [CALL])


@pytest.mark.parametrize(
    "answer",
    [
        "shop.buy(item='tea')",
        "null",
        3,
        "3",
        "tea",
        ["shop.buy"],
        [{"name": "shop.buy"}],
        [{"name": "shop.buy", "arguments": None}],
        [{"name": "shop.buy", "arguments": "tea"}],
        [{"name": "shop.buy", "arguments": [1]}],
        [{"arguments": {}}],
        [CALL, None],
        {},
    ],
)
def test_what_is_no_list_of_calls_is_one_line_at_reading(tmp_path, answer):
    with pytest.raises(UserError) as caught:
        prepared(tmp_path, [{"m": ASKED, "a": [CALL]}, {"m": ASKED, "a": answer}])
    assert str(caught.value).startswith(f"{tmp_path / 'rows' / 'rows.jsonl'}:2: column a: expected a list of calls")
    assert "\n" not in str(caught.value)


def test_rows_of_parquet_lose_what_arrow_fills_up(tmp_path):
    other = {"name": "ping", "arguments": {"host": "a", "deep": {"x": 1, "list": [None, {"y": 2}, {"z": 3}]}}}
    first, second = prepared(tmp_path, [{"m": ASKED, "a": [CALL]}, {"m": ASKED, "a": [other]}], "parquet")
    assert json.loads(first["gold"]) == [CALL]
    assert json.loads(second["gold"]) == [other]
    assert rewarded(first, [CALL])


def test_bfcl_from_parquet(tmp_path):
    questions = dataset_rows.BFCL["BFCL_v3_simple.json"] + [
        {
            "id": "simple_1",
            "question": [[{"role": "user", "content": "Ping a."}]],
            "function": [
                {
                    "name": "ping",
                    "description": "Pings.",
                    "parameters": {"type": "dict", "properties": {"host": {"type": "string"}}, "required": ["host"]},
                }
            ],
        }
    ]
    answers = [
        {"id": "simple_0", "ground_truth": [{"weather": {"city": ["Rome"]}}]},
        {"id": "simple_1", "ground_truth": [{"ping": {"host": ["a"]}}]},
    ]
    folder = tmp_path / "rows"
    (folder / "possible_answer").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(questions), folder / "BFCL_v3_simple.parquet")
    pq.write_table(pa.Table.from_pylist(answers), folder / "possible_answer" / "BFCL_v3_simple.parquet")
    found = rows_of("bfcl_v3", folder, tmp_path, categories=["simple"])
    assert [json.loads(row["gold"]) for row in found] == [answer["ground_truth"] for answer in answers]
    assert [row["meta"]["functions"] for row in found] == [question["function"] for question in questions]


@pytest.mark.parametrize("city", ["Rome", None, 3, {"k": ["v"]}])
def test_a_truth_of_a_wrong_shape_is_one_line_at_reading(tmp_path, city):
    answers = [{"id": "simple_0", "ground_truth": [{"weather": {"city": city}}]}]
    folder = write(tmp_path / "rows", dataset_rows.BFCL | {"possible_answer/BFCL_v3_simple.json": answers})
    message = r"possible_answer/BFCL_v3_simple\.json:1: column ground_truth: .*weather, city: expected a list"
    with pytest.raises(UserError, match=message):
        rows_of("bfcl_v3", folder, tmp_path, categories=["simple"])


def test_a_function_without_parameters_is_one_line_at_reading(tmp_path):
    question = dataset_rows.BFCL["BFCL_v3_simple.json"][0]
    odd = question | {"function": [question["function"][0] | {"parameters": None}]}
    folder = write(tmp_path / "rows", dataset_rows.BFCL | {"BFCL_v3_simple.json": [odd]})
    with pytest.raises(UserError, match=r"BFCL_v3_simple\.json:1: column function: expected a function with"):
        rows_of("bfcl_v3", folder, tmp_path, categories=["simple"])
