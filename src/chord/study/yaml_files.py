"""Reads YAML files as plain values and overlays such values, whatever they mean."""

import re
from pathlib import Path
from typing import Any

import yaml

from chord.errors import UserError

CHOOSERS = ("name", "kind")  # keys whose value chooses the class of a part


class _YamlLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # libyaml's, ten times as fast, if PyYAML has it
    """YAML as people read it: `1e-3` is a number, `on`, `no`, dates and `010` are text, a repeated key is an error."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own class attribute

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} appears twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


for _kind, _pattern, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _YamlLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first)


def read_yaml(path: Path, shown: str) -> dict:
    """Read the mapping in a YAML file. shown: the name of the file in messages."""
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_YamlLoader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        raise UserError(f"{shown}: no such file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{shown}: not UTF-8 text ({error})") from None
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UserError(f"{shown}{line}: {error.problem or error.context}") from None
    if not isinstance(value, dict):
        content = "an empty file" if value is None else f"a {type(value).__name__}"
        raise UserError(f"{shown}: expected keys and values, got {content}")
    return value


def chosen_study(root: Path) -> str:
    """Return the study that config/config.yaml names; UserError if it names none."""
    file = root / "config" / "config.yaml"
    values = read_yaml(file, str(file))
    if "study" not in values:
        raise UserError(f"{file}: study: missing; expected the name of a file in config/studies")
    return str(values["study"])


def merge(below: Any, above: Any) -> Any:
    """Lay `above` over `below`: mappings are merged key by key, every other value is replaced.

    A part with another name (or kind) also replaces the part below: a constant schedule must not inherit the warm-up
    of a cosine.
    """
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    if any(key in above and key in below and above[key] != below[key] for key in CHOOSERS):
        return above
    return below | {key: merge(below[key], value) if key in below else value for key, value in above.items()}


def overlay(below: dict, above: dict) -> dict:
    """Merge a file over another one; null removes a key (as in JSON Merge Patch, RFC 7396)."""
    return _without_nulls(merge(below, above))


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(item) for key, item in value.items() if item is not None}


def nested(keys: str, value: Any) -> dict:
    """Return a mapping with one value: nested("schedule.peak", 0.5) is {"schedule": {"peak": 0.5}}."""
    for key in reversed(keys.split(".")):
        value = {key: value}
    return value
