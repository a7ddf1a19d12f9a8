"""A study that fetches its benchmark, by the documented command."""

from pathlib import Path

from chord.cli import main
from tests.helpers.study_files import Root

WORLD = "config/benchmarks/world.yaml"


def study_with(source: dict, folder: Path) -> Root:
    """The small study, whose benchmark has this source."""
    root = Root(folder)
    root.set(WORLD, "data", value={"source": source})
    (root.path / "models/base").mkdir(parents=True)
    return root


def fetch(root: Root) -> int:
    return main(["fetch", "small", "--root", str(root.path), "--results", str(root.path / "results")])


def lock_of(root: Root) -> Path:
    return root.path / "config/locks/small.json"
