"""What the analysis commands are told. Light to import, so that a configuration can be checked in a moment."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, model_validator

from chord.objectives import AnyTokenWeight
from chord.settings import Settings

Metric = Literal["accuracy", "pass@k", "response_tokens", "truncated", "unparsed", "reward"]
Measured = Metric | Literal["undecided", "official_agreement"]  # these two of some benchmarks only
ALL = "all"  # the group that holds every question of a benchmark


class ShownMethod(Settings):
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
    methods: Annotated[tuple[ShownMethod, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _methods_once(self) -> "_OfMethods":
        _no_name_twice((method.name for method in self.methods), "methods")
        return self


Pairs = tuple[tuple[str, str], ...]  # (method, reference), by name


class CellsSpec(_OfMethods):
    """Cells and differences of one comparison (`main`, `ablation_mu` ...)."""

    comparison: str
    pairs: Pairs = Field(description="method and reference of each difference, which is paired by seed and question")
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] = Field(description="expected seed indices")
    decodings: dict[str, str] = Field(description="benchmark -> name of the decoding under which it was answered")

    @model_validator(mode="after")
    def _pairs_are_of_methods(self) -> "CellsSpec":
        names = [method.name for method in self.methods]
        for name in (name for pair in self.pairs for name in pair):
            if name not in names:
                raise ValueError(f"pairs: {name!r} is not among the methods ({', '.join(names)})")
        return self


# Method -> the methods whose runs lead to its result, first to last and itself included; none if it trains nothing.
Chains = dict[str, tuple[str, ...]]


class TableSpec(_OfMethods):
    """One table. `name` is one of chord.analysis.catalogue.TABLES."""

    name: str
    columns: tuple[Column, ...] = Field((), description="of estimates and differences")
    pairs: Pairs = Field((), description="of differences: the rows, by reference in the order of the methods")
    chains: Chains = Field({}, description="of costs: a method is charged for every run that leads to its result")
    paper_setting: str | None = Field(None, description="of the paper: whose numbers stand beside the estimates")


class GridAxis(Settings):
    """What changes along the rows or the columns of a grid."""

    title: str
    labels: tuple[str, ...] = Field(description="of the values, in order")


class GridReference(Settings):
    """A method that every other method of the same column is compared with."""

    title: str
    methods: tuple[str, ...] = Field(description="its name in each column")


class Grid(Settings):
    """A comparison whose methods are one method with the settings of a row and of a column.

    What a column changes, it changes of the references too; what a row changes, of the method only.
    """

    title: str = Field(description="of the method")
    rows: GridAxis
    columns: GridAxis
    methods: tuple[tuple[str, ...], ...] = Field(description="names: methods[column][row]")
    references: tuple[GridReference, ...] = ()

    @property
    def pairs(self) -> Pairs:
        """The differences that it shows: within a column, the method and later references against each reference."""
        pairs = []
        for column, methods in enumerate(self.methods):
            references = [reference.methods[column] for reference in self.references]
            for place, reference in enumerate(references):
                pairs += [(method, reference) for method in (*methods, *references[place + 1 :])]
        return tuple(pairs)


class FigureSpec(_OfMethods):
    """One figure. `name` is one of chord.analysis.catalogue.FIGURES; titles are needed for the methods it shows."""

    name: str
    chains: Chains = Field({}, description="of a frontier: the tokens of every run that leads to a result count")
    grid: Grid | None = Field(None, description="of a grid: which method stands where")
    columns: tuple[Column, ...] = Field((), description="of a grid or of token weights: whole benchmarks, side by side")
    token_weights: dict[str, AnyTokenWeight] = Field(
        {}, description="of token weights: that of each method which learns from expert rows"
    )


class ReportComparison(_OfMethods):
    """A comparison as the report shows it: its folder beside the report, its tables and its figures, in order."""

    name: str
    title: str
    columns: tuple[Column, ...] = Field((), description="whole benchmarks, whose differences are put into sentences")
    tables: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()


class ReportSpec(Settings):
    """The report of one study."""

    study: str
    title: str
    question: str = Field(description="what the study asks, in one or two sentences")
    notice: str | None = Field(None, description="shown in a banner, e.g. that the numbers mean nothing")
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    sampled: str = Field(description="the benchmark of which the page shows some questions, with responses")
    comparisons: Annotated[tuple[ReportComparison, ...], Field(min_length=1)]


class TuningSpec(Settings):
    """The table of a search."""

    settings: dict[str, str] = Field(description="method -> the setting of its stage that was tried, with dots")
