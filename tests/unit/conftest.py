"""Fixtures of the unit tests."""

import sys

import pytest

from chord.plugins import plugins


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages."""
    monkeypatch.syspath_prepend(tmp_path)
    plugins.cache_clear()
    yield tmp_path
    plugins.cache_clear()
    sys.modules.pop("doubtful", None)
