"""Scores come from the completions file alone; a file that is not whole, or a grader that fails, is an error."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chord import tasks
from chord.errors import GraderError, UserError
from chord.evaluation import records, score
from chord.io.files import write_jsonl

ROWS = [
    {"id": f"t-{number}", "messages": [], "gold": "1 2", "task": "world", "group": f"T{number % 2}", "meta": {}}
    for number in range(3)
]
TEXTS = ["ok answer 1 2", "ok answer 2 1", "no idea", "cut off here"]
RECORD = {
    "spec": {"k": 4},
    "method": "rl",
    "seed_index": 0,
    "benchmark": "world_test",
    "k": 4,
    "spec_hash": "abc",
    "manifest": None,
}


def completions(ids=("t-0", "t-1", "t-2"), samples=(0, 1, 2, 3)) -> list[dict]:
    return [
        {
            "prompt_id": name,
            "group": f"T{int(name[2:]) % 2}",
            "sample": sample,
            "text": TEXTS[sample % 4],
            "tokens": 5 + sample,
            "truncated": sample == 3,
            "seed": sample,
        }
        for name in ids
        for sample in samples
    ]


@pytest.fixture
def files(tmp_path):
    """(rows, write completions and score them -> table of scores)"""
    rows = tmp_path / "rows.jsonl"
    write_jsonl(rows, ROWS)

    def run(items: list[dict]) -> pa.Table:
        given, out = tmp_path / "completions.parquet", tmp_path / "scores.parquet"
        records.write(given, pa.Table.from_pylist(items, schema=records.COMPLETIONS), RECORD)
        score.run(given, rows, out)
        return pq.read_table(out)

    return run


@pytest.mark.parametrize("task", ["mmlu_pro", "mmlu_pro_letter"])
def test_multiple_choice_has_the_official_verdict_beside_ours(task, tmp_path):
    rows, given, out = tmp_path / "rows.jsonl", tmp_path / "completions.parquet", tmp_path / "scores.parquet"
    options = {"options": ["a0", "b0", "c0"]}
    write_jsonl(
        rows,
        [{"id": "t-0", "messages": [], "gold": "1", "task": task, "group": "T0", "meta": options}],
    )
    texts = ["The answer is (B). \\boxed{1}", "The answer is (A). No, wait: the answer is (B).", "plan B", "none"]
    items = [item | {"text": text} for item, text in zip(completions(("t-0",)), texts, strict=True)]
    records.write(given, pa.Table.from_pylist(items, schema=records.COMPLETIONS), RECORD)
    score.run(given, rows, out)
    table = pq.read_table(out)
    assert table["official_correct"].to_pylist() == [True, False, True, False]
    ours = [True, task == "mmlu_pro_letter", False, False]
    assert table["correct"].to_pylist() == ours


@pytest.mark.parametrize("chunk", [5, 65536])
def test_scores_and_their_record(files, chunk, monkeypatch):
    monkeypatch.setattr(score, "CHUNK_ROWS", chunk)
    table = files(completions())
    assert table.schema.remove_metadata() == records.SCORES
    assert table["reward"].to_pylist() == [1.0, 0.0, -0.1, -1.0] * 3
    assert table["correct"].to_pylist() == [True, False, False, False] * 3
    assert table["parsed"].to_pylist() == [True, True, False, False] * 3
    assert table["reason"].to_pylist() == ["correct", "wrong", "unparsed", "truncated"] * 3
    assert table["official_correct"].to_pylist() == [None] * 12
    assert table["tokens"].to_pylist() == [5, 6, 7, 8] * 3
    assert table["group"].to_pylist() == ["T0"] * 4 + ["T1"] * 4 + ["T0"] * 4
    record = json.loads(table.schema.metadata[b"chord"])
    assert {key: record[key] for key in records.IDENTITY} == {key: RECORD[key] for key in records.IDENTITY}
    assert record["generate"] == RECORD
    assert set(record["score"]["inputs"]) == {"completions", "rows"}
    assert record["score"]["tasks_sha256"]
    assert record["score"]["reasons"] == {"correct": 3, "wrong": 3, "unparsed": 3, "truncated": 3}


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (completions(ids=["t-0", "t-1"]), r"'t-2' has no completion \(1 in all\)"),
        (completions(ids=["t-0", "t-1", "t-2", "t-9"]), "'t-9' is not among the rows"),
        (completions()[:-1], "'t-2': sample 3 of 4 is missing"),
        (completions() + completions()[5:6], "'t-1': sample 1 is there twice"),
        (completions(samples=[0, 1, 2, 3, 4]), "'t-0': sample 4, but k is 4"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(files, items, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        files(items)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "scores.parquet").exists()


def test_a_failing_grader_is_an_error_that_names_the_row(files, monkeypatch, tmp_path):
    def broken(row, text, truncated):
        return tasks.Verdict(1 / (text != TEXTS[2]), True, True, "correct")

    monkeypatch.setitem(tasks.TASKS, "world", tasks.Task("world", broken))
    with pytest.raises(
        GraderError, match=r"row 't-0': the grader of task 'world' failed on the response 'no idea'"
    ) as caught:
        files(completions())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert not (tmp_path / "scores.parquet").exists()


def test_other_files_are_refused(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / "text.parquet").write_text("no")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "plain.parquet")
    records.write(tmp_path / "scores.parquet", records.SCORES.empty_table(), RECORD)
    for name, message in (("text", "not a whole parquet file"), ("plain", "no record"), ("scores", "columns")):
        with pytest.raises(UserError, match=message):
            score.run(tmp_path / f"{name}.parquet", tmp_path / "rows.jsonl", tmp_path / "out.parquet")


def test_scoring_imports_no_framework():
    code = "import sys, chord.evaluation.score; print(*({'torch', 'transformers', 'pandas'} & set(sys.modules)))"
    source = str(Path(score.__file__).parents[2])
    found = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": source}, capture_output=True, text=True)
    assert (found.stdout.strip(), found.returncode) == ("", 0), found.stderr
