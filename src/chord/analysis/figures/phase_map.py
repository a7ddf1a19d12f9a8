"""The numbers of the phase diagram: every method's cells, and the differences among the methods of one base model."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from chord.analysis.cells.estimates import (
    benchmark_cells,
    benchmark_differences,
    correct_for_many_tests,
    decoding_of,
    missing,
)
from chord.analysis.cells.scores import collect
from chord.analysis.specs import ALL, Method, Metric, PhaseSpec
from chord.errors import UserError
from chord.io.files import read_json


@dataclass(frozen=True)
class PhaseMap:
    """Rows as in cells.parquet and differences.parquet. `missing`: expected runs without scores."""

    spec: PhaseSpec
    marker_logp: dict[str, float]  # base -> mean log p (nats) of the expert's markers under that base model
    cells: list[dict]
    differences: list[dict]
    missing: list[dict]
    decoding: dict  # of the benchmark, as in the metadata of cells.parquet

    def cell(self, method: Method, metric: Metric) -> dict | None:
        return self._only(row for row in self.cells if (row["method"], row["metric"]) == (method.name, metric))

    def difference(self, method: Method, reference: Method) -> dict | None:
        """In accuracy."""
        names = (method.name, reference.name, "accuracy")
        return self._only(row for row in self.differences if (row["method"], row["reference"], row["metric"]) == names)

    def _only(self, rows: Iterable[dict]) -> dict | None:
        return next((row for row in rows if (row["benchmark"], row["group"]) == (self.spec.benchmark, ALL)), None)


def measure(spec: PhaseSpec, scores: list[Path], bases: list[Path]) -> PhaseMap:
    """The map from the scores of its runs and the folders of its base models, which are named after the bases."""
    found = collect(scores, [method.name for method in spec.methods], None)
    names = ", ".join(benchmark.benchmark for benchmark in found)
    if names != spec.benchmark:
        raise UserError(f"expected scores on {spec.benchmark} and no other benchmark, got {names}")
    cells = benchmark_cells(found[0], [method.name for method in spec.methods])
    differences = []
    for base in spec.bases:
        phi = [point.method.name for point in base.chord_phi]
        differences += benchmark_differences(found[0], [*phi, base.chord_mu.name], (base.rl.name,))
        differences += benchmark_differences(found[0], phi, (base.chord_mu.name,))
    correct_for_many_tests(differences)
    decoding = decoding_of(found[0], {spec.benchmark: spec.decoding})
    return PhaseMap(spec, _marker_logp(spec, bases), cells, differences, missing(spec, found), decoding)


def _marker_logp(spec: PhaseSpec, bases: list[Path]) -> dict[str, float]:
    folders = {folder.name: folder for folder in bases}
    for base in spec.bases:
        if base.name not in folders:
            raise UserError(f"base model {base.name}: its folder is not among those given")
    return {base.name: read_json(folders[base.name] / "manifest.json")["gates"]["marker_logp"] for base in spec.bases}
