"""`chord watch` shows a study while it runs: what is done and what runs, the minutes left, and the curves so far."""

from chord.watch.server import watch

__all__ = ["watch"]
