"""The result of one check, and the report of all results."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    state: Literal["ok", "note", "missing"]  # note: the study runs, but its user should know
    subject: str  # memory, GPU, ...
    detail: str  # what is needed and what there is
    remedy: str = ""  # what to do, if anything


def report_text(findings: Sequence[Finding]) -> str:
    """A line for each finding, followed by its remedy, if any."""
    width = max(len(one.subject) for one in findings)
    lines = []
    for one in findings:
        lines.append(f"  {one.state:7}  {one.subject:{width}}  {one.detail}")
        if one.remedy:
            lines.append(" " * (13 + width) + f"-> {one.remedy}")
    missing = sum(one.state == "missing" for one in findings)
    return "\n".join([*lines, "", f"{missing} missing." if missing else "Nothing is missing."])
