"""Fixtures of many tests: the world's tokenizer and a small model with random weights, both on disk."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.helpers.tiny_model import save_tiny_model

# As the Makefile sets it. Threads of several tests that wait for each other on the same cores take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A machine with other work may take seconds for what takes a millisecond.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
TEST_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def benchmark_data() -> Path:
    """Folder of real rows, which are not in the repository: CHORD_TEST_DATA, or shared/data beside the checkout."""
    folder = Path(os.environ.get("CHORD_TEST_DATA") or TEST_DATA)
    if not folder.is_dir():
        pytest.skip(f"no real rows at {folder}; CHORD_TEST_DATA names their folder")
    return folder


@pytest.fixture(scope="session")
def tiny_tokenizer():
    from chord.world.tokenizer import build_tokenizer

    return build_tokenizer(max_tokens=256)


@pytest.fixture(scope="session")
def tiny_model_dir(tiny_tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model. Tests must not change it."""
    return save_tiny_model(tmp_path_factory.mktemp("tiny") / "model", tiny_tokenizer)
