"""`chord fetch` and `chord download` against a hub of our own on 127.0.0.1: pins, hashes, refusals, interruptions."""

import json
import socket
from pathlib import Path

import pytest

from chord.data import download, hub_client
from chord.errors import UserError
from chord.io.files import read_json, write_json
from chord.io.provenance import file_sha256
from chord.study import load_study
from chord.study.hub import download_spec, read_lock, repositories
from tests.helpers.fetching import WORLD, fetch, lock_of, study_with
from tests.helpers.hub_server import Hub, serve
from tests.helpers.study_files import STUDY_FILE, Root

SOURCE = {
    "kind": "columns",
    "dataset": "owner/rows",
    "files": ["data/test-*"],
    "task": "math",
    "columns": {"question": "q", "answer": "a"},
}
ROWS = {"data/test-0.jsonl": b'{"q": "1 + 1?", "a": "2"}\n', "data/train-0.jsonl": b"{}\n", "README.md": b"Rows"}
WEIGHTS = {
    "model.safetensors": b"weights " * 5000,
    "config.json": b'{"model_type": "qwen2"}',
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "pytorch_model.bin": b"a pickle",
    "modeling_own.py": b"print('code of its own')",
    "original/consolidated.00.pth": b"a pickle",
}


@pytest.fixture
def hub(monkeypatch):
    with serve() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield hub


@pytest.fixture
def root(tmp_path) -> Root:
    """A study with one benchmark on the hub."""
    return study_with(SOURCE, tmp_path / "root")


def fetched(root: Root, key: str = "datasets/owner/rows") -> Path:
    return root.path / "results/small/hub" / key


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_fetch_pins_and_hashes(hub: Hub, root: Root, capsys):
    commit = hub.commit("datasets/owner/rows", ROWS)
    hub.licences["datasets/owner/rows"] = ["mit", "cc-by-4.0"]
    assert fetch(root) == 0
    assert names(fetched(root)) == {"data/test-0.jsonl"}
    digest = file_sha256(fetched(root) / "data/test-0.jsonl")
    assert read_json(lock_of(root)) == {
        "datasets/owner/rows": {
            "revision": commit,
            "licence": "mit, cc-by-4.0",
            "globs": ["data/test-*"],
            "files": {"data/test-0.jsonl": digest},
        }
    }
    manifest = read_json(fetched(root).with_name("rows.manifest.json"))
    assert manifest["spec"]["pin"]["revision"] == commit
    assert manifest["licence"] == "mit, cc-by-4.0"
    assert manifest["files"] == {"data/test-0.jsonl": digest}
    assert manifest["bytes"] == {"data/test-0.jsonl": len(ROWS["data/test-0.jsonl"])}
    assert names(fetched(root).parent) == {"rows/data/test-0.jsonl", "rows.manifest.json"}  # nothing half-done is left
    # The login went to the hub and nowhere else.
    assert hub.authorizations == {"Bearer hf_secret"}
    written = "".join(path.read_text() for path in root.path.rglob("*.json"))
    assert "hf_secret" not in written + "".join(capsys.readouterr())


def test_a_second_fetch_does_not_ask_the_hub(hub: Hub, root: Root, capsys):
    hub.commit("datasets/owner/rows", ROWS)
    fetch(root)
    before = {path: path.stat().st_mtime_ns for path in root.path.rglob("*")}
    hub.requests.clear()
    assert fetch(root) == 0
    assert hub.requests == []
    assert {path: path.stat().st_mtime_ns for path in root.path.rglob("*")} == before
    assert "datasets/owner/rows: there already, 1 files" in capsys.readouterr().out


