"""Columns as datasets have them: numbers, nothing, placeholders, lists, broken text, columns that do not fit."""

import datetime
import json
import logging
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from chord.cli import main
from chord.data import benchmark, prepare
from chord.data.columns_reader import column_rows
from chord.data.rows_spec import ColumnsSource
from chord.errors import UserError
from chord.io.files import read_json, read_jsonl
from chord.study import load_study
from chord.tasks import verdict
from tests.helpers.study_files import Root

ROOT = Path(__file__).parents[2]
CASES = [json.loads(line) for line in (ROOT / "tests/data/cases/rows.jsonl").read_text(encoding="utf-8").splitlines()]
MATHS = {"question": "q", "answer": "a"}


def write_raw(path: Path, *lines: str) -> Path:
    """A file of these lines, escapes and bare constants as they stand; returns its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path.parent


def spec_of(folder: Path, task: str = "math", columns: dict = MATHS, answers: str = "text") -> dict:
    source = {"kind": "columns", "folder": str(folder), "files": ["*"], "task": task}
    return {"seed": 1, "name": "b", "source": source | {"columns": columns, "answers": answers}}


def golds(tmp_path: Path, *answers: str, **more) -> list[str]:
    """The references that a benchmark of these answers, as JSON, gets."""
    lines = [f'{{"q": "What is number {n}?", "a": {answer}}}' for n, answer in enumerate(answers)]
    benchmark.run(spec_of(write_raw(tmp_path / "rows/test.jsonl", *lines), **more), tmp_path / "b.jsonl")
    return [row["gold"] for row in read_jsonl(tmp_path / "b.jsonl")]


@pytest.mark.parametrize("case", [case for case in CASES if "tool_call reference" not in case["kind"]], ids=str)
def test_a_case_is_read_rightly_or_refused_in_one_line(case, tmp_path):
    row = json.dumps(case["row"]).replace('"__NaN__"', "NaN")
    folder = write_raw(tmp_path / "rows/test.jsonl", row)
    command = ["benchmark", "--spec", json.dumps(spec_of(folder, case["task"], case["columns"], case["answers"]))]
    if main([*command, "--out", str(tmp_path / "b.jsonl")]) == 0:
        (found,) = read_jsonl(tmp_path / "b.jsonl")
        assert "one line; no traceback" not in case["expected"] or case["kind"] == "more than ten options"
        if "right_answer" in case:
            response = f"<think>\nSo.\n</think>\n\\boxed{{{case['right_answer']}}}"
            assert verdict(found, response, False).correct
    else:
        assert "graded right" not in case["expected"]


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("4e-05", "0.00004"),
        ("2.5e-06", "0.0000025"),
        ("-1e-7", "-0.0000001"),
        ("1e16", "10000000000000000"),
        ("4.5e33", "4.5e33"),
        ("6.62607015e-34", "6.62607015e-34"),
        ("1e-300", "1e-300"),
        ("27.0", "27.0"),
        ("0.1", "0.1"),
        ("0", "0"),
        ("12345678901234567890123", "12345678901234567890123"),
        ('"4e-05"', "4e-05"),  # a text stays as it stands
        ('" 027 "', "027"),
        ('"1.50"', "1.50"),
        ('"none"', "none"),
        ('"infinity"', "infinity"),
        ('"undefined"', "undefined"),
        ('"proof by cases"', "proof by cases"),
        ('["6", "11"]', "6, 11"),
        ("[6, 11]", "6, 11"),
        ('[1, 2.5, "x"]', "1, 2.5, x"),
        ('["(1,2)", "(3,4)"]', "(1,2), (3,4)"),
        ('["1,2"]', "1,2"),
        ('{"value": "6"}', "6"),
        ('{"value": 4e-05, "unit": null}', "0.00004"),
        ('{"answer": ["6", "11"]}', "6, 11"),
    ],
)
def test_a_reference_is_read(answer, gold, tmp_path):
    assert golds(tmp_path, answer) == [gold]


@pytest.mark.parametrize(
    "answer",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "null",
        '""',
        '"  "',
        '"proof"',
        '"Proof."',
        '"notfound"',
        '"not found"',
        '"nan"',
        '"NULL"',
        '"N/A"',
        "[]",
        "{}",
        "[null]",
        '["proof"]',
        '{"value": null}',
        '{"value": NaN}',
    ],
)
def test_no_reference_is_an_error_of_a_benchmark_and_left_out_of_training(answer, tmp_path, caplog):
    with pytest.raises(UserError) as caught:
        golds(tmp_path, "7", answer, answer, answer)
    assert str(caught.value).startswith(f"{tmp_path}/rows/test.jsonl:2: column a: expected an answer, got ")
    assert str(caught.value).endswith("; so are 3 of 4 rows")
    assert not (tmp_path / "b.jsonl").exists()
    source = {"kind": "columns", "folder": str(tmp_path / "rows"), "files": ["*"], "task": "math", "columns": MATHS}
    more = "".join(f'{{"q": "Another {n}?", "a": {n}}}\n' for n in range(4))
    with open(tmp_path / "rows/test.jsonl", "a", encoding="utf-8") as file:
        file.write(more)
    caplog.set_level(logging.WARNING)
    prepare.run({"seed": 1, "source": source, "sft": 1, "rl": 1, "validation": 1}, tmp_path / "data")
    assert read_json(tmp_path / "data/manifest.json")["sources"]["columns"]["dropped"] == {"unusable_answer": 3}
    assert "dropped 3 of 8 rows" in caplog.text
    assert "test.jsonl:2: column a: expected an answer" in caplog.text


def test_training_rows_without_a_single_answer_are_an_error(tmp_path):
    folder = write_raw(tmp_path / "rows/test.jsonl", '{"q": "Why?", "a": "proof"}', '{"q": "How?", "a": null}')
    source = spec_of(folder)["source"]
    with pytest.raises(UserError, match=r"none of its 2 rows has an answer that can be used; .*:1: column a: "):
        prepare.run({"seed": 1, "source": source, "sft": 1, "rl": 1, "validation": 1}, tmp_path / "data")


@pytest.mark.parametrize(
    "answer",
    [
        "true",
        '{"x": 3, "y": 4}',
        '["1,000", "2"]',
        "[[1, 2], [3, 4]]",
        '["6", null]',
        '[true, "6"]',
        '{"a": {"b": true}}',
        '["6", "proof"]',
        "[6, NaN]",
    ],
)
def test_what_can_be_read_in_two_ways_is_one_line(answer, tmp_path):
    with pytest.raises(UserError, match=r"test\.jsonl:2: column a: expected .*, got ") as caught:
        golds(tmp_path, "7", answer)
    assert "\n" not in str(caught.value)


def test_whole_numbers_are_read_from_floats_of_any_size(tmp_path):
    assert golds(tmp_path, "1e16", "27.0", '"025"', answers="integer") == ["10000000000000000", "27", "25"]


def test_nothing_is_guessed_from_neighbours_or_looks(tmp_path):
    """What readers of `datasets` do: dates become timestamps, a column of numbers and texts one of them."""
    shown = ['"2024-01-01"', '"12:30"', '"1e5"', '"007"', "7", "7.0", '"true"', '"[1, 2]"', '"1,5"', '"3/4"']
    expected = ["2024-01-01", "12:30", "1e5", "007", "7", "7.0", "true", "[1, 2]", "1,5", "3/4"]
    assert golds(tmp_path, *shown) == expected
    assert golds(tmp_path, *reversed(shown)) == expected[::-1]
    (tmp_path / "list").mkdir()
    rows = ", ".join(f'{{"q": "2024-0{n % 9 + 1}-01", "a": {answer}}}' for n, answer in enumerate(shown))
    (tmp_path / "list/test.json").write_text(f"[{rows}]", encoding="utf-8")
    source = ColumnsSource.model_validate(spec_of(tmp_path / "list")["source"])
    found = list(column_rows(source, tmp_path / "list", "b"))
    assert [row["gold"] for row in found] == expected
    assert found[0]["messages"][-1]["content"] == "2024-01-01"
    table = pa.table({"q": ["2024-01-01", "12:30"], "a": pa.array(["2024-01-01", "1e5"])})
    (tmp_path / "parquet").mkdir()
    pq.write_table(table, tmp_path / "parquet/test.parquet")
    source = ColumnsSource.model_validate(spec_of(tmp_path / "parquet")["source"])
    found = list(column_rows(source, tmp_path / "parquet", "b"))
    assert [(row["messages"][-1]["content"], row["gold"]) for row in found] == [
        ("2024-01-01", "2024-01-01"),
        ("12:30", "1e5"),
    ]


def test_columns_of_parquet(tmp_path):
    def read(values: pa.Array) -> list[str]:
        (tmp_path / "rows").mkdir(exist_ok=True)
        pq.write_table(pa.table({"q": ["How much?"] * len(values), "a": values}), tmp_path / "rows/test.parquet")
        benchmark.run(spec_of(tmp_path / "rows"), tmp_path / "b.jsonl")
        return [row["gold"] for row in read_jsonl(tmp_path / "b.jsonl")]

    assert read(pa.array([4e-05, 27.0])) == ["0.00004", "27.0"]
    assert read(pa.array([Decimal("12.50"), Decimal("0.01")])) == ["12.50", "0.01"]
    assert read(pa.array([["6", "11"], ["3"]])) == ["6, 11", "3"]
    # A struct has the keys of all rows, and null where a row has none.
    assert read(pa.array([{"value": "6"}, {"text": "seven"}])) == ["6", "seven"]
    for column in (pa.array([datetime.date(2024, 1, 1)]), pa.array([b"6"]), pa.array([True])):
        with pytest.raises(UserError, match=r"test\.parquet:1: column a: expected text or a number, got "):
            read(column)
    broken = pa.StringArray.from_buffers(1, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe"))
    with pytest.raises(UserError, match="expected UTF-8 in a column of text"):
        read(broken)


@pytest.mark.parametrize("half", ["\\ud83d", "\\uDE00", "\\ud83dx\\ude00", "\\ude00\\ud83d"])
def test_half_of_a_surrogate_pair_is_one_line_wherever_it_stands(half, tmp_path):
    row = '{{"q": "{q}", "a": "{a}", "m": [{{"role": "user", "content": "{m}"}}]}}'
    for key in "qam":
        texts = dict.fromkeys("qam", "1 \\ud83d\\ude00") | {key: f"x{half}y"}
        lines = [row.format(q="1", a="1", m="\\ud83d\\ude00"), row.format(**texts)]
        for name in ("rows.jsonl", "test.json"):
            folder = tmp_path / key / name.replace(".", "_")
            text = f"[{', '.join(lines)}]" if name == "test.json" else "\n".join(lines)
            with pytest.raises(UserError, match=rf"{name}:2: column {key}: expected text, got .* surrogate pair"):
                benchmark.run(spec_of(write_raw(folder / name, text)), tmp_path / "b.jsonl")
    assert golds(tmp_path, '"\\ud83d\\ude00"') == ["\U0001f600"]  # a whole pair is a sign


@pytest.mark.parametrize("weight", ["NaN", "Infinity", "null", '"1"'])
def test_a_weight_of_a_rubric_that_is_no_number_is_one_line(weight, tmp_path):
    line = f'{{"q": "Why?", "r": [{{"description": "says why", "weight": {weight}}}]}}'
    spec = spec_of(write_raw(tmp_path / "rows/test.jsonl", line), "rubric", {"question": "q", "rubric": "r"})
    with pytest.raises(UserError, match=r"test\.jsonl:1: column r: expected a list of \{description: text, weight"):
        benchmark.run(spec, tmp_path / "b.jsonl")


def test_json_without_end_is_one_line(tmp_path):
    folder = write_raw(tmp_path / "rows/test.jsonl", '{"q": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(UserError, match=r"test\.jsonl:1: not valid JSON"):
        benchmark.run(spec_of(folder), tmp_path / "b.jsonl")


@pytest.mark.parametrize(
    ("task", "columns", "message"),
    [
        ("math", {"question": "q", "answer": "a", "options": "o"}, "expected no options, which the task math does not"),
        ("math", {"question": "q", "rubric": "r"}, "expected no rubric, which the task math does not take"),
        (
            "math_trinity",
            {"question": "q", "answer": "a", "rubric": "r"},
            "expected no rubric, which the task math_tri",
        ),
        ("mmlu_pro", {"question": "q", "answer": "a"}, "expected question and options, which the task mmlu_pro needs"),
        ("mmlu_pro_letter", {"messages": "m", "answer": "a"}, "expected question and options"),
        ("tool_call", {"question": "q", "answer": "a"}, "expected messages instead of a question"),
        ("tool_call", {"question": "q", "options": "o", "answer": "a"}, "expected no options"),
        ("rubric", {"question": "q", "answer": "a"}, "expected a column for rubric"),
        ("math", {"question": "q", "messages": "m", "answer": "a"}, "expected either a column for question or one for"),
        ("math", {"answer": "a"}, "expected either a column for question or one for messages"),
        ("math", {"question": "q"}, "expected a column for answer"),
    ],
)
def test_columns_that_do_not_fit_the_task_are_one_line_of_the_check(task, columns, message, tmp_path, capsys):
    root = Root(tmp_path)
    source = {"kind": "columns", "folder": "rows", "files": ["*"], "task": task, "columns": columns}
    root.set("config/benchmarks/world.yaml", "data", value={"source": source})
    assert main(["check", "small", "--root", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("chord: error: config/benchmarks/world.yaml: data.source.columns")
    assert message in line


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        ("math", {"messages": "m", "answer": "a"}),
        ("mmlu_pro", {"question": "q", "options": "o", "answer": "a"}),
        ("tool_call", {"messages": "m", "answer": "a"}),
        ("rubric", {"question": "q", "rubric": "r", "answer": "a"}),
    ],
)
def test_columns_that_fit_pass(task, columns, tmp_path):
    root = Root(tmp_path)
    source = {"kind": "columns", "folder": "rows", "files": ["*"], "task": task, "columns": columns}
    root.set("config/benchmarks/world.yaml", "data", value={"source": source})
    assert load_study("small", tmp_path).benchmarks["world"].data.source.task == task


@pytest.mark.parametrize(("kind", "task"), [("openr1", "mmlu_pro"), ("openr1", "rubric"), ("toolace", "math")])
def test_recipes_refuse_tasks_of_other_datasets(kind, task, tmp_path, capsys):
    root = Root(tmp_path)
    root.set(
        "config/studies/small.yaml", "data", "source", value={"kind": kind, "folder": "x", "files": ["*"], "task": task}
    )
    assert main(["check", "small", "--root", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"data.source.task: unknown value '{task}'" in line
    assert line.endswith("tool_call" if kind == "toolace" else "math, math_trinity")


def test_more_options_than_letters_are_one_line(tmp_path):
    columns = {"question": "q", "answer": "a", "options": "o"}
    row = {"q": "Which?", "o": [f"v{n}" for n in range(27)], "a": 26}
    folder = write_raw(tmp_path / "rows/test.jsonl", json.dumps(row))
    with pytest.raises(UserError, match=r"test\.jsonl:1: column o: expected at most \d+ options.*, got 27"):
        benchmark.run(spec_of(folder, "mmlu_pro_letter", columns, "integer"), tmp_path / "b.jsonl")
    benchmark.run(spec_of(folder, "mmlu_pro", columns, "integer"), tmp_path / "b.jsonl")  # numbers go on
    assert read_jsonl(tmp_path / "b.jsonl")[0]["gold"] == "26"


def test_the_shipped_benchmarks_fit_their_tasks():
    for path in (ROOT / "config/benchmarks").glob("*.yaml"):
        source = yaml.safe_load(path.read_text(encoding="utf-8"))["data"]["source"]
        if source["kind"] == "columns":
            ColumnsSource.model_validate(source)
