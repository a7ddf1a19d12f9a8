"""What a manifest says of its inputs: every file of a folder, wherever in it, and nothing that is not its content."""

import hashlib

import pytest

from chord.errors import UserError
from chord.provenance import folder_sha256, manifest


def test_files_in_subfolders_count_and_hidden_ones_do_not(tmp_path):
    for name in ("README.md", "data/train/rows.jsonl", ".gitattributes", ".cache/huggingface/lock", "data/.partial-x"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    wanted = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("README.md", "data/train/rows.jsonl")}
    assert folder_sha256(tmp_path) == wanted
    assert manifest({}, {"dataset": tmp_path})["inputs"] == {"dataset": wanted}
    (tmp_path / "data" / "train" / "rows.jsonl").write_text("other rows")
    assert folder_sha256(tmp_path) != wanted


def test_a_hidden_place_does_not_hide_the_folder(tmp_path):
    folder = tmp_path / ".store" / "model"
    folder.mkdir(parents=True)
    (folder / "weights").touch()
    assert list(folder_sha256(folder)) == ["weights"]


def test_a_folder_without_files_is_refused(tmp_path):
    (tmp_path / "model" / ".cache").mkdir(parents=True)
    (tmp_path / "model" / ".cache" / "file").touch()
    with pytest.raises(UserError, match="model: holds no files"):
        folder_sha256(tmp_path / "model")
