"""Readers of the benchmarks' formats: golds worked by hand, groups, and refusals that name file, row and column."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chord.data import benchmark
from chord.data.toolace_reader import UnreadableCall, offered_functions, read_calls, read_toolace
from chord.errors import UserError
from chord.io.files import read_json, read_jsonl
from chord.io.provenance import file_sha256
from chord.tasks import find_task
from tests.helpers import dataset_rows
from tests.helpers.dataset_rows import toolace, write
from tests.helpers.shipped_benchmarks import REAL, rows_of, shipped

TASKS = {"mmlu_pro": "mmlu_pro", "bfcl_v3": "bfcl", "bfcl_v3_irrelevance": "bfcl"}


@pytest.mark.parametrize(
    ("name", "file", "rows", "golds", "ids", "groups"),
    [
        ("aime24", "train.jsonl", dataset_rows.AIME, ["9", "25"], ["aime24-60", "aime24-61"], {"aime24"}),
        ("amc83", "data/train-0.jsonl", dataset_rows.AMC, ["27", "720"], ["amc83-0", "amc83-1"], {"amc83"}),
        (
            "math500",
            "test.jsonl",
            dataset_rows.MATH,
            ["\\frac{1}{4}", "2"],
            ["math500-test/algebra/1.json", "math500-test/algebra/2.json"],
            {"1", "2"},
        ),
        ("gsm8k", "main/test.jsonl", dataset_rows.GSM8K, ["7", "2400"], ["gsm8k-000000", "gsm8k-000001"], {"gsm8k"}),
        ("mmlu_pro", "test.jsonl", dataset_rows.MMLU_PRO, ["1", "1"], ["mmlu_pro-7", "mmlu_pro-8"], {"art", "maths"}),
        (
            "rar_medicine",
            "test.jsonl",
            dataset_rows.RAR_MEDICINE,
            ["Rest", "Water"],
            ["rar_medicine-000000", "rar_medicine-000001"],
            {"rar_medicine"},
        ),
    ],
)
def test_golds_ids_and_groups(name, file, rows, golds, ids, groups, tmp_path):
    folder = write(tmp_path / "rows", {file: rows})
    found = rows_of(name, folder, tmp_path)
    assert [row["gold"] for row in found] == golds
    assert [row["id"] for row in found] == ids
    assert {row["group"] for row in found} == groups
    question = rows[0].get("problem") or rows[0]["question"]
    assert found[0]["meta"]["question"].startswith(question)
    assert question in found[0]["messages"][-1]["content"]
    manifest = read_json(tmp_path / f"{name}.manifest.json")
    assert manifest["inputs"] == {file: file_sha256(folder / file)}
    assert manifest["read"] == manifest["rows"] == 2


def test_parquet_as_on_the_hub(tmp_path):
    (tmp_path / "rows/data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(dataset_rows.MMLU_PRO), tmp_path / "rows/data/test-00000-of-00001.parquet")
    pq.write_table(pa.Table.from_pylist(dataset_rows.MMLU_PRO), tmp_path / "rows/data/validation-0.parquet")
    found = rows_of("mmlu_pro", tmp_path / "rows", tmp_path)
    assert [row["meta"]["options"] for row in found] == [["sky", "rose"], ["one", "two"]]


def test_other_files_of_the_folder_are_not_read(tmp_path):
    """GSM8K has training rows beside the test rows."""
    folder = write(tmp_path / "rows", {"main/test.jsonl": dataset_rows.GSM8K[:1], "main/train.jsonl": [{"no": "rows"}]})
    assert len(rows_of("gsm8k", folder, tmp_path)) == 1


def test_bfcl(tmp_path):
    folder = write(tmp_path / "rows", dataset_rows.BFCL)
    found = rows_of("bfcl_v3", folder, tmp_path, categories=["simple", "live_simple"])
    assert [(row["id"], row["group"]) for row in found] == [
        ("simple_0", "non_live/simple"),
        ("live_simple_0-0-0", "live/live_simple"),
    ]
    assert json.loads(found[0]["gold"]) == [{"weather": {"city": ["Rome"]}}]
    assert found[0]["meta"]["category"] == "simple"
    assert found[0]["meta"]["functions"][0]["name"] == "weather"
    nothing = rows_of("bfcl_v3_irrelevance", folder, tmp_path, categories=["irrelevance"])
    assert [row["gold"] for row in nothing] == ["[]", "[]"]
    manifest = read_json(tmp_path / "bfcl_v3.manifest.json")
    assert set(manifest["inputs"]) == {name for name in dataset_rows.BFCL if "irrelevance" not in name}
    with pytest.raises(UserError, match=r"no file BFCL_v3_multiple\.json"):
        rows_of("bfcl_v3", folder, tmp_path)
    write(folder, {"BFCL_v3_multiple.json": []})
    with pytest.raises(UserError, match=r"no file possible_answer/BFCL_v3_multiple\.json"):
        rows_of("bfcl_v3", folder, tmp_path, categories=["multiple"])
    write(folder, {"possible_answer/BFCL_v3_simple.json": []})
    with pytest.raises(UserError, match=r"BFCL_v3_simple\.json:1: column id: 'simple_0' has no answer"):
        rows_of("bfcl_v3", folder, tmp_path, categories=["simple"])


@pytest.mark.parametrize(
    ("name", "file", "row", "change", "message"),
    [
        ("aime24", "train.jsonl", dataset_rows.AIME[0], {"answer": "1/2"}, "column answer: expected a whole number"),
        ("aime24", "train.jsonl", dataset_rows.AIME[0], {"answer": True}, "column answer: expected a whole number"),
        ("aime24", "train.jsonl", dataset_rows.AIME[0], {"problem": 3}, "column problem: expected text, got 3"),
        ("aime24", "train.jsonl", dataset_rows.AIME[0], {"problem": " "}, "column problem: expected text"),
        (
            "amc83",
            "train.jsonl",
            dataset_rows.AMC[0],
            {"answer": 27.5},
            "column answer: expected a whole number, got 27.5",
        ),
        (
            "math500",
            "test.jsonl",
            dataset_rows.MATH[0],
            {"level": None},
            "column level: expected text or a whole number",
        ),
        ("gsm8k", "main/test.jsonl", dataset_rows.GSM8K[0], {"answer": "7"}, "ends in #### and the answer"),
        (
            "mmlu_pro",
            "test.jsonl",
            dataset_rows.MMLU_PRO[0],
            {"options": []},
            "column options: expected a list of text",
        ),
        (
            "mmlu_pro",
            "test.jsonl",
            dataset_rows.MMLU_PRO[0],
            {"answer_index": 2},
            "expected the index of one of 2 options",
        ),
    ],
)
def test_a_wrong_value_is_one_line(name, file, row, change, message, tmp_path):
    folder = write(tmp_path / "rows", {file: [row, row | change]})
    spec = shipped(name, folder)
    spec["source"]["columns"].pop("id", None)
    with pytest.raises(UserError) as caught:
        benchmark.run(spec, tmp_path / f"{name}.jsonl")
    assert str(caught.value).startswith(f"{folder / file}:2: column ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / f"{name}.jsonl").exists()


def test_a_missing_column_names_those_there_are(tmp_path):
    folder = write(tmp_path / "rows", {"test.jsonl": [{"Problem": "1 + 1?", "answer": "2"}]})
    with pytest.raises(UserError, match=r"test\.jsonl:1: column problem: missing; the row has Problem, answer"):
        rows_of("aime25", folder, tmp_path)
    with pytest.raises(UserError, match="none of its 1 files is parquet or JSON Lines and matches \\*train\\*"):
        rows_of("aime24", folder, tmp_path)
    with pytest.raises(UserError, match="nowhere: no such folder"):
        rows_of("aime24", tmp_path / "nowhere", tmp_path)


def test_repeated_ids_are_refused_and_repeated_questions_counted(tmp_path):
    folder = write(tmp_path / "rows", {"test.jsonl": [dataset_rows.MATH[0], dataset_rows.MATH[0] | {"unique_id": "x"}]})
    rows_of("math500", folder, tmp_path)
    assert read_json(tmp_path / "math500.manifest.json")["repeated_questions"] == 1
    write(folder, {"test.jsonl": [dataset_rows.MATH[0], dataset_rows.MATH[0]]})
    with pytest.raises(UserError, match="row 1 already has the id"):
        rows_of("math500", folder, tmp_path)


def test_some_rows_of_each_group_are_a_function_of_the_seed(tmp_path):
    rows = [dataset_rows.MATH[0] | {"level": n % 3, "unique_id": str(n), "problem": f"{n}?"} for n in range(30)]
    spec = shipped("math500", write(tmp_path / "rows", {"test.jsonl": rows}))
    chosen = {}
    for seed, count in ((1, 2), (1, 4), (2, 4)):
        benchmark.run(spec | {"seed": seed, "rows_per_group": count}, tmp_path / "some.jsonl")
        found = read_jsonl(tmp_path / "some.jsonl")
        assert [row["group"] for row in found].count("1") == count
        chosen[seed, count] = [row["id"] for row in found]
    assert set(chosen[1, 2]) < set(chosen[1, 4]) != set(chosen[2, 4])


@pytest.mark.parametrize("name", REAL)
def test_real_rows(name, benchmark_data, tmp_path):
    found = rows_of(name, benchmark_data / REAL[name], tmp_path)
    assert len(found) > 20
    if not name.startswith("bfcl"):
        judge = find_task(found[0]["task"]).judge
        for row in found[:5]:
            assert judge(row, f"<think>\nI know it.\n</think>\n\\boxed{{{row['gold']}}}", False).correct, row["id"]
    if name.startswith(("aime", "amc", "gsm8k")):
        assert all(str(int(row["gold"])) == row["gold"] for row in found)
    if name == "bfcl_v3":
        assert {row["group"].split("/")[0] for row in found} == {"live", "non_live"}
        assert len({row["group"] for row in found}) == 8


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (
            '[weather(city="Rome, Italy", days=2)]',
            [{"name": "weather", "arguments": {"city": "Rome, Italy", "days": 2}}],
        ),
        (
            "[Get Fuel Prices(), b.c()]",
            [{"name": "Get Fuel Prices", "arguments": {}}, {"name": "b.c", "arguments": {}}],
        ),
        (
            "[f(Z.K=[1, 2], on=true, who='O\\'Neil', none=None, d={\"a\": [1.5]})]",
            [{"name": "f", "arguments": {"Z.K": [1, 2], "on": True, "who": "O'Neil", "none": None, "d": {"a": [1.5]}}}],
        ),
        ("[what's up(x=-1)]", [{"name": "what's up", "arguments": {"x": -1}}]),
    ],
)
def test_calls_in_brackets(text, calls):
    assert read_calls(text) == calls


@pytest.mark.parametrize(
    "text", ["[f(x=)]", "[f(x)]", "[f(x=1]", "[f]", "[f(x=1),]", "[(x=1)]", '[f(x="a)]', "[f(x={1, 2})]", "[f(x=open)]"]
)
def test_unreadable_calls(text):
    with pytest.raises(UnreadableCall):
        read_calls(text)


def test_functions_are_found_among_other_brackets():
    assert offered_functions('Use [tools] [1, 2] here: [{"name": "f"}, {"name": "g"}]. Then [x].') == [
        {"name": "f"},
        {"name": "g"},
    ]
    assert offered_functions("none [at] all") == []


def test_a_list_of_rows_in_one_json_file(tmp_path):
    """JSON Lines are called .json as well; ToolACE is one list."""
    (tmp_path / "data.json").write_text(json.dumps([toolace("Rain?", '[weather(city="Rome")]')] * 2, indent=1))
    assert [dialogue.number for dialogue in read_toolace(tmp_path, ("*.json",))] == [0, 1]
    (tmp_path / "data.json").write_text("[{}, 3]")
    with pytest.raises(UserError, match=r"data\.json:2: expected a JSON object, got int"):
        list(read_toolace(tmp_path, ("*.json",)))
    (tmp_path / "data.json").write_text("[{}, ")
    with pytest.raises(UserError, match=r"data\.json: not valid JSON"):
        list(read_toolace(tmp_path, ("*.json",)))


def test_toolace_keeps_single_turns_with_offered_calls(tmp_path):
    rows = [
        toolace("Rain?", '[weather(city="Rome")]'),
        toolace("Rain?", '[weather(city="Rome")]', ("tool", "{}"), ("assistant", "No.")),
        toolace("Rain?", '[weather(city="Rome")]', ("user", "And Oslo?"), ("assistant", '[weather(city="Oslo")]')),
        toolace("Rain?", "I need a city."),
        toolace("Rain?", '[climate(city="Rome")]'),
        toolace("Rain?", "[weather(city=)]"),
    ]
    found = list(read_toolace(write(tmp_path / "rows", {"train.jsonl": rows}), ("*",)))
    assert [dialogue.dropped for dialogue in found] == [
        None,
        None,
        "not_single_turn",
        "no_call",
        "call_not_offered",
        "unreadable_call",
    ]
    assert found[1].calls == ({"name": "weather", "arguments": {"city": "Rome"}},)
    write(tmp_path / "rows", {"train.jsonl": [rows[0], rows[0] | {"conversations": [{"value": "x"}]}]})
    with pytest.raises(UserError, match=r"train\.jsonl:2: column conversations: expected a list of turns"):
        list(read_toolace(tmp_path / "rows", ("*",)))
