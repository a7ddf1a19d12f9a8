"""The parts of an article that a person writes, in a file of their own, so that the rest can be made again."""

import re
from pathlib import Path

from chord.errors import UserError
from chord.io.files import write_text

FILE = "by-hand.md"
# Heading -> what belongs there.
PARTS = {
    "Authors": "names and affiliations",
    "What was easy": "which parts of the paper could be done again with little effort, and why",
    "What was difficult": "which parts took more time than planned, or could not be done",
    "Communication with original authors": "what was asked, and what came of it",
    "Introduction": "what the paper proposes, and why it is worth a replication",
    "Discussion": "which claims hold, how far the results carry, strengths and weaknesses of the approach",
}
INITIAL = {"Communication with original authors": "None."}


def read_parts(folder: Path) -> dict[str, str]:
    """Heading -> text, empty where nothing is written yet. A folder without the file gets one to fill in."""
    file = folder / FILE
    if not file.exists():
        write_text(file, "\n".join(f"# {heading}\n\n{INITIAL.get(heading, '')}\n" for heading in PARTS))
    pieces = re.split(r"^# +(.*?) *$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = dict(zip(pieces[1::2], (text.strip() for text in pieces[2::2]), strict=True))
    for heading in found.keys() - PARTS.keys():
        raise UserError(f"{file}: # {heading}: unknown heading; expected {', '.join(PARTS)}")
    return {heading: found.get(heading, "") for heading in PARTS}
