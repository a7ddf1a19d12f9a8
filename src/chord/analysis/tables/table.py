"""A table before it is written down: entries in rows, notes, and one record for each entry."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One place of a table. `note` stands after the interval: what could have been detected, or the paper's number.
    `sizes` says what the number rests on; the page shows it when a reader points at it."""

    estimate: str = "–"
    interval: str = ""
    marks: str = ""
    note: str = ""
    sizes: str = ""


@dataclass(frozen=True)
class Table:
    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | Entry, ...], ...]
    notes: tuple[str, ...]
    records: tuple[dict, ...] = field(repr=False)  # one for each entry: the csv
    columns: tuple[str, ...] = ()  # LaTeX column types; none: the first left, the others right

    @property
    def caption(self) -> str:
        return " ".join([f"{self.title}.", *self.notes])
