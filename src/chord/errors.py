"""The exceptions that callers handle."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class UserError(Exception):
    """Bad input: one clear line instead of a traceback.

    The message names the file, the key (or line) and what was expected.
    """


class GraderError(RuntimeError):
    """The grader itself failed on a completion. The score must not be 0, which would be a statement about the model."""


def problems_of(error: "ValidationError") -> list[str]:
    """`key.path: message` for each value that pydantic refused; a check of several keys has no path."""
    return [
        ": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, "))))
        for one in error.errors()
    ]
