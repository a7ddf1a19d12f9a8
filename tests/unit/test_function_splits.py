"""BFCL as training data: no function and no near-duplicate question on two sides."""

import json
from pathlib import Path

import pytest

from chord.data import benchmark, prepare
from chord.data.function_splits import choose_families, families
from chord.errors import UserError
from chord.io.files import read_json, read_jsonl
from chord.study import load_study
from chord.study.hub import repositories
from chord.tasks import verdict
from chord.tasks.bfcl_answers import right_calls
from tests.helpers.bfcl_files import bfcl_folder, function
from tests.helpers.study_files import STUDY_FILE, Root

CATEGORIES = ["simple", "multiple", "live_simple"]


def source(folder: Path, **more) -> dict:
    return {"kind": "bfcl", "folder": str(folder), "categories": ["simple"]} | more


def prepared(out: Path, source: dict, sizes: tuple[int, int, int], tests=(), seed: int = 1) -> dict[str, list[dict]]:
    spec = {"seed": seed, "source": source} | dict(zip(prepare.SPLITS, sizes, strict=True))
    prepare.run(spec, out, tests)
    return {name: read_jsonl(out / f"{name}.jsonl") for name in prepare.SPLITS}


def test_rows_with_the_same_functions_are_a_family():
    rows = [
        ("What is the area of a field?", [function("area.of_field", "a")]),
        (
            "How large is my garden?",
            [function("AreaOfField", "b"), function("price", "a")],
        ),  # the name, and a second one
        ("What does a loaf cost?", [function("price", "of")]),  # linked by a function that is only offered
        ("Who won the game?", [function("winner", "year", "team")]),
        ("Who lost it?", [function("loser", "team", "year")]),  # the same parameters
        ("Where is Rome?", [function("place", "a")]),  # one parameter in common makes nothing the same
    ]
    rows = [{"messages": [], "meta": {"question": question, "functions": own}} for question, own in rows]
    numbers = families(rows)
    assert numbers[0] == numbers[1] == numbers[2]
    assert numbers[3] == numbers[4]
    assert len(set(numbers)) == 3


def test_near_duplicate_questions_are_a_family():
    text = "Please tell me how many people lived in the city of Rome in the year {} of our calendar"
    rows = [{"messages": [], "meta": {"question": text.format(year)}} for year in (1900, 1901)]
    rows.append({"messages": [], "meta": {"question": "How high is the tower?"}})
    numbers = families(rows)
    assert numbers[0] == numbers[1] != numbers[2]


def test_splits_take_whole_families_that_fit(tmp_path):
    """One family of 6 rows beside 12 of one row: validation and SFT have no room for it, RL has."""
    rows = [(f"Large {number}?", [function("large", f"p{number}")]) for number in range(6)]
    rows += [(f"Small {number}?", [function(f"small{number}", "a")]) for number in range(12)]
    folder = bfcl_folder(tmp_path / "bfcl", rows)
    for seed in range(5):
        splits = prepared(tmp_path / "data", source(folder), (5, 9, 4), seed=seed)
        large = {name: sum("Large" in row["meta"]["question"] for row in rows) for name, rows in splits.items()}
        assert large == {"sft": 0, "rl": 6, "validation": 0}
    first = (tmp_path / "data/sft.jsonl").read_bytes()
    prepared(tmp_path / "again", source(folder), (5, 9, 4), seed=4)
    assert (tmp_path / "again/sft.jsonl").read_bytes() == first
    validation = (tmp_path / "data/validation.jsonl").read_bytes()
    prepared(tmp_path / "again", source(folder, draw=1), (5, 9, 4), seed=4)
    assert (tmp_path / "again/validation.jsonl").read_bytes() == validation
    assert (tmp_path / "again/sft.jsonl").read_bytes() != first


def test_no_family_is_more_than_a_tenth_where_there_are_others():
    """Of 20 places a pair may have two; the family of five is taken when only larger ones are left."""

    def chosen(sizes: list[int], count: int) -> list[int]:
        """The sizes of the families that are taken. They are in order of their number."""
        rows = {number: [{"place": number}] * size for number, size in enumerate(sizes)}
        return [sizes[family] for family in choose_families(rows, count, lambda row: row["place"])]

    assert chosen([5, 2, *[1] * 18], 20) == [2, *[1] * 18]
    assert chosen([9, 5, *[1] * 16], 20) == [*[1] * 16, 5]  # the last one is taken in part
    assert chosen([9, 5, *[1] * 10], 20) == [*[1] * 10, 5, 9]


def test_part_of_a_family_that_is_too_large(tmp_path):
    """Where no whole family fits, the rest of the one that is taken in part is on no side."""
    rows = [(f"{name} {number}?", [function(name, f"p{number}")]) for name in "abc" for number in range(4)]
    splits = prepared(tmp_path / "data", source(bfcl_folder(tmp_path / "bfcl", rows)), (3, 3, 3))
    names = {name: {row["meta"]["question"][0] for row in rows} for name, rows in splits.items()}
    assert sorted(map(len, names.values())) == [1, 1, 1]
    assert len(set.union(*names.values())) == 3
    with pytest.raises(UserError, match="rl: expected 5 rows, but only 4 are left of 12"):
        prepared(tmp_path / "data", source(tmp_path / "bfcl"), (3, 5, 3))


