"""The exceptions that callers handle."""


class UserError(Exception):
    """Bad input: one clear line instead of a traceback.

    The message names the file, the key (or line) and what was expected.
    """


class GraderError(RuntimeError):
    """The grader itself failed on a completion. The score must not be 0, which would be a statement about the model."""
