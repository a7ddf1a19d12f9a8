"""Files of the repository that are derived from others: `chord derived` writes them, and a test keeps them current.

The page of the methods and that of the paper's coverage have commands of their own (`chord methods`, `chord coverage`).
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from chord.derived import badges, codemeta, columns_page, commands_page, containers
from chord.io.files import write_text

# File -> its text, from the repository's root.
FILES: dict[str, Callable[[Path], str]] = {
    "docs/commands.md": commands_page.page,
    "docs/files.md": columns_page.page,
    "Dockerfile": containers.dockerfile,
    "apptainer.def": containers.apptainer,
    "codemeta.json": codemeta.codemeta,
    **{f"docs/badges/{name}.svg": partial(badges.badge, name=name) for name in badges.NAMES},
}


def write_all(root: Path) -> None:
    for name, text in FILES.items():
        write_text(root / name, text(root))
