"""Files and folders are whole or absent, on disk before they have their name, and a failure leaves the old ones."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chord.io.files import atomic_folder, atomic_path, read_jsonl, remove_partials, write_json, write_jsonl, write_text


@pytest.fixture
def calls(monkeypatch) -> list[tuple[str, ...]]:
    """The order of what reaches the disk: ("sync", name) and ("rename", from, to), folders and files alike."""
    found = []
    fsync, replace = os.fsync, os.replace

    def syncing(handle):
        found.append(("sync", Path(f"/proc/self/fd/{handle}").readlink().name))
        fsync(handle)

    def renaming(source, target):
        found.append(("rename", Path(source).name, Path(target).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", renaming)
    return found


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def fail_after(write, *arguments):
    write(*arguments)
    raise RuntimeError


def test_a_file_is_on_disk_before_it_has_its_name(tmp_path, calls):
    write_text(tmp_path / "a.txt", "new")
    (first, temporary), *rest = calls
    assert first == "sync"
    assert rest == [("rename", temporary, "a.txt"), ("sync", tmp_path.name)]


def test_a_failed_block_keeps_the_old_file(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "a.txt") as temporary:
        fail_after(temporary.write_text, "half")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_is_on_disk_before_it_has_its_name_and_the_old_one_goes_last(tmp_path, calls, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()
    rmtree = shutil.rmtree
    monkeypatch.setattr(
        shutil, "rmtree", lambda path, **rest: calls.append(("delete", Path(path).name)) or rmtree(path, **rest)
    )
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "data").mkdir()
        (folder / "data" / "weights").write_text("new")
    synced = {call[1] for call in calls[:3]}
    assert synced == {"weights", "data", folder.name}
    aside = folder.name.replace(".partial-", ".partial-old-")
    assert calls[3:7] == [
        ("rename", "model", aside),
        ("rename", folder.name, "model"),
        ("sync", tmp_path.name),
        ("delete", aside),
    ]
    assert (tmp_path / "model" / "data" / "weights").read_text() == "new"
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["data"]


def test_a_failed_block_keeps_the_old_folder(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(RuntimeError), atomic_folder(tmp_path / "model") as folder:
        fail_after((folder / "weights").touch)
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == []


def test_a_failed_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").touch()
    replace = os.replace

    def failing(source, target):
        if Path(target).name == "model" and "old" not in Path(source).name:
            raise OSError("disk full")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="disk full"), atomic_folder(tmp_path / "model") as folder:
        (folder / "new").touch()
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["old"]


def test_what_a_killed_process_leaves_can_be_removed(tmp_path):
    code = (
        "import os, sys; from chord.io.files import *\n"
        "with atomic_path(sys.argv[1] + '/a.txt') as file, atomic_folder(sys.argv[1] + '/model') as folder:\n"
        "    (folder / 'weights').touch(); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert done.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 2
    (tmp_path / "kept" / ".partial-inside").mkdir(parents=True)
    remove_partials(tmp_path)
    assert names(tmp_path) == ["kept"]
    assert names(tmp_path / "kept") == [".partial-inside"]


def test_rows_come_back_and_wrong_values_are_refused(tmp_path):
    rows = [{"text": "ü\n\u2028", "number": 0.1}, {}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert read_jsonl(tmp_path / "rows.jsonl") == rows
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "value.json", float("nan"))
    assert names(tmp_path) == ["rows.jsonl"]
