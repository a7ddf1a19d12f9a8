"""A model folder becomes a GGUF file that gives the folder back; models of other families are refused."""

import json
import shutil
from pathlib import Path

import pytest

from chord.cli import main
from chord.data import gguf_model
from chord.io.files import read_json
from chord.io.provenance import folder_sha256

gguf = pytest.importorskip("gguf", reason="the package gguf, which pyproject.toml pins, is not installed")

from tests.helpers.tiny_gguf import tiny_llama, write_gguf  # noqa: E402

BASE = Path(__file__).parents[2] / "models/world-base"


def export(folder: Path, out: Path) -> int:
    return main(["gguf", "--model", str(folder), "--out", str(out)])


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def folder(request, tmp_path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    gguf_model.convert(write_gguf(tmp_path / "tiny.gguf", tiny_llama(request.param)), folder)
    return folder


def test_the_file_gives_the_folder_back(folder, tmp_path):
    assert export(folder, tmp_path / "again.gguf") == 0
    again = tmp_path / "again"
    again.mkdir()
    assert gguf_model.convert(tmp_path / "again.gguf", again) is None  # a folder does not say its licence
    assert folder_sha256(again) == folder_sha256(folder)


def test_tensors_have_the_layout_of_llama_cpp(folder, tmp_path):
    """That of the file that the folder was made from, which tests/helpers/tiny_gguf.py writes by another rule."""
    export(folder, tmp_path / "again.gguf")
    files = [gguf.GGUFReader(tmp_path / name) for name in ("tiny.gguf", "again.gguf")]
    ours, theirs = ({tensor.name: tensor.data.tobytes() for tensor in file.tensors} for file in files)
    assert ours == theirs
    fields = [{name: field.contents() for name, field in file.fields.items()} for file in files]
    # The padding is ours, and what a folder does not say is left out.
    left_out = {"general.name", "general.license", "GGUF.kv_count", "tokenizer.ggml.padding_token_id"}
    for name in fields[0].keys() - left_out:
        assert fields[1][name] == pytest.approx(fields[0][name]), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "qwen2"}, "model_type: expected llama, got qwen2"),
        ({"hidden_act": "gelu"}, "hidden_act: expected silu, got gelu"),
        ({"rope_parameters": {"rope_type": "linear", "rope_theta": 1.0, "factor": 2.0}}, "rope_type: expected default"),
        ({"pad_token_id": 2}, "pad_token_id: expected 2 in the tokenizer, got 0"),
    ],
)
def test_another_model_is_one_line(folder, tmp_path, capsys, change, message):
    config = read_json(folder / "config.json") | change
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert export(folder, tmp_path / "again.gguf") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "again.gguf").exists()


def test_no_model_and_another_tokenizer_are_one_line(tmp_path, capsys):
    assert export(tmp_path, tmp_path / "again.gguf") == 2
    assert "has no config.json; expected a model folder" in capsys.readouterr().err
    (tmp_path / "config.json").write_text("{}")
    assert export(tmp_path, tmp_path / "again.gguf") == 2
    assert "has no tokenizer.json" in capsys.readouterr().err
    other = shutil.copytree(BASE, tmp_path / "other")
    config = read_json(other / "config.json") | {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    (other / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert export(other, tmp_path / "again.gguf") == 2
    assert str(other) in capsys.readouterr().err
