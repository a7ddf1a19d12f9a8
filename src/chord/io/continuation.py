"""Partial work beside a result: it is resumed by the very job that left it, and thrown away by any other.

A folder of partial work holds an identity file with all that decides the result: specification, inputs, code, versions.
To resume from the work of another identity would give results that no configuration describes.
"""

import json
import logging
from pathlib import Path

from chord.errors import UserError
from chord.io.files import read_json, remove, write_json

log = logging.getLogger(__name__)
IDENTITY = "identity.json"


def clear_unless_identical(folder: Path, identity: dict) -> None:
    """Make `folder` that of the job with this identity: it is emptied where it is not, and made where there is none.

    identity: JSON values of all that decides the result. Hold a lock that lies outside of the folder.
    """
    identity = json.loads(json.dumps(identity))  # as a file gives it back: a tuple is a list
    file = folder / IDENTITY
    if folder.exists() and (reason := _difference(file, identity)):
        log.warning("%s: %s; starts anew", file, reason)
        remove(folder)
    if not folder.exists():
        write_json(file, identity)


def _difference(file: Path, identity: dict) -> str:
    """Why the job with this identity cannot resume; "" where it can."""
    try:
        other = read_json(file)
    except (FileNotFoundError, UserError):
        other = None
    if not isinstance(other, dict):
        return "damaged since it was written"
    names = [name for name in identity | other if identity.get(name) != other.get(name)]
    return f"of a job with another {', '.join(names)}" if names else ""
