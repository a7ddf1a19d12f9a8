"""What one check found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    state: Literal["ok", "note", "missing"]  # note: it runs, but somebody should know
    what: str  # memory, GPU, ...
    found: str  # what is needed and what is there
    remedy: str = ""  # what to do; empty where nothing is to be done