def test_functions_of_a_benchmark_are_in_no_split(tmp_path):
    rows = [(f"Question {number}?", [function(f"f{number // 2}", f"p{number}")]) for number in range(20)]
    folder = bfcl_folder(tmp_path / "bfcl", rows)
    test = tmp_path / "held_out.jsonl"
    spec = {"seed": 3, "name": "held_out", "source": source(folder, task="bfcl_call"), "rows_per_group": 3}
    assert benchmark.run(spec, test)["rows"] == 3
    tested = {row["meta"]["functions"][0]["name"] for row in read_jsonl(test)}
    left = 20 - 2 * len(tested)
    splits = prepared(tmp_path / "data", source(folder), (2, left - 4, 2), [test])
    used = {row["meta"]["functions"][0]["name"] for rows in splits.values() for row in rows}
    assert not used & tested
    manifest = read_json(tmp_path / "data/manifest.json")
    dropped = {"function_or_question_of_a_benchmark": 2 * len(tested)}
    assert manifest["sources"]["bfcl"] == {"read": 20, "dropped": dropped}
    assert manifest["contamination"] == {"held_out": {"exact": 3, "near": 0}}

    spec["source"] |= {"choose": "functions"}
    spec["rows_per_group"] = 4
    benchmark.run(spec, test)
    assert len({row["meta"]["functions"][0]["name"] for row in read_jsonl(test)}) == 2  # both questions about each


def test_a_study_says_so_in_its_data_and_in_a_benchmark(tmp_path):
    """One wheel, from which both take their files."""
    root = Root(tmp_path)
    (tmp_path / "models/base").mkdir(parents=True)
    rows = {"kind": "bfcl", "dataset": "pypi:bfcl-eval==2025.8.6", "categories": ["simple"], "task": "bfcl_call"}
    test = {"source": rows | {"categories": ["multiple"], "choose": "functions"}, "rows_per_group": 20}
    root.set(STUDY_FILE, "data", "source", value=rows)
    root.set("config/benchmarks/world.yaml", "data", value=test)
    (needed,) = repositories(load_study("small", tmp_path)).values()
    assert needed.globs == ("*BFCL_v3_multiple.json", "*BFCL_v3_simple.json")
    root.set(STUDY_FILE, "data", "source", value=rows | {"choose": "functions"})
    with pytest.raises(UserError, match=r"data\.source\.choose: unknown key"):
        load_study("small", tmp_path)


def calls_of(row: dict) -> list[dict] | None:
    return right_calls(row["meta"]["functions"], json.loads(row["gold"]), row["meta"]["category"])


def test_right_calls_leave_out_what_may_be_left_out():
    document = function("f", "must", "may", "nested", "items")
    document["parameters"]["required"] = ["must"]
    answer = {"must": ["", 2], "may": [1, ""], "nested": [{"a": [1, 2], "b": ["", 3]}], "items": [[{"a": [4]}]]}
    arguments = {"must": 2, "nested": {"a": 1}, "items": [{"a": 4}]}
    document["parameters"]["properties"]["nested"]["type"] = "dict"
    document["parameters"]["properties"]["items"] = {"type": "array", "items": {"type": "dict"}}
    assert right_calls([document], [{"f": answer}], "simple") == [{"name": "f", "arguments": arguments}]


def test_a_question_without_a_right_answer_trains_nobody(tmp_path):
    rows = [(f"Question {number}?", [function(f"f{number}", "a")]) for number in range(4)]
    folder = bfcl_folder(tmp_path / "bfcl", rows)
    path = folder / "possible_answer/BFCL_v3_simple.json"
    path.write_text(path.read_text().replace('{"f2": {"a": [1]}}', '{"f2": {"a": []}}'))
    splits = prepared(tmp_path / "data", source(folder), (1, 1, 1))
    assert all("2" not in row["meta"]["question"] for rows in splits.values() for row in rows)
    sources = read_json(tmp_path / "data/manifest.json")["sources"]
    assert sources["bfcl"] == {"read": 4, "dropped": {"no_right_answer": 1}}


def test_the_real_rows(benchmark_data, tmp_path):
    """Three of BFCL's categories: the sides share no function, and the tasks have the same rows."""
    rows = source(benchmark_data / "bfcl_v3", categories=CATEGORIES)
    test = tmp_path / "held_out.jsonl"
    spec = {"seed": 5, "name": "held_out", "source": rows | {"task": "bfcl_call", "choose": "functions"}}
    record = benchmark.run(spec | {"rows_per_group": 30}, test)
    assert set(record["groups"].values()) == {30}
    splits = prepared(tmp_path / "data", rows | {"task": "bfcl_call"}, (120, 120, 40), [test], seed=5)
    splits["test"] = read_jsonl(test)
    sides = [(name, row) for name, rows in splits.items() for row in rows]
    numbers = families([row for _, row in sides])
    assert len({(number, name) for number, (name, _) in zip(numbers, sides, strict=True)}) == len(set(numbers))
    tool = prepared(tmp_path / "tool", rows, (120, 120, 40), [test], seed=5)
    assert [row["id"] for row in tool["sft"]] == [row["id"] for row in splits["sft"]]
    row = tool["sft"][0]
    call = f"<tool_call>{json.dumps(calls_of(row))}</tool_call>"
    assert verdict(row, f"<think>Look.</think>{call}", False).reward == 1.0
    assert verdict(row, call, False) == (0.0, False, True, "format")
