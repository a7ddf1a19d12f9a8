"""What a disk refuses, told from the errors of libraries that do not say it: one line instead of a traceback."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chord.errors import UserError

REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
PROBE_BYTES = 2**16


@contextmanager
def explained(out: Path) -> Iterator[None]:
    """Around writing to `out`, before anything is cleaned up: UserError where the disk is why it failed.

    Writers of weights report a full disk as errors of their own, so that the disk is asked as well.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        refused = error if isinstance(error, OSError) and error.errno in REFUSALS else _probe(out)
        if refused is None:
            raise
        place = refused.filename
        if place is None or Path(place).absolute().is_relative_to(out.absolute().parent):
            place = out  # beside `out` it is a temporary name
        raise UserError(
            f"{place}: {os.strerror(refused.errno)}; no half-written file counts as a result: make room or give "
            "access, then give the same command again"
        ) from error


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
