"""A checkpoint that the chain has trained, and a vLLM server that serves it. `make test-vllm` runs these tests."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.workflow import ROOT, snakemake

RESULTS = Path("results/smoke")
RUN = RESULTS / "runs/sft_light/seed-0"
ROWS = RESULTS / "data/benchmarks/world_test.jsonl"
KEY = "a-key-of-the-test"
SETTINGS = {"max_model_len": 256, "kv_cache_gib": 0.25, "enforce_eager": True}


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Working directory with an SFT run of the smoke study and its benchmark rows, made by the workflow itself."""
    folder = tmp_path_factory.mktemp("chain")
    targets = [str(RUN / "manifest.json"), str(ROWS)]
    snakemake(ROOT, "--cores", "2", "--directory", str(folder), "--config", "study=smoke", "--", *targets)
    return folder


@pytest.fixture(scope="session")
def checkpoint(chain: Path) -> Path:
    return chain / RUN / "model"


@pytest.fixture(scope="session")
def rows(chain: Path) -> Path:
    return chain / ROWS


@pytest.fixture(scope="session")
def url(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a server that serves the checkpoint as `policy` to those who have the key."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    # The script `vllm serve` looks for a package of another name and fails.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint)]
    command += ["--served-model-name", "policy", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--max-model-len", "256", "--kv-cache-memory-bytes", str(2**28), "--enforce-eager"]
    command += ["--no-enable-chunked-prefill"]  # see chord.rollouts.vllm
    environment = os.environ | {"VLLM_API_KEY": KEY, "VLLM_NO_USAGE_STATS": "1"}
    with open(log, "w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        while not _answers(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, log.read_text()[-4000:]
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(log.parent)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
