"""Collects expert trajectories from a dataset, a model or a solver: judges them, selects some, records their origin."""

from chord.experts.make import run

__all__ = ["run"]
