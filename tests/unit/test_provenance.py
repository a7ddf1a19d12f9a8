"""What a manifest says of its inputs: every file of a folder, wherever in it, and nothing that is not its content."""

import hashlib

import pytest

from chord.errors import UserError
from chord.io.files import write_json
from chord.io.provenance import file_sha256, folder_sha256, manifest, source_sha256
from chord.training import run
from chord.world import pretrain


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


def test_an_input_is_what_its_manifest_names(tmp_path):
    """The manifests of data folders, of files, and of runs."""
    (tmp_path / "data").mkdir()
    (tmp_path / "run/model").mkdir(parents=True)
    rows, experts, weights = tmp_path / "data/rl.jsonl", tmp_path / "data/experts.jsonl", tmp_path / "run/model/weights"
    for path in (rows, experts, weights, tmp_path / "run/model/config"):
        path.write_text(f"{path.name}\n" * 3)
    write_json(tmp_path / "data/manifest.json", {"files": {"rl.jsonl": file_sha256(rows)}})
    write_json(tmp_path / "data/experts.manifest.json", {"files": {"experts.jsonl": file_sha256(experts)}})
    files = {f"model/{name}": digest for name, digest in folder_sha256(weights.parent).items()}
    write_json(tmp_path / "run/manifest.json", {"files": files})
    inputs = {"rows": rows, "experts": experts, "model": weights.parent}
    assert manifest({}, inputs)["inputs"]["rows"] == file_sha256(rows)

    for name, path in (("rows", rows), ("experts", experts), ("model", weights)):
        whole = path.read_text()
        path.write_text(whole[: len(whole) // 3])  # at the end of a line
        with pytest.raises(UserError, match=f"^{path}: changed or cut off since .*manifest.json"):
            manifest({}, {name: inputs[name]})
        path.write_text(whole)
    weights.unlink()
    with pytest.raises(UserError, match=f"^{weights}: changed or cut off"):
        manifest({}, inputs)


def test_a_hash_of_code_that_does_not_exist_is_an_error():
    assert source_sha256("io/seeds.py") != source_sha256("io/files.py")
    with pytest.raises(FileNotFoundError, match="io/sedes"):
        source_sha256("io/seeds.py", "io/sedes.py")


def test_the_code_that_decides_a_result_exists():
    for code in (run.DECISIVE_CODE, pretrain.DECISIVE_CODE):
        assert source_sha256(*code) != source_sha256(*code[1:])
