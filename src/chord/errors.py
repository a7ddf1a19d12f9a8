"""The one exception that ends a command with a single clear line instead of a traceback."""


class UserError(Exception):
    """Bad input. The message names the file, the key (or line) and what was expected."""
