"""Claims in words: what a test measures, what it needs and what it has shown; and the table of all of them."""

import math
from typing import Any

from chord.analysis.catalogue import METRICS
from chord.analysis.claims.claims_spec import Change, ClaimsSpec, Difference, JudgedBenchmark, Statistic
from chord.analysis.tables.table import Entry, Table
from chord.analysis.tables.wording import ONE_SEED, ONE_SEED_NOTE

DIGITS = {"share": 1, "tokens": 1, "reward": 3, "nats": 3, "position": 2}
SUFFIX = {"share": " points", "tokens": " tokens", "reward": "", "nats": " nats", "position": ""}
SIGNS = {"above": ">", "at_most": "≤", "within": "within ±"}
COLUMNS = {
    "validation_accuracy": "validation accuracy",
    "validation_response_tokens": "validation response length",
    "reward_mean": "reward",
    "entropy": "entropy",
    "response_tokens_mean": "response length of rollouts",
}


def label(statistic: Statistic, spec: ClaimsSpec, benchmark: JudgedBenchmark | None) -> str:
    """For example: CHORD-μ vs RL: accuracy, World."""
    titles = {method.name: method.title for method in (*spec.methods, *spec.elsewhere)}
    who = " vs ".join(titles.get(method, method) for method in statistic.methods)
    if isinstance(statistic, Difference):
        where = benchmark.title if benchmark else f"benchmarks of role {statistic.role}"
        return f"{who}: {METRICS[statistic.metric].title}, {where}"
    if isinstance(statistic, Change):
        within = f" in the first {100 * statistic.before:g} % of training" if statistic.before < 1 else ""
        sign = "/" if statistic.log else "−"
        return f"{who}: {COLUMNS[statistic.column]}, {statistic.of} {sign} {statistic.minus}{within}"
    return f"{who}: {statistic.of} of response length, from start (0) to expert (1)"


def number(value: float, unit: str, sign: bool = True) -> str:
    """Shares in percentage points, log ratios as factors; a sign for differences."""
    if unit == "log ratio":
        return f"×{math.exp(value):.2f}"
    digits, sign = DIGITS[unit], sign and unit != "position"
    text = f"{value * (100 if unit == 'share' else 1):{'+' if sign else ''}.{digits}f}"
    return (text.lstrip("+-") if float(text) == 0 else text).replace("-", "−")


def needed(test: dict[str, Any]) -> str:
    """For example: > 1.0 points."""
    if test["rule"] == "within" and test["unit"] == "log ratio":
        return f"within a factor of {math.exp(test['margin']):.2f}"
    sign, unit = SIGNS[test["rule"]], test["unit"]
    space = "" if sign.endswith("±") else " "
    return f"{sign}{space}{number(test['margin'], unit, sign=False)}{SUFFIX.get(unit, '')}"


def found(test: dict[str, Any]) -> str:
    """For example: +2.1 points [+0.3, +3.9]; empty where nothing was measured."""
    entry = _entry(test)
    parts = (entry.estimate + entry.marks, entry.interval, entry.note)
    return " ".join(part for part in parts if part) if entry.interval else ""


def _entry(test: dict[str, Any]) -> Entry:
    if test["estimate"] is None:
        return Entry()
    unit = test["unit"]
    estimate = number(test["estimate"], unit) + SUFFIX.get(unit, "")
    if test["low"] is None:
        return Entry(estimate, "[no interval]")
    interval = f"[{number(test['low'], unit)}, {number(test['high'], unit)}]"
    undecided = test["verdict"] == "undecided" and test["detectable"] is not None
    return Entry(
        estimate, interval, _mark(test), f"d {number(test['detectable'], unit, sign=False)}" if undecided else ""
    )


def _mark(test: dict[str, Any]) -> str:
    """A curve has no interval from one seed, but scores have one, of their questions."""
    return ONE_SEED if test["n_seeds"] == 1 and test["low"] is not None else ""


def one_seed_note(record: dict[str, Any]) -> str:
    """What the mark of one seed means; empty if no test of the record has it."""
    return ONE_SEED_NOTE if any(_mark(test) for claim in record["claims"] for test in claim["tests"]) else ""


def build(record: dict[str, Any], spec: ClaimsSpec) -> Table:
    """One line for each test; the claim stands at its first."""
    rows, records = [], []
    for claim in record["claims"]:
        for index, test in enumerate(claim["tests"]):
            first = index == 0
            rows.append(
                (
                    claim["sentence"] if first else "",
                    claim["verdict"] if first else "",
                    test["label"],
                    test["needed"],
                    _entry(test),
                    test["verdict"] if test["missing"] is None else f"{test['verdict']}: {test['missing']}",
                )
            )
            statistic = test["statistic"]
            records.append(
                {
                    "claim": claim["name"],
                    "claim_verdict": claim["verdict"],
                    "test": test["label"],
                    "verdict": test["verdict"],
                    "missing": test["missing"],
                    "method": statistic["method"],
                    "reference": statistic.get("reference"),
                    "benchmark": test["benchmark"],
                    **{key: test[key] for key in ("rule", "margin", "unit", "estimate", "low", "high", "detectable")},
                    **{key: test[key] for key in ("n_questions", "n_seeds")},
                }
            )
    return Table(
        name="claims",
        title=record["title"],
        header=("Claim", "Verdict", "Test", "Needed", "Found", "Verdict of the test"),
        rows=tuple(rows),
        notes=tuple(_notes(record)),
        records=tuple(records),
        columns=("p{4.2cm}", "l", "p{4.2cm}", "l", "p{3.2cm}", "p{2.6cm}"),
    )


def _notes(record: dict[str, Any]) -> list[str]:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in record["counts"].items())
    notes = [
        f"Claims of {record['source']}: {counts}.",
        "A claim is supported if all its tests are and contradicted if one is. In brackets the 95 % interval of one"
        f" test, not corrected for their number: of {record['n_tests']} tests at most"
        f" {record['expected_false_verdicts']:.1f} false verdicts are expected by luck. Where undecided, d is the"
        " smallest true distance from the margin that would be found with 80 % power.",
        *filter(None, [one_seed_note(record)]),
    ]
    if record["git_commit"] is None:
        return [*notes, "The claims are in no commit."]
    when = {True: "before every run", False: "not before every run", None: "whether before every run is unknown"}
    changed = ", changed since" if record["modified"] else ""
    commit = f"{record['git_commit'][:12]} of {record['date'][:10]}{changed}"
    return [*notes, f"Claims and margins: commit {commit} ({when[record['before_runs']]})."]
