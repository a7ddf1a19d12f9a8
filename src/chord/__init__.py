"""chord: a replication of CHORD (arXiv 2508.11408) with seeds, intervals and provenance in every cell.

`from chord import policy_loss, expert_loss, hybrid_loss, Objective, Power, CHORD_PHI` imports the losses and any class
or objective that `chord.objectives` exports. They are loaded on first use.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"
LOSSES = ("policy_loss", "expert_loss", "hybrid_loss")


def __getattr__(name: str) -> Any:
    if name in LOSSES or name[0].isupper():  # subpackages are neither, and importing one must not load the objectives
        objectives = import_module("chord.objectives")
        if name in objectives.__all__:
            return getattr(objectives, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
