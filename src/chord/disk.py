"""What a disk refuses, told from the errors of libraries that do not say it: one line instead of a traceback."""

import errno
import os
import tempfile
from pathlib import Path

REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
PROBE_BYTES = 2**20


def refusal(error: Exception, out: Path | None) -> str | None:
    """The line, if the disk is why a command that writes to `out` met `error`; None if it is not.

    Writers of weights report a full disk as errors of their own, so that the disk is asked as well.
    """
    refused = error if isinstance(error, OSError) and error.errno in REFUSALS else _probe(out) if out else None
    if refused is None:
        return None
    place = refused.filename
    if out and (place is None or Path(place).absolute().is_relative_to(out.absolute().parent)):
        place = out  # beside `out` it is a temporary name
    return (
        f"{place}: {os.strerror(refused.errno)}; no half-written file counts as a result: make room or allow writing, "
        "then give the same command again"
    )


def _probe(out: Path) -> OSError | None:
    """What the system says to a small file in `out`, or beside it."""
    out = out.absolute()
    folder = next(folder for folder in (out, *out.parents) if folder.is_dir())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error if error.errno in REFUSALS else None
    return None
