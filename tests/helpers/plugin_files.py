"""A package with a plug-in, as an installer leaves it."""

from pathlib import Path

SRC = Path(__file__).parents[2] / "src"
WEIGHT = '''
from typing import Literal

from chord.objectives import TokenWeight


class Doubt(TokenWeight):
    """w = sg(1 - p)."""

    name: Literal["doubt"] = "doubt"

    def __call__(self, tokens):
        return -tokens.logp.detach().expm1()
'''


def install(folder: Path, distribution: str, group: str, entry: str) -> None:
    """Write the metadata of an installed distribution."""
    info = folder / f"{distribution}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
