"""What comes from outside is data: it is never run. Keys and tokens are written nowhere."""

import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from chord.data import benchmark
from chord.errors import UserError
from chord.io import models
from chord.io.models import load_tokenizer, load_weights
from chord.rollouts import Decoding
from chord.rollouts.backends import ServerBackend
from chord.rollouts.server import ServerEngine
from chord.tasks import judge
from chord.world import pretrain

ROOT = Path(__file__).parents[2]


class Harm:
    """Unpickled, it makes a folder."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def harm(tmp_path) -> Harm:
    return Harm(tmp_path / "harm was done")


@pytest.fixture
def folder(tiny_model_dir, tmp_path) -> Path:
    """A model folder of our own to spoil."""
    return shutil.copytree(tiny_model_dir, tmp_path / "model")


def pickled_weights(folder: Path, harm: Harm) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weight": harm}, folder / "pytorch_model.bin")
    torch.load(folder / "pytorch_model.bin", weights_only=False)
    harm.mark.rmdir()  # so it is there to be done


def code_of_its_own(folder: Path, harm: Harm) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"import os\nos.mkdir({str(harm.mark)!r})\n")


@pytest.mark.parametrize("spoil", [pickled_weights, code_of_its_own])
def test_a_model_folder_is_data(spoil, folder, harm):
    """Beside ruff's S rules, which look for eval, pickle, shells and the like in src."""
    spoil(folder, harm)
    with pytest.raises(UserError, match=f"^{folder}: no model that can be read") as caught:
        load_weights(folder, torch.float32)
    assert "\n" not in str(caught.value)
    assert not harm.mark.exists()
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")}
    assert models.CLOSED == {"trust_remote_code": False, "local_files_only": True}
    places = {".from_pretrained(": ["models.py"], "trust_remote_code": ["models.py"]}
    places |= {"weights_only=False": [], "allow_pickle": [], "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": []}
    for text, names in places.items():
        assert [name for name, source in sources.items() if text in source] == names


def test_a_cut_off_model_is_one_line(folder):
    os.truncate(folder / "model.safetensors", 3000)
    with pytest.raises(UserError, match=f"^{folder}: no model that can be read") as caught:
        load_weights(folder, torch.float32)
    assert "\n" not in str(caught.value)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=f"^{folder}: no tokenizer that can be read") as caught:
        load_tokenizer(folder)
    assert "\n" not in str(caught.value)


def test_missing_weights_are_not_made_up(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"its safetensors lack the weights model.layers.1.mlp.up_proj.weight$"):
        load_weights(folder, torch.float32)


def test_a_checkpoint_of_the_base_model_holds_numbers_only(harm, tmp_path):
    torch.save({"model": harm}, tmp_path / "state.pt")
    with pytest.raises(Exception, match="Weights only load failed"):
        pretrain._state(tmp_path / "state.pt", "cpu")
    assert not harm.mark.exists()


@pytest.mark.parametrize("name", ["train.pkl", "train.parquet", "train.jsonl"])
def test_a_pickle_is_no_dataset(name, harm, tmp_path):
    rows = tmp_path / "rows"
    rows.mkdir()
    torch.save(harm, rows / name)
    data = yaml.safe_load((ROOT / "config/benchmarks/aime24.yaml").read_text(encoding="utf-8"))["data"]
    spec = {"seed": 1, "name": "own"} | data | {"source": data["source"] | {"folder": str(rows)}}
    with pytest.raises(UserError, match=f"^{rows}"):
        benchmark.run(spec, tmp_path / "own.jsonl")
    assert not harm.mark.exists()
    assert not (tmp_path / "own.jsonl").exists()


def test_a_server_that_repeats_the_key_is_not_quoted(monkeypatch, caplog):
    class Repeats(BaseHTTPRequestHandler):
        def do_POST(self):
            said = json.dumps({"message": f"bad request with {self.headers['Authorization']}"}).encode()
            self.send_response(400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_): ...

    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    caplog.set_level("INFO")
    with ThreadingHTTPServer(("127.0.0.1", 0), Repeats) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = ServerBackend(url=f"http://127.0.0.1:{server.server_port}/v1", model="m")
        with pytest.raises(UserError, match=r"HTTP 400: bad request with Bearer \(the key\)") as caught:
            ServerEngine(endpoint, [2]).generate([[1, 2]], [3], Decoding(temperature=1.0, max_response_tokens=4))
        server.shutdown()
    assert "very-secret" not in caplog.text + str(caught.value)


def test_an_address_of_the_judge_holds_no_secret(monkeypatch):
    monkeypatch.setenv("CHORD_JUDGE_URL", "http://me:very-secret@localhost:8000/v1")
    monkeypatch.setenv("CHORD_JUDGE_MODEL", "m")
    with pytest.raises(UserError, match=r"CHORD_JUDGE_URL: expected a URL without user, password or query$"):
        next(judge.answers([[{"role": "user", "content": "?"}]]))
