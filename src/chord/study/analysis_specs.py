"""The specifications of the jobs that need no model: cells, tables, figures, claims and the report of a study."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from chord.analysis.catalogue import FIGURES, TABLES
from chord.analysis.claims.claims_spec import ClaimsSpec, JudgedBenchmark
from chord.analysis.specs import (
    ALL,
    CellsSpec,
    Chains,
    Column,
    FigureSpec,
    Pairs,
    ReportComparison,
    ReportSpec,
    ShownMethod,
    TableSpec,
)
from chord.errors import UserError
from chord.training.train_spec import HybridStage

if TYPE_CHECKING:
    from chord.study.study import Study


class AnalysisSpecs:
    """Mixed into `Study`: what its tables, figures and verdicts show of it."""

    def cells_spec(self: Study, comparison: str) -> dict:
        shown = self.comparisons[comparison]
        return CellsSpec(
            comparison=comparison,
            methods=self._shown(shown.methods),
            pairs=self._pairs(comparison),
            seeds=tuple(self.seed_indices),
            decodings={name: self.benchmarks[name].decoding_name for name in self.benchmarks_of(comparison)},
        ).specification()

    def figure_methods(self: Study, comparison: str, figure: str) -> tuple[str, ...]:
        """The methods that FIGURES names for this figure, otherwise all methods of the comparison that train."""
        return FIGURES[figure].methods or tuple(filter(self.trains, self.comparisons[comparison].methods))

    def figure_spec(self: Study, comparison: str, figure: str) -> dict:
        if FIGURES[figure].kind == "grid":
            if comparison not in self.grids:
                raise UserError(f"figure: {comparison} has no grid")
            methods = self._shown(self.comparisons[comparison].methods)
            columns = self._whole_benchmarks(comparison)
            shown = FigureSpec(name=figure, methods=methods, grid=self.grids[comparison], columns=columns)
            return shown.specification()
        if FIGURES[figure].kind == "token_weights":
            stages = {name: self.methods[name].stage for name in self.comparisons[comparison].methods}
            weights = {
                name: stage.token_weight
                for name, stage in stages.items()
                if isinstance(stage, HybridStage) and stage.uses_experts
            }
            methods, columns = self._shown(stages), self._whole_benchmarks(comparison)
            return FigureSpec(name=figure, methods=methods, columns=columns, token_weights=weights).specification()
        names = self.figure_methods(comparison, figure)
        chains = self._chains(names) if FIGURES[figure].kind == "frontier" else {}
        return FigureSpec(name=figure, methods=self._shown(names), chains=chains).specification()

    def judged_methods(self: Study, scope: str) -> list[str]:
        """The methods on which the claims of a scope are judged: those of the main comparison, or those of all."""
        names = self.regular if scope == "all" else [scope]
        return list(dict.fromkeys(method for name in names for method in self.comparisons[name].methods))

    def claims_spec(self: Study, scope: str) -> dict:
        judged = self.judged_methods(scope)
        return ClaimsSpec(
            methods=self._shown(judged),
            elsewhere=self._shown([method for method in self.judged_methods("all") if method not in judged]),
            benchmarks=tuple(
                JudgedBenchmark(name=name, title=self.benchmarks[name].title, role=self.benchmarks[name].role)
                for name in self.regular_benchmarks
            ),
        ).specification()

    def report_spec(self: Study, comparisons: Sequence[str] | None = None) -> dict:
        """The report of the given comparisons, or of all regular ones."""
        names = self.regular if comparisons is None else comparisons
        notice = "A miniature that only shows that the chain works: its numbers mean nothing."
        return ReportSpec(
            study=self.name,
            title=self.title,
            question=self.settings.question,
            notice=None if self.meaningful else notice,
            seeds=tuple(self.seed_indices),
            sampled=self.sampled_benchmark(names[0]),
            comparisons=tuple(
                ReportComparison(
                    name=name,
                    title=self.comparisons[name].title,
                    methods=self._shown(self.comparisons[name].methods),
                    columns=self._whole_benchmarks(name),
                    tables=tuple(self.comparisons[name].tables),
                    figures=tuple(self.comparisons[name].figures),
                )
                for name in names
            ),
        ).specification()

    def table_spec(self: Study, comparison: str, table: str) -> dict:
        names = self.comparisons[comparison].methods
        kind, parts, shown = TABLES[table].kind, TABLES[table].parts, self._shown(names)
        if kind == "costs":
            return TableSpec(name=table, methods=shown, chains=self._chains(names)).specification()
        return TableSpec(
            name=table,
            methods=shown,
            columns=tuple(
                Column(benchmark=name, group=group, title=title)
                for name in self.benchmarks_of(comparison)
                for group, title in (self.benchmarks[name].parts if parts else self.benchmarks[name].columns).items()
            ),
            pairs=self._pairs(comparison) if kind == "differences" else (),
            paper_setting=self.settings.paper_setting,
        ).specification()

    def _whole_benchmarks(self: Study, comparison: str) -> tuple[Column, ...]:
        titles = {name: self.benchmarks[name].columns.get(ALL) for name in self.benchmarks_of(comparison)}
        return tuple(Column(benchmark=name, title=title) for name, title in titles.items() if title)

    def _pairs(self: Study, comparison: str) -> Pairs:
        """The method and the reference of each difference that a comparison shows."""
        if comparison in self.grids:
            return self.grids[comparison].pairs
        shown = self.comparisons[comparison]
        return tuple((name, reference) for reference in shown.references for name in shown.methods if name != reference)

    def _chains(self: Study, names: Sequence[str]) -> Chains:
        """For each method, the methods whose training leads to its result."""
        return {name: tuple(link.name for link in self.chain(name) if self.trains(link.name)) for name in names}

    def _shown(self: Study, names: Iterable[str]) -> tuple[ShownMethod, ...]:
        return tuple(ShownMethod(name=name, title=self.methods[name].title) for name in names)
