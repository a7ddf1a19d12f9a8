"""Settings refuse what they do not know, everywhere by the same class, which is cheap to import."""

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

import chord
from chord.settings import Settings


class Example(Settings):
    steps: int = 1


def test_unknown_keys_and_later_changes_are_refused():
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Example(step=2)
    with pytest.raises(ValidationError, match="frozen"):
        Example().steps = 2


def test_no_other_module_says_it_again():
    package = Path(chord.__file__).parent
    found = {str(path.relative_to(package)) for path in package.rglob("*.py") if 'extra="forbid"' in path.read_text()}
    assert found == {"settings.py"}


def test_the_module_needs_pydantic_only():
    code = "import sys, chord.settings; print(sorted(name for name in sys.modules if name.startswith('chord')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['chord', 'chord.settings']"
