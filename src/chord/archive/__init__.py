"""A finished study for others to check and keep: an article, a crate with its provenance, metadata of its data.

article, crate and croissant write one each, from what `finished` finds; their libraries are the extra `archive`.
"""

import importlib
from types import ModuleType

from chord.errors import UserError


def archive_writer(name: str) -> ModuleType:
    """The module article, crate or croissant; UserError if a library of the extra is not installed."""
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library == "chord":
            raise
        raise UserError(f"chord {name}: needs {library}; install the extra: pip install -e '.[archive]'") from error
