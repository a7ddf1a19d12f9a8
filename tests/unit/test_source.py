"""The copy of the source that jobs run: named by its content, whole, and still the checkout's where that matters."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chord.io.source import copy_source, read_copy
from chord.study import load_study
from tests.helpers.workflow import copy_checkout


@pytest.fixture
def checkout(tmp_path) -> Path:
    return copy_checkout(tmp_path / "checkout")


def test_the_same_source_is_kept_once_and_an_edited_one_beside_it(checkout, tmp_path):
    first = copy_source(checkout, tmp_path / "source", "smoke", None)
    assert copy_source(checkout, tmp_path / "source", "smoke", None) == first
    with open(checkout / "src/chord/training/hybrid_trainer.py", "a", encoding="utf-8") as file:
        file.write("# another line\n")
    second = copy_source(checkout, tmp_path / "source", "smoke", None)
    assert len({first, second, copy_source(checkout, tmp_path / "source", "smoke", 4)}) == 3
    assert (second / "src/chord/training/hybrid_trainer.py").read_text().endswith("# another line\n")
    assert not (first / "src/chord/training/hybrid_trainer.py").read_text().endswith("# another line\n")


def test_a_copy_has_the_study_and_finds_the_checkouts_other_files(checkout, tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_bytes((checkout / "config/studies/smoke.yaml").read_bytes())
    wanted = load_study(own, checkout, seeds=3)
    copy = copy_source(checkout, tmp_path / "source", str(own), 3)
    own.write_text("title: another\n")
    record = read_copy(copy)
    assert read_copy(checkout) is None
    assert record.root == checkout.resolve()
    study = load_study(record.study, copy, seeds=record.seeds)
    assert (study.name, study.settings, study.methods) == (wanted.name, wanted.settings, wanted.methods)
    assert not study.model_is_fetched  # models/ is a folder of the checkout, not an owner on the hub
    assert (copy / study.model / "config.json").exists()


def test_code_of_a_copy_is_that_of_the_commit_it_was_made_at(checkout, tmp_path):
    code = "import json; from chord.io.provenance import manifest; print(json.dumps(manifest({}, {})['code']))"

    def code_of(source: Path) -> dict:
        environment = os.environ | {"PYTHONPATH": str(source / "src")}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def git(*command: str) -> str:
        who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
        done = subprocess.run(["git", *who, *command], cwd=checkout, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    script = (
        "from pathlib import Path; from chord.io.source import copy_source;"
        "print(copy_source(Path(), Path('results'), 'smoke', None))"
    )
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    done = subprocess.run([sys.executable, "-c", script], cwd=checkout, env=environment, capture_output=True, text=True)
    before = code_of(checkout)
    copy = Path(done.stdout.strip())
    with open(checkout / "src/chord/io/seeds.py", "a", encoding="utf-8") as file:
        file.write("# another line\n")
    git("commit", "--quiet", "--all", "--message", "second")
    assert code_of(copy) == before
    assert code_of(checkout)["git_commit"] == git("rev-parse", "HEAD") != before["git_commit"]
    assert code_of(checkout)["source_sha256"] != before["source_sha256"]