def test_the_lock_holds_when_the_hub_moves_on(hub: Hub, root: Root):
    """Another machine with the committed lock gets the bytes of the first."""
    first = hub.commit("datasets/owner/rows", ROWS)
    fetch(root)
    lock = lock_of(root).read_bytes()
    hub.commit("datasets/owner/rows", ROWS | {"data/test-0.jsonl": b'{"q": "new"}\n'})
    for path in sorted(fetched(root).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert fetch(root) == 0
    assert (fetched(root) / "data/test-0.jsonl").read_bytes() == ROWS["data/test-0.jsonl"]
    assert lock_of(root).read_bytes() == lock
    assert read_lock(load_study("small", root.path))["datasets/owner/rows"].revision == first


def test_a_file_that_changed_under_its_commit_is_refused(hub: Hub, root: Root, capsys):
    commit = hub.commit("datasets/owner/rows", dict(ROWS))
    fetch(root)
    good = (fetched(root) / "data/test-0.jsonl").read_bytes()
    (fetched(root) / "data/test-0.jsonl").write_bytes(b"damaged")
    hub.repositories["datasets/owner/rows"][commit]["data/test-0.jsonl"] = b'{"q": "1 + 1?", "a": "3"}\n'
    assert fetch(root) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert "dataset owner/rows: data/test-0.jsonl: expected SHA-256" in line
    assert commit in line
    hub.repositories["datasets/owner/rows"][commit]["data/test-0.jsonl"] = good
    assert fetch(root) == 0
    assert (fetched(root) / "data/test-0.jsonl").read_bytes() == good


def test_what_the_hub_itself_says_of_a_file_is_checked(hub: Hub, tmp_path):
    commit = hub.commit("datasets/owner/rows", ROWS)
    with pytest.raises(UserError, match="damaged on its way, or changed"):
        hub_client.download("dataset", "owner/rows", commit, {"README.md": "0" * 64}, tmp_path / "staging")
    assert not (tmp_path / "staging").exists()


def test_an_interrupted_download_leaves_nothing_wrong_and_goes_on(hub: Hub, root: Root, capsys, monkeypatch):
    content = b'{"q": "1 + 1?", "a": "2"}\n' * 4000
    hub.commit("datasets/owner/rows", {"data/test-0.jsonl": content})
    hub.cut_after = 10_000
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client waits between its own attempts
    assert fetch(root) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("chord: error")]
    assert "dataset owner/rows: not fetched (" in line
    assert not fetched(root).exists()
    assert not lock_of(root).exists()
    hub.cut_after = None
    assert fetch(root) == 0
    assert (fetched(root) / "data/test-0.jsonl").read_bytes() == content
    assert names(fetched(root).parent) == {"rows/data/test-0.jsonl", "rows.manifest.json"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("missing", "dataset owner/rows: not on the hub, or private"),
        ("gated", "dataset owner/rows: access is restricted; accept its terms"),
        ("commit", f"dataset owner/rows: the hub has no commit {'a' * 40}"),
        ("files", "dataset owner/rows: no file matches data/validation-* at"),
        ("down", "dataset owner/rows: not fetched ("),
    ],
)
def test_refusals_are_one_line(hub: Hub, root: Root, wrong, message, capsys, monkeypatch):
    if wrong != "missing":
        hub.commit("datasets/owner/rows", ROWS)
    if wrong == "gated":
        hub.gated.add("datasets/owner/rows")
    if wrong == "commit":
        root.set(WORLD, "data", "source", "revision", value="a" * 40)
    if wrong == "files":
        root.set(WORLD, "data", "source", "files", value=["data/test-*", "data/validation-*"])
    if wrong == "down":
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert fetch(root) == 2
    assert capsys.readouterr().err.strip().startswith(f"chord: error: {message}")
    assert not lock_of(root).exists()
    assert not fetched(root).exists()


