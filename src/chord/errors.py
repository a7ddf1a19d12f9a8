"""The exceptions that callers tell apart from all others."""


class UserError(Exception):
    """Bad input: one clear line instead of a traceback.

    The message names the file, the key (or line) and what was expected.
    """


class GraderError(RuntimeError):
    """The grader itself failed on a completion. Never a score of 0: that would be a statement about the model."""
