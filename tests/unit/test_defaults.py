"""The defaults that specifications leave out are those of tests/data/defaults.json, so that none changes unnoticed.

A run whose specification does not name a setting would otherwise not run again when the default of the setting changed.
`python -m tests.unit.test_defaults` adds new settings to the file and removes those that are gone.
"""

import importlib
import json
import pkgutil
import re
from pathlib import Path
from typing import get_args

from pydantic_core import to_jsonable_python

import chord
from chord.settings import Settings, default_of, is_always_stated

FILE = Path(__file__).parents[1] / "data" / "defaults.json"
WRITE_ANEW = "python -m tests.unit.test_defaults"


def specification_classes() -> set[type[Settings]]:
    """Those of the modules named after specifications that have no subclasses, and all that stand in them."""
    for module in pkgutil.walk_packages(chord.__path__, "chord."):
        if re.search("specs?$", module.name):
            importlib.import_module(module.name)
    found: set[type[Settings]] = set()
    waiting = [one for one in _kinds(Settings) if re.search("specs?$", one.__module__) and not one.__subclasses__()]
    while waiting:
        found.add(one := waiting.pop())
        waiting += {part for field in one.model_fields.values() for part in _settings(field.annotation)} - found
    return found


def _kinds(one: type) -> list[type]:
    return [kind for below in one.__subclasses__() for kind in (below, *_kinds(below))]


def _settings(annotation: object) -> list[type[Settings]]:
    """The classes of settings in an annotation: of a union's members, of what stands in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [found for part in get_args(annotation) for found in _settings(part)]


def defaults() -> dict[str, object]:
    """Class and setting -> the default that specifications leave out."""
    found: dict[str, object] = {}
    for one in specification_classes():
        for name, field in one.model_fields.items():
            if not is_always_stated(field):
                key = f"{one.__name__}.{name}"
                value = to_jsonable_python(default_of(field))
                assert found.setdefault(key, value) == value, f"two classes {one.__name__} have other defaults"
    return found


def pinned() -> dict[str, object]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def test_no_default_has_changed():
    now, then = defaults(), pinned()
    changed = [key for key in then if key in now and now[key] != then[key]]
    assert not changed, (
        f"{', '.join(changed)}: another default than in {FILE.name}. No specification names it, so results that were "
        "made with the old one would pass for results of the new one. Mark the setting as Stated (chord.settings), "
        f"which makes all jobs that have it run again, and give: {WRITE_ANEW}"
    )


def test_every_default_is_pinned():
    assert defaults().keys() == pinned().keys(), f"give: {WRITE_ANEW}"


if __name__ == "__main__":
    kept = pinned() if FILE.exists() else {}
    values = {key: kept.get(key, value) for key, value in sorted(defaults().items())}
    FILE.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
