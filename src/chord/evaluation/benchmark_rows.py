"""Reads benchmark rows and checks what generating and scoring rely on."""

from pathlib import Path

from chord.errors import UserError
from chord.io.files import read_jsonl

KEYS = ("id", "messages", "gold", "task", "group")


def read_rows(path: Path) -> list[dict]:
    """Rows in file order: not empty, with all keys, each id once."""
    rows = read_jsonl(path)
    if not rows:
        raise UserError(f"{path}: no rows")
    seen = set()
    for number, row in enumerate(rows, start=1):
        missing = [key for key in KEYS if key not in row]
        if missing:
            raise UserError(f"{path}: row {number}: missing {', '.join(missing)}")
        if row["id"] in seen:
            raise UserError(f"{path}: row {number}: id {row['id']!r} is there twice")
        seen.add(row["id"])
    return rows
