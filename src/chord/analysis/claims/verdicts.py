"""Command `claims`: a verdict on each sentence of a claims file, from the scores and curves of many runs.

The verdict of a test depends on its 95 % interval and its margin only; docs/statistics.md has the rules and why.
"""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from chord.analysis.cells.scores import collect
from chord.analysis.claims import sentences
from chord.analysis.claims.claims_spec import Claim, ClaimsSpec, Difference, JudgedBenchmark, Test, read_claims
from chord.analysis.claims.evidence import Evidence, Measurement, NotMeasured, difference, of_curves, unit
from chord.analysis.claims.fragment import claims_html
from chord.analysis.figures.run_curves import read_curves
from chord.analysis.report.run_records import run_name
from chord.analysis.statistics.intervals import LEVEL
from chord.analysis.tables.table import write_table
from chord.io.files import read_json, write_json, write_text
from chord.io.provenance import file_commit, file_sha256, is_ancestor, manifest

SUPPORTED, CONTRADICTED, UNDECIDED, NOT_MEASURED = "supported", "contradicted", "undecided", "not measured"
VERDICTS = (SUPPORTED, CONTRADICTED, UNDECIDED, NOT_MEASURED)


def run(spec: dict, claims: Path, scores: list[Path], runs: list[Path], out: Path) -> None:
    """Write claims.json, .csv, .md, .tex, .html (a fragment for the report) and .manifest.json into the folder `out`.

    scores: of all judged runs; runs: folders `runs/<method>/seed-<n>` of those that were trained.
    """
    settings = ClaimsSpec.model_validate(spec)
    file = read_claims(claims)
    folders = sorted(map(Path, runs))
    evidence = _evidence(settings, scores, folders)
    verdicts = [judge(name, claim, settings, evidence) for name, claim in file.claims.items()]
    tests = [test for claim in verdicts for test in claim["tests"] if test["verdict"] != NOT_MEASURED]
    record = {
        "title": file.title,
        "source": file.source,
        "file": Path(claims).name,
        "sha256": file_sha256(claims),
        **written_before(claims, {run_name(path): read_json(path / "manifest.json") for path in folders}),
        "n_tests": len(tests),
        "expected_false_verdicts": (1 - LEVEL) * len(tests),
        "counts": {verdict: Counter(claim["verdict"] for claim in verdicts)[verdict] for verdict in VERDICTS},
        "claims": verdicts,
    }
    table = sentences.build(record, settings)
    inputs = {"claims": claims}
    inputs |= {f"{run_name(path.parent)}/{path.name}": path for path in sorted(map(Path, scores))}
    inputs |= {f"{run_name(path)}/curves.csv": path / "curves.csv" for path in folders}
    write_table(table, out, manifest(settings.specification(), inputs))
    write_json(Path(out) / "claims.json", record)
    file = f"claims/{Path(out).name}/claims.csv"
    write_text(Path(out) / "claims.html", claims_html(record, file))  # the report shows this instead of the table


def decide(rule: str, margin: float, low: float | None, high: float | None) -> str:
    """The verdict on `theta > margin`, `theta <= margin` or `|theta| <= margin` from the interval [low, high]."""
    if low is None or high is None:
        return UNDECIDED
    supported, contradicted = {
        "above": (low > margin, high < margin),
        "at_most": (high <= margin, low > margin),
        "within": (-margin <= low and high <= margin, low > margin or high < -margin),
    }[rule]
    return SUPPORTED if supported else CONTRADICTED if contradicted else UNDECIDED


def combine(verdicts: list[str]) -> str:
    """The verdict on a claim: it is measured if all its tests are, and supported if all are supported."""
    for verdict in (NOT_MEASURED, CONTRADICTED, UNDECIDED):
        if verdict in verdicts:
            return verdict
    return SUPPORTED