def test_more_files_come_from_the_locked_commit(hub: Hub, root: Root):
    first = hub.commit("datasets/owner/rows", ROWS)
    fetch(root)
    hub.commit("datasets/owner/rows", {"data/test-0.jsonl": b"", "data/train-0.jsonl": b"new"})
    root.set(WORLD, "data", "source", "files", value=["data/test-*", "data/train-*"])
    assert fetch(root) == 0
    assert read_lock(load_study("small", root.path))["datasets/owner/rows"].revision == first
    assert (fetched(root) / "data/train-0.jsonl").read_bytes() == ROWS["data/train-0.jsonl"]


def test_another_commit_than_the_locked_one_is_refused(hub: Hub, root: Root, capsys):
    hub.commit("datasets/owner/rows", ROWS)
    fetch(root)
    root.set(WORLD, "data", "source", "revision", value="b" * 40)
    assert fetch(root) == 2
    assert "datasets/owner/rows: locked at" in capsys.readouterr().err
    root.delete(WORLD, "data", "source", "revision")
    lock_of(root).write_text('{"datasets/owner/rows": {"revision": "main"}}')
    assert fetch(root) == 2
    assert "config/locks/small.json: datasets/owner/rows: revision: " in capsys.readouterr().err


def test_a_model_comes_without_pickles_and_code(hub: Hub, root: Root, capsys):
    root.set(STUDY_FILE, "model", value="owner/policy")
    hub.commit("datasets/owner/rows", ROWS)
    commit = hub.commit("models/owner/policy", WEIGHTS)
    assert fetch(root) == 0
    wanted = {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"}
    assert names(fetched(root, "models/owner/policy")) == wanted
    assert read_json(lock_of(root))["models/owner/policy"]["revision"] == commit
    hub.commit("models/owner/pickled", {name: WEIGHTS[name] for name in ("config.json", "pytorch_model.bin")})
    root.set(STUDY_FILE, "model", value="owner/pickled")
    assert fetch(root) == 2
    assert "model owner/pickled: no file matches *.safetensors" in capsys.readouterr().err
    coded = WEIGHTS | {"config.json": json.dumps({"auto_map": {"AutoModel": "modeling_own.Own"}}).encode()}
    hub.commit("models/owner/coded", coded)
    root.set(STUDY_FILE, "model", value="owner/coded")
    assert fetch(root) == 2
    assert "config.json names its own code (auto_map)" in capsys.readouterr().err


def test_what_a_study_needs(root: Root):
    """A local folder replaces the hub; sources of one repository are fetched together, at one commit."""
    study = load_study("small", root.path)
    assert not study.model_is_fetched
    assert {key: one.globs for key, one in repositories(study).items()} == {"datasets/owner/rows": ("data/test-*",)}
    more = {"kind": "dataset", "dataset": "owner/rows", "files": ["data/train-*"], "revision": "c" * 40}
    root.set(STUDY_FILE, "experts", "source", value=more)
    (one,) = repositories(load_study("small", root.path)).values()
    assert one.globs == ("data/test-*", "data/train-*")
    assert one.revision == "c" * 40
    root.set(WORLD, "data", "source", "revision", value="d" * 40)
    with pytest.raises(UserError, match="datasets/owner/rows: expected one commit"):
        repositories(load_study("small", root.path))
    root.delete(STUDY_FILE, "experts", "source")
    root.set(WORLD, "data", "source", "folder", value="inputs/rows")
    assert repositories(load_study("small", root.path)) == {}


def test_a_job_without_the_lock_says_what_to_do(root: Root, tmp_path):
    study = load_study("small", root.path)
    (repository,) = repositories(study).values()
    with pytest.raises(UserError, match="dataset owner/rows: not in the lock of the study; `chord fetch STUDY`"):
        download.run(download_spec(repository, {}), tmp_path / "rows")


def test_a_study_that_needs_nothing_says_so(root: Root, capsys):
    root.set(WORLD, "data", "source", "folder", value="inputs/rows")
    assert fetch(root) == 0
    assert "small: needs nothing from the hub or a package index" in capsys.readouterr().out
    write_json(lock_of(root), {})
    assert fetch(root) == 0
