"""Expert trajectories from a dataset, a model or a solver: made, judged, selected, and written with their origin."""

from chord.experts.make import run

__all__ = ["run"]
