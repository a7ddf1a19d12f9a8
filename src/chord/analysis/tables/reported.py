"""The paper's reported numbers, each with its source (config/paper/reported.yaml). Unknown ones stay unknown."""

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from chord.analysis.yaml_settings import read_settings
from chord.settings import Settings

PROVENANCE = {"paper_text": "paper's text", "second_hand": "2nd-hand", "derived": "derived"}


class Number(Settings):
    """One reported number; accuracy in percent, reward times 100, lengths in tokens."""

    place: str
    method: str
    benchmark: str
    metric: Literal["accuracy", "response_tokens", "reward"]
    value: float
    setting: str
    provenance: Literal["paper_text", "second_hand", "derived"]
    source: str


class Reported(Settings):
    paper: str
    temperature: float  # of the answers behind all numbers
    sources: dict[str, str]
    settings: dict[str, str]
    numbers: tuple[Number, ...]

    @model_validator(mode="after")
    def _names_are_explained(self) -> "Reported":
        seen = set()
        for number in self.numbers:
            if number.source not in self.sources:
                raise ValueError(f"{number.place}, {number.method}: source {number.source!r} is not among the sources")
            if number.setting not in self.settings:
                raise ValueError(f"{number.place}, {number.method}: setting {number.setting!r} is not explained")
            key = (number.setting, number.method, number.benchmark, number.metric)
            if key in seen:
                raise ValueError(f"{number.place}: two numbers for {', '.join(key)}")
            seen.add(key)
        return self

    def find(self, setting: str, benchmark: str, method: str, metric: str) -> Number | None:
        """The number for a cell of all questions of a benchmark; None if we know none in the paper."""
        wanted = (setting, benchmark, method, metric)
        return next((it for it in self.numbers if (it.setting, it.benchmark, it.method, it.metric) == wanted), None)


def read_reported(path: Path) -> Reported:
    return read_settings(Reported, path)
