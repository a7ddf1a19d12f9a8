"""A checkpoint that the chain has trained, and a vLLM server that serves it. `make test-vllm` runs these tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.workflow import ROOT, snakemake
from tests.vllm.server import KEY, serve

RESULTS = Path("results/smoke")
RUN = RESULTS / "runs/sft_light/seed-0"
ROWS = RESULTS / "data/benchmarks/world_test.jsonl"


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
    log = tmp_path_factory.mktemp("server") / "log"
    with serve(checkpoint, log) as address:
        yield address
    shutil.rmtree(log.parent)


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
