"""Scores of many runs -> cells.parquet (estimates) and differences.parquet (paired comparisons)."""

from pathlib import Path

from chord.analysis.cells.cell_files import CELL, DIFFERENCE, write
from chord.analysis.cells.scores import BenchmarkScores, collect
from chord.analysis.report.run_records import run_name
from chord.analysis.specs import ALL, CellsSpec, Pairs
from chord.analysis.statistics.components import components
from chord.analysis.statistics.intervals import holm, mean_interval, paired_difference, strata
from chord.errors import UserError
from chord.io.provenance import json_hash, manifest


def run(spec: dict, scores: list[Path], out: Path) -> None:
    """Write cells.parquet and differences.parquet into the folder `out`."""
    settings = CellsSpec.model_validate(spec)
    names = [method.name for method in settings.methods]
    scores = sorted(Path(path) for path in scores)
    benchmarks = collect(scores, names)
    cells = [cell for benchmark in benchmarks for cell in benchmark_cells(benchmark, names)]
    differences = [row for benchmark in benchmarks for row in benchmark_differences(benchmark, settings.pairs)]
    correct_for_many_tests(differences)
    record = manifest(
        settings.specification(),
        {f"{run_name(path.parent)}/{path.name}": path for path in scores},
        missing=missing(settings, benchmarks),
        decodings={item.benchmark: decoding_of(item, settings.decodings) for item in benchmarks},
    )
    write(Path(out) / "cells.parquet", cells, CELL, record)
    write(Path(out) / "differences.parquet", differences, DIFFERENCE, record)


def decoding_of(scores: BenchmarkScores, names: dict[str, str]) -> dict:
    """The protocol of a benchmark's scores: its name in the study, k, and the decoding that the runs really had."""
    if scores.benchmark not in names:
        raise UserError(f"decodings: {scores.benchmark} is missing; expected the name of its decoding")
    return {"name": names[scores.benchmark], "k": scores.k} | scores.decoding


def benchmark_cells(scores: BenchmarkScores, methods: list[str]) -> list[dict]:
    cells = []
    for method in methods:
        if method not in scores.runs:
            continue
        seeds = sorted(scores.runs[method])
        runs = [scores.runs[method][seed] for seed in seeds]
        config_hash = json_hash([[item.method, item.seed_index, item.spec_hash] for item in runs])
        for group in scores.group_names():
            member = scores.members(group)
            stratum = strata(scores.groups[member])
            for metric, measure in scores.measures():
                values = scores.matrix(metric, method, seeds)[:, member]
                interval = mean_interval(values, stratum, share=measure.share)
                noise = scores.noise(metric, method, seeds)[:, member]
                parts = components(values, noise, stratum)
                cells.append(
                    {
                        "benchmark": scores.benchmark,
                        "group": group,
                        "method": method,
                        "metric": metric,
                        "estimate": interval.estimate,
                        "low": interval.low,
                        "high": interval.high,
                        "sd_decoding": parts.decoding,
                        "sd_questions": parts.questions,
                        "sd_seeds": parts.seeds,
                        "n_questions": int(member.sum()),
                        "n_seeds": len(seeds),
                        "k": scores.k,
                        "seed_estimates": values.mean(axis=1).tolist(),
                        "runs": [item.run for item in runs],
                        "config_hash": config_hash,
                    }
                )
    return cells


def benchmark_differences(scores: BenchmarkScores, pairs: Pairs) -> list[dict]:
    """method - reference over the seeds that both have; a pair without a common seed has no row."""
    differences = []
    for method, reference in pairs:
        seeds = sorted(scores.runs.get(method, {}).keys() & scores.runs.get(reference, {}).keys())
        for group in scores.group_names() if seeds else ():
            member = scores.members(group)
            stratum = strata(scores.groups[member])
            for metric, measure in scores.measures():
                difference = paired_difference(
                    scores.matrix(metric, method, seeds)[:, member],
                    scores.matrix(metric, reference, seeds)[:, member],
                    stratum,
                    share=measure.share,
                )
                differences.append(
                    {
                        "benchmark": scores.benchmark,
                        "group": group,
                        "method": method,
                        "reference": reference,
                        "metric": metric,
                        "estimate": difference.estimate,
                        "low": difference.low,
                        "high": difference.high,
                        "p": difference.p,
                        "p_holm": None,
                        "detectable": difference.detectable,
                        "n_questions": int(member.sum()),
                        "n_seeds": len(seeds),
                        "seeds": seeds,
                    }
                )
    return differences


def correct_for_many_tests(differences: list[dict]) -> None:
    """Fill p_holm. Family: one metric at one level (whole benchmarks, or their groups), all methods and references."""
    families: dict[tuple[str, bool], list[dict]] = {}
    for row in differences:
        families.setdefault((row["metric"], row["group"] == ALL), []).append(row)
    for family in families.values():
        for row, p in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = p


def missing(spec: CellsSpec, benchmarks: list[BenchmarkScores]) -> list[dict]:
    """Expected runs without scores, so that the report can list them."""
    gaps = []
    for benchmark in benchmarks:
        for method in spec.methods:
            seeds = sorted(set(spec.seeds) - benchmark.runs.get(method.name, {}).keys())
            if seeds:
                gaps.append({"benchmark": benchmark.benchmark, "method": method.name, "seeds": seeds})
    return gaps
