"""What the analysis commands are told. Light to import, so that a configuration can be checked in a moment."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from chord.settings import Settings

Metric = Literal["accuracy", "pass@k", "response_tokens", "truncated", "unparsed", "reward"]
Measured = Metric | Literal["undecided", "official_agreement"]  # these two of some benchmarks only
ALL = "all"  # the group that holds every question of a benchmark


class Method(Settings):
    """A method as tables and figures show it. The order of a list of methods is the order of the table's rows."""

    name: str
    title: str


class Column(Settings):
    """One column of a table: a benchmark, or one group of it."""

    benchmark: str
    group: str = ALL
    title: str


def _no_name_twice(names: Iterable[str], what: str) -> None:
    names = list(names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what}: named more than once: {', '.join(twice)}")


class _OfMethods(Settings):
    methods: Annotated[tuple[Method, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _methods_once(self) -> "_OfMethods":
        _no_name_twice((method.name for method in self.methods), "methods")
        return self

    def title_of(self, name: str) -> str:
        return next(method.title for method in self.methods if method.name == name)


class CellsSpec(_OfMethods):
    """Cells and differences of one comparison (`main`, `ablation_mu` ...)."""

    comparison: str
    references: tuple[str, ...] = Field(description="methods that every other one is compared with, pairwise by seed")
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = Field(description="expected seed indices")
    pass_k: PositiveInt | None = Field(None, description="k of pass@k; all samples when not given")
    decodings: dict[str, str] = Field(description="benchmark -> name of the decoding under which it was answered")

    @model_validator(mode="after")
    def _references_are_methods(self) -> "CellsSpec":
        names = [method.name for method in self.methods]
        for reference in self.references:
            if reference not in names:
                raise ValueError(f"references: {reference!r} is not among the methods ({', '.join(names)})")
        return self


# Method -> the methods whose runs lead to its result, first to last and itself included; none if it trains nothing.
Chains = dict[str, tuple[str, ...]]


class TableSpec(_OfMethods):
    """One table. `name` is one of chord.analysis.catalogue.TABLES."""

    name: str
    columns: tuple[Column, ...] = Field((), description="of estimates and differences")
    chains: Chains = Field({}, description="of costs: a method is charged for every run that leads to its result")
    paper_setting: str | None = Field(None, description="of the paper: whose numbers stand beside the estimates")


class FigureSpec(_OfMethods):
    """One figure. `name` is one of chord.analysis.catalogue.FIGURES; titles are needed for the methods it shows."""

    name: str
    chains: Chains = Field({}, description="where x counts tokens: those of every run that leads to the result")


class ReportComparison(_OfMethods):
    """A comparison as the report shows it: its folder beside the report, its tables and its figures, in order."""

    name: str
    title: str
    tables: tuple[TableSpec, ...] = ()
    figures: tuple[str, ...] = ()


class ReportSpec(Settings):
    """The report of one study."""

    study: str
    title: str
    question: str = Field(description="what the study asks, in one or two sentences")
    notice: str | None = Field(None, description="shown in a banner, e.g. that the numbers mean nothing")
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    comparisons: Annotated[tuple[ReportComparison, ...], Field(min_length=1)]


class PhasePoint(Settings):
    """CHORD-phi with one mu."""

    mu: float
    method: Method


class PhaseBase(Settings):
    """One column of the phase diagram: a base model and the methods that start from it."""

    name: str = Field(description="of the base model's folder")
    exposure: float = Field(description="probability of each element of the expert's style in its pretraining")
    rl: Method
    chord_mu: Method
    chord_phi: Annotated[tuple[PhasePoint, ...], Field(min_length=1)]

    @property
    def methods(self) -> tuple[Method, ...]:
        return (self.rl, self.chord_mu, *(point.method for point in self.chord_phi))


class PhaseSpec(Settings):
    """The phase diagram: mean accuracy on one benchmark. Every base has the same mus."""

    benchmark: str
    title: str = Field(description="of the benchmark")
    decoding: str = Field(description="name of the benchmark's decoding")
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = Field(description="expected seed indices")
    bases: Annotated[tuple[PhaseBase, ...], Field(min_length=1)]

    @property
    def methods(self) -> tuple[Method, ...]:
        return tuple(method for base in self.bases for method in base.methods)

    @property
    def mus(self) -> tuple[float, ...]:
        return tuple(point.mu for point in self.bases[0].chord_phi)

    @model_validator(mode="after")
    def _same_mus(self) -> "PhaseSpec":
        _no_name_twice((method.name for method in self.methods), "bases")
        for base in self.bases:
            if tuple(point.mu for point in base.chord_phi) != self.mus:
                raise ValueError(f"bases: {base.name} has other values of mu than {self.bases[0].name}")
        return self


class TuningSpec(Settings):
    """The table of a search."""

    settings: dict[str, str] = Field(description="method -> the setting of its stage that was tried, with dots")
