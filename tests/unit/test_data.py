"""prepare and benchmark: the same files from the same seed, disjoint splits, refusals of doubled rows, hub folders."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from pydantic import ValidationError

from chord import tasks
from chord.data import benchmark, prepare
from chord.data.hub_folder import read_folder
from chord.data.openr1_reader import read_openr1
from chord.data.row_format import check_disjoint, check_rows, identity
from chord.errors import UserError
from chord.io.files import read_jsonl
from chord.io.provenance import file_sha256
from chord.world import problems, solutions
from chord.world.rows import skill_rows, world_rows

SPEC = {"seed": 7, "sft": 30, "rl": 40, "validation": 20}
OWN = Path(__file__).parents[1] / "data" / "openr1"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    out = tmp_path_factory.mktemp("data")
    return out, prepare.run(SPEC, out)


def test_prepare_writes_what_the_manifest_says(prepared):
    out, manifest = prepared
    assert manifest["rows"] == {"sft": 30, "rl": 40, "validation": 20}
    assert manifest["groups"]["rl"] == {"T1": 14, "T2": 13, "T3": 13}
    for name, digest in manifest["files"].items():
        assert file_sha256(out / name) == digest
    assert json.loads((out / "manifest.json").read_text()) == manifest


def test_prepared_rows_lie_in_their_own_split_and_are_solved_by_gold(prepared):
    out, _ = prepared
    for split in prepare.SPLITS:
        for row in read_jsonl(out / f"{split}.jsonl"):
            problem = problems.parse(row["messages"][0]["content"])
            assert problems.split_of(problem) == split
            assert len(solutions.order(problem)) == row["meta"]["k"] == int(row["group"][1]) + 2
            assert tasks.verdict(row, f"answer {row['gold']}", False).correct


def test_prepare_is_a_function_of_the_seed(prepared, tmp_path):
    _, manifest = prepared
    assert prepare.run(SPEC, tmp_path / "again")["files"] == manifest["files"]
    assert prepare.run(SPEC | {"seed": 8}, tmp_path / "other")["files"] != manifest["files"]


def test_more_rows_keep_the_first_ones():
    assert world_rows("rl", "rl", (3, 4), 6, 1) == world_rows("rl", "rl", (3, 4), 12, 1)[:6]


def test_benchmarks(tmp_path):
    world_spec = {"seed": 7, "name": "world_test", "source": {"kind": "world", "k": [3, 4, 5]}, "rows_per_group": 5}
    manifest = benchmark.run(world_spec, tmp_path / "world_test.jsonl")
    assert manifest["groups"] == {"T1": 5, "T2": 5, "T3": 5}
    rows = read_jsonl(tmp_path / "world_test.jsonl")
    assert {problems.split_of(problems.parse(row["messages"][0]["content"])) for row in rows} == {"test"}
    skills_spec = {"seed": 7, "name": "skills", "source": {"kind": "skills"}, "rows_per_group": 4}
    manifest = benchmark.run(skills_spec, tmp_path / "skills.jsonl")
    assert manifest["groups"] == {"largest": 4, "odd": 4, "next": 4}
    assert (tmp_path / "skills.manifest.json").exists()
    assert all(
        tasks.verdict(row, f"option {row['gold']}", False).correct for row in read_jsonl(tmp_path / "skills.jsonl")
    )


@pytest.mark.parametrize("change", [{"sft": 0}, {"rows": 3}, {"source": {"kind": "world", "k": [1]}}, {"seed": -1}])
def test_wrong_specifications_are_refused(change, tmp_path):
    with pytest.raises(ValidationError):
        prepare.run(SPEC | change, tmp_path)


def test_repeated_questions_and_ids_are_refused():
    rows = world_rows("rl", "rl", (3,), 3, 1)
    words = rows[0]["messages"][0]["content"].split(" find ")
    turned = " ".join([*reversed([part + " ." for part in words[0].rstrip(" .").split(" . ")])]) + " find " + words[1]
    same = rows[0] | {"id": "new", "messages": [{"role": "user", "content": turned}]}
    assert identity(same) == identity(rows[0])
    with pytest.raises(UserError, match=r"rl\.jsonl:4: row 'new' repeats the question of 'rl-000000'"):
        check_rows([*rows, same], "rl.jsonl")
    with pytest.raises(UserError, match="row 2 already has the id 'rl-000001'"):
        check_rows([*rows, rows[1]], "rl.jsonl")
    with pytest.raises(UserError, match="missing or unknown keys: gold"):
        check_rows([{key: value for key, value in rows[0].items() if key != "gold"}], "rl.jsonl")
    with pytest.raises(UserError, match="splits must not overlap"):
        check_disjoint({"sft": rows, "rl": [same]})
    check_disjoint({"sft": rows, "rl": world_rows("sft", "sft", (3,), 3, 1)})


def test_more_questions_than_exist_are_refused(monkeypatch):
    monkeypatch.setattr("chord.world.rows.MAX_DRAWS", 20)
    with pytest.raises(UserError, match="no new question"):
        skill_rows("many", ["largest"], 5000, 1)


def test_hub_folder_reads_parquet_and_json_lines_alike(tmp_path):
    rows = read_jsonl(OWN / "train.jsonl")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "train-00000-of-00001.parquet")
    assert list(read_openr1(tmp_path)) == list(read_openr1(OWN))
    assert [place.rsplit(":", 1)[1] for place, _ in read_folder(tmp_path)] == ["1", "2", "3", "4"]


def test_hub_folder_reads_data_and_not_its_description(tmp_path):
    """As a clone of a dataset looks: data in a subfolder, its description, and what git and the hub's client keep."""
    (tmp_path / "data").mkdir()
    (tmp_path / ".cache" / "huggingface").mkdir(parents=True)
    rows = (OWN / "train.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "data" / "train-00000.json").write_text(rows[0])
    (tmp_path / "data" / "extra.jsonl").write_text(rows[1])
    (tmp_path / ".cache" / "huggingface" / "train.jsonl").write_text(rows[2])
    (tmp_path / "dataset_infos.json").write_text('{\n  "default": {}\n}\n')
    (tmp_path / "training_arguments.json").write_text("{\n}\n")
    assert [row.uuid for row in read_openr1(tmp_path)] == ["own-1", "own-0"]


def test_openr1_generations_and_their_marks():
    first, second, third, _ = read_openr1(OWN)
    assert [generation.verified for generation in first.generations] == [True, False, True]
    assert [generation.verified for generation in second.generations] == [False]
    assert [generation.verified for generation in third.generations] == [False]  # null: nobody has verified it
    assert first.answer == "5"


def test_broken_openr1_rows_name_file_row_and_column(tmp_path):
    row = read_jsonl(OWN / "train.jsonl")[0]
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(row | {"generations": "text"}) + "\n")
    with pytest.raises(UserError, match=r"train\.jsonl:1: column generations"):
        list(read_openr1(tmp_path))
    path.write_text(json.dumps(row | {"correctness_math_verify": [True]}) + "\n")
    with pytest.raises(UserError, match="3 generations, but 1 in correctness_math_verify"):
        list(read_openr1(tmp_path))


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        list(read_folder(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"expected a \.jsonl or \.parquet file"):
        list(read_folder(tmp_path))
