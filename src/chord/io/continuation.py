"""Partial work beside a result: only the job that left it resumes it, and any other deletes it.

A folder of partial work holds an identity file with everything that decides the result: specification, inputs, code,
versions. To resume the work of another identity would give results that no configuration describes.
"""

import json
import logging
from pathlib import Path

from chord.errors import UserError
from chord.io.files import read_json, remove, write_json

log = logging.getLogger(__name__)
IDENTITY = "identity.json"


def clear_unless_identical(folder: Path, identity: dict) -> None:
    """Create `folder` for the job with this identity, after deleting it if it belongs to another job.

    identity: JSON values of everything that decides the result. The caller holds a lock that lies outside the folder.
    """
    identity = json.loads(json.dumps(identity))  # as it is read from a file: a tuple becomes a list
    file = folder / IDENTITY
    if folder.exists() and (reason := _difference(file, identity)):
        log.warning("%s: %s; starts anew", file, reason)
        remove(folder)
    if not folder.exists():
        write_json(file, identity)


def _difference(file: Path, identity: dict) -> str:
    """Why the job with this identity cannot resume; "" if it can."""
    try:
        other = read_json(file)
    except (FileNotFoundError, UserError):
        other = None
    if not isinstance(other, dict):
        return "damaged since it was written"
    names = [name for name in identity | other if identity.get(name) != other.get(name)]
    return f"of a job with another {', '.join(names)}" if names else ""
