"""Collects expert trajectories from one source: judges them, selects some, records their origin."""

from chord.experts.make import run

__all__ = ["run"]