def judge(name: str, claim: Claim, spec: ClaimsSpec, evidence: Evidence) -> dict[str, Any]:
    """A claim with its verdict and those of its tests. A difference is tested on each benchmark of its role."""
    tests = []
    for test in claim.tests:
        if isinstance(test.statistic, Difference):
            benchmarks = [row for row in spec.benchmarks if row.role == test.statistic.role]
            tests += [_judge_test(test, spec, evidence, benchmark) for benchmark in benchmarks or [None]]
        else:
            tests.append(_judge_test(test, spec, evidence, None))
    return {
        "name": name,
        "sentence": claim.sentence,
        "paper": claim.paper,
        "verdict": combine([test["verdict"] for test in tests]),
        "missing": list(dict.fromkeys(test["missing"] for test in tests if test["missing"])),
        "tests": tests,
    }


def _judge_test(test: Test, spec: ClaimsSpec, evidence: Evidence, benchmark: JudgedBenchmark | None) -> dict[str, Any]:
    measurement, missing = None, None
    try:
        measurement = _measure(test, spec, evidence, benchmark)
    except NotMeasured as lack:
        missing = str(lack)
    value = measurement.value if measurement else None
    record = {
        "label": sentences.label(test.statistic, spec, benchmark),
        "benchmark": benchmark.name if benchmark else None,
        "statistic": test.statistic.model_dump(mode="json"),
        "rule": test.rule,
        "margin": test.margin,
        "why": test.why,
        "unit": unit(test.statistic),
        "estimate": value.estimate if value else None,
        "low": value.low if value else None,
        "high": value.high if value else None,
        "detectable": value.detectable if value else None,
        "n_seeds": measurement.n_seeds if measurement else 0,
        "n_questions": measurement.n_questions if measurement else None,
        "verdict": decide(test.rule, test.margin, value.low, value.high) if value else NOT_MEASURED,
        "missing": missing,
    }
    return record | {"needed": sentences.needed(record), "found": sentences.found(record)}


def _measure(test: Test, spec: ClaimsSpec, evidence: Evidence, benchmark: JudgedBenchmark | None) -> Measurement:
    here, elsewhere = ([method.name for method in methods] for methods in (spec.methods, spec.elsewhere))
    for method in test.statistic.methods:
        if method in elsewhere:
            raise NotMeasured(f"{method} is in another comparison; `snakemake claims` judges it too")
        if method not in here:
            raise NotMeasured(f"the study has no method {method}")
    if not isinstance(test.statistic, Difference):
        return of_curves(test.statistic, evidence)
    if benchmark is None:
        raise NotMeasured(f"the study has no benchmark of the role {test.statistic.role}")
    return difference(test.statistic, evidence, benchmark.name)


def _evidence(spec: ClaimsSpec, scores: list[Path], folders: list[Path]) -> Evidence:
    names = [method.name for method in spec.methods]
    curves = defaultdict(dict)
    for item in map(read_curves, folders):
        curves[item.method][item.seed_index] = item
    collected = collect(sorted(map(Path, scores)), names)
    return Evidence({item.benchmark: item for item in collected}, dict(curves))


def written_before(claims: Path, manifests: dict[str, dict]) -> dict[str, Any]:
    """The commit of the claims file, and whether the code of every run has it among its ancestors.

    `before_runs` is None if git does not know: there is no repository, or it lacks the commit of a run.
    """
    commit = file_commit(claims)
    runs = defaultdict(list)
    for name, record in manifests.items():
        runs[record["code"]["git_commit"]].append(name)
    commits = [
        {
            "git_commit": later,
            "runs": names,
            "after_claims": is_ancestor(commit["git_commit"], later.removesuffix("-dirty"), Path(claims).parent)
            if later and commit["git_commit"]
            else None,
        }
        for later, names in sorted(runs.items(), key=lambda item: item[0] or "")
    ]
    known = [item["after_claims"] for item in commits]
    if commit["modified"] or False in known:
        before = False
    else:
        before = None if None in known or commit["git_commit"] is None else True
    return {**commit, "before_runs": before, "run_commits": commits}
