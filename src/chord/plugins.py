"""Parts of the objective and tasks from installed packages.

A package offers them as entry points, in its pyproject.toml:

    [project.entry-points."chord.token_weights"]
    doubt = "doubtful:Doubt"

A configuration then names `doubt` like a part of our own. It never names code by path: only installed code can run. A
run records the distribution, the version and the hash of the source of each plug-in that it used.
"""

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chord.errors import UserError

GROUPS = (
    "chord.schedules",
    "chord.token_weights",
    "chord.expert_losses",
    "chord.routers",
    "chord.distillations",
    "chord.tasks",
)


@dataclass(frozen=True)
class Plugin:
    """One entry point of an installed distribution; its code is imported on first use."""

    group: str
    name: str
    entry: EntryPoint

    @property
    def distribution(self) -> str:
        return self.entry.dist.name

    @property
    def version(self) -> str:
        return self.entry.dist.version

    def __str__(self) -> str:
        return f"{self.group} {self.name} of {self.distribution} {self.version}"

    @cached_property
    def value(self) -> Any:
        """The object that the entry point names; UserError if its module does not have it."""
        try:
            return self.entry.load()
        except (ImportError, AttributeError) as error:
            raise UserError(
                f"plug-in {self}: cannot load {self.entry.value} ({error}); correct or remove it"
            ) from error

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of all Python source files of its package, or of its module if that is in no package."""
        package = self.entry.module.partition(".")[0]
        spec = find_spec(package)
        if spec is None:
            raise UserError(f"plug-in {self}: no package {package}; expected the one that {self.entry.value} is in")
        digest = hashlib.sha256()
        for root in map(Path, spec.submodule_search_locations or [spec.origin]):
            for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
                digest.update(path.relative_to(root.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()

    def record(self) -> dict[str, str]:
        """The plug-in's record in the provenance."""
        return {"distribution": self.distribution, "version": self.version, "sha256": self.sha256}


@cache
def _entry_points(path: tuple[str, ...]) -> EntryPoints:
    """The entry points of every package on the import path, which one search finds for all groups."""
    return entry_points()


@cache
def plugins(group: str) -> dict[str, Plugin]:
    """The installed plug-ins of one of GROUPS, by name; UserError if two distributions offer the same name."""
    by_name: dict[str, Plugin] = {}
    for entry in sorted(_entry_points(tuple(sys.path)).select(group=group), key=lambda entry: entry.name):
        plugin = Plugin(group, entry.name, entry)
        if entry.name in by_name:
            raise UserError(f"plug-in {plugin}: {by_name[entry.name].distribution} offers the same name; remove one")
        by_name[entry.name] = plugin
    return by_name


def plugin_records(names: Iterable[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """The record of each (group, name) that is a plug-in, by "group:name"; our own parts have none."""
    used = sorted({(group, name) for group, name in names if name in plugins(group)})
    return {f"{group}:{name}": plugins(group)[name].record() for group, name in used}
