"""What one check found, and the report of all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    state: Literal["ok", "note", "missing"]  # note: it runs, but somebody should know
    what: str  # memory, GPU, ...
    found: str  # what is needed and what is there
    remedy: str = ""  # what to do; empty where nothing is to be done


def report_text(findings: Sequence[Finding]) -> str:
    """A line for each, and below it what to do where something is to be done."""
    width = max(len(one.what) for one in findings)
    lines = []
    for one in findings:
        lines.append(f"  {one.state:7}  {one.what:{width}}  {one.found}")
        if one.remedy:
            lines.append(" " * (13 + width) + f"-> {one.remedy}")
    missing = sum(one.state == "missing" for one in findings)
    return "\n".join([*lines, "", f"{missing} missing." if missing else "Nothing is missing."])
