"""The content of folders: what changes its hash, and when files are read for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chord.errors import UserError
from chord.io import contents
from chord.io.contents import LONG_BYTES, content, model_files
from chord.io.files import read_json


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "rows"
    (made / "data").mkdir(parents=True)
    (made / "data/train.jsonl").write_text('{"a": 1}\n')
    (made / "data/test.jsonl").write_text('{"a": 2}\n')
    return made


def content_of(folder: Path, said: list[str] | None = None) -> str:
    say = print if said is None else said.append
    return content(folder, sorted(folder.glob("data/*")), folder.parent / "manifests", say)


@pytest.mark.slow
def test_names_and_bytes_count_and_times_do_not(folder):
    before = content_of(folder)
    assert len(before) == 16
    (folder / "data/train.jsonl").touch()
    assert content_of(folder) == before
    (folder / "data/train.jsonl").rename(folder / "data/part.jsonl")
    assert content_of(folder) != before
    (folder / "data/part.jsonl").rename(folder / "data/train.jsonl")
    assert content_of(folder) == before
    (folder / "data/train.jsonl").write_text('{"a": 3}\n')  # as many bytes
    assert content_of(folder) != before


def test_a_file_whose_time_was_set_back_is_read_again(folder):
    before, path = content_of(folder), folder / "data/train.jsonl"
    time = path.stat().st_mtime_ns
    path.write_text('{"a": 3}\n')
    os.utime(path, ns=(time, time))
    assert content_of(folder) != before


def test_two_writes_in_one_tick_are_told_apart(folder):
    seen = set()
    for number in range(3):
        (folder / "data/train.jsonl").write_text(f'{{"a": {number}}}\n')
        seen.add(content_of(folder))
    assert len(seen) == 3


def test_a_file_is_hashed_once(folder, monkeypatch):
    read = []
    real = contents.file_sha256
    monkeypatch.setattr(contents, "file_sha256", lambda path: read.append(path.name) or real(path))
    first = content_of(folder)
    assert content_of(folder) == first
    assert read == ["test.jsonl", "train.jsonl"]
    (folder / "data/train.jsonl").write_text("")
    content_of(folder)
    assert read[2:] == ["train.jsonl"]


def test_the_manifest_knows_files_that_one_reader_alone_reads_and_forgets_those_that_are_gone(folder):
    manifests = folder.parent / "manifests"
    for name in ("train", "test"):
        content(folder, [folder / f"data/{name}.jsonl"], manifests, print)
    (manifest,) = manifests.glob("*.json")
    assert list(read_json(manifest)["files"]) == ["data/test.jsonl", "data/train.jsonl"]
    (folder / "data/test.jsonl").unlink()
    (folder / "data/train.jsonl").write_text("{}")
    content_of(folder)
    assert list(read_json(manifest)["files"]) == ["data/train.jsonl"]


def test_a_link_to_a_folder_shares_its_manifest(folder):
    link = folder.with_name("link")
    link.symlink_to(folder)
    assert content_of(folder) == content_of(link)
    assert len(list((folder.parent / "manifests").glob("*.json"))) == 1


def test_several_processes_at_once_hash_a_large_file_once(folder):
    with open(folder / "data/large.jsonl", "wb") as file:
        file.truncate(LONG_BYTES)
    code = (
        "import sys; from pathlib import Path; from chord.io.contents import content; folder = Path(sys.argv[1]); "
        "say = lambda line: print(line, file=sys.stderr); "
        "print(content(folder, folder.glob('data/*'), folder.parent / 'manifests', say))"
    )
    command = [sys.executable, "-c", code, str(folder)]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(4)
    ]
    ended = [process.communicate() for process in started]
    assert len({found for found, _ in ended}) == 1
    assert "".join(said for _, said in ended) == (
        f"{folder}: hashing 0.2 GB, once, to notice when its content changes\n"
    )


def test_a_file_that_is_being_written_is_named(folder, monkeypatch):
    def slow(path: Path) -> str:
        path.write_text("more")
        return "0"

    monkeypatch.setattr(contents, "file_sha256", slow)
    with pytest.raises(UserError, match=r"test\.jsonl: changed while it was read; give the command again"):
        content_of(folder)


def test_of_a_model_its_weights_configuration_and_tokenizer_count(tmp_path):
    read = ("config.json", "tokenizer.json", "merges.txt", "chat_template.jinja", "additional_chat_templates/rag.jinja")
    weights = ("model-00001-of-00002.safetensors", "model.safetensors.index.json")
    others = ("README.md", "manifest.json", ".gitattributes", "pytorch_model.bin", "original/params.json", "code.py")
    for name in (*read, *weights, *others):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")

    def names(**options) -> set[str]:
        return {path.relative_to(tmp_path).as_posix() for path in model_files(tmp_path, **options)}

    assert names() == {*read, *weights}
    assert names(weights=False) == set(read)
    assert model_files(tmp_path / "missing") == []
