"""Reads datasets in the format of open-r1/OpenR1-Math-220k: problems with several verified generations each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from chord.data.hub_folder import read_folder
from chord.errors import UserError, problems_of


@dataclass(frozen=True)
class Generation:
    """One reasoning trace. verified: math-verify judged its answer right (null counts as not verified)."""

    text: str
    verified: bool


@dataclass(frozen=True)
class OpenR1Problem:
    uuid: str
    problem: str
    answer: str
    generations: tuple[Generation, ...]


class _Row(BaseModel):
    """The columns that are read; the dataset has more."""

    model_config = ConfigDict(extra="ignore", strict=True)

    uuid: str
    problem: str
    answer: str
    generations: list[str]
    correctness_math_verify: list[bool | None] | None


def read_openr1(folder: Path, globs: Sequence[str] = ()) -> Iterator[OpenR1Problem]:
    """Yield the problems in the order of the files. globs: which files to read; none means all files of rows."""
    for place, raw in read_folder(folder, globs):
        try:
            row = _Row.model_validate(raw)
        except ValidationError as error:
            raise UserError(f"{place}: column {problems_of(error)[0]}") from None
        marks = row.correctness_math_verify or [False] * len(row.generations)
        if len(marks) != len(row.generations):
            raise UserError(f"{place}: {len(row.generations)} generations, but {len(marks)} in correctness_math_verify")
        generations = tuple(Generation(text, bool(mark)) for text, mark in zip(row.generations, marks, strict=True))
        yield OpenR1Problem(row.uuid, row.problem, row.answer, generations)
