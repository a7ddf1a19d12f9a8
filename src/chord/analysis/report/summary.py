"""The comparisons of whole benchmarks in sentences that say no more than interval and corrected p value allow."""

from dataclasses import dataclass

from chord.analysis.catalogue import METRICS, TABLES
from chord.analysis.specs import ALL, Metric, ReportComparison, ShownMethod
from chord.analysis.tables.wording import SIGNIFICANT, number


@dataclass(frozen=True)
class Verdicts:
    """All methods against one reference on one benchmark; each part is text for a sentence, or empty."""

    measure: str  # accuracy, or the mean reward of a task that is graded by degrees, and its unit
    benchmark: str
    reference: str
    better: str
    worse: str
    suggestive: str  # the interval excludes 0, the corrected p value does not
    undecided: str


def summarise(comparison: ReportComparison, differences: list[dict]) -> list[Verdicts]:
    titles = {
        (metric, column.benchmark): column.title if metric == "accuracy" else f"{column.title}, mean {metric}"
        for metric in ("accuracy", "reward")
        if any(TABLES[table].metrics == (metric,) for table in comparison.tables)
        for column in comparison.columns
    }
    rows = {
        (row["metric"], row["benchmark"], row["reference"], row["method"]): row
        for row in differences
        if row["group"] == ALL
    }
    verdicts = []
    for (metric, benchmark), title in titles.items():
        for reference in comparison.methods:
            of_reference = [
                (method, rows[key])
                for method in comparison.methods
                if (key := (metric, benchmark, reference.name, method.name)) in rows
            ]
            if of_reference:
                verdicts.append(_verdicts(metric, title, reference, of_reference))
    return verdicts


def _verdicts(metric: Metric, benchmark: str, reference: ShownMethod, rows: list[tuple[ShownMethod, dict]]) -> Verdicts:
    lists: dict[str, list[str]] = {"better": [], "worse": [], "suggestive": [], "undecided": []}
    detectable = []
    for method, row in rows:
        text = f"{method.title} ({number(row['estimate'], metric, sign=True)})"
        if row["p_holm"] is not None and row["p_holm"] < SIGNIFICANT:
            lists["better" if row["estimate"] > 0 else "worse"].append(text)
        elif row["low"] is not None and (row["low"] > 0 or row["high"] < 0):
            lists["suggestive"].append(text)
        else:
            lists["undecided"].append(text)
            detectable += [] if row["detectable"] is None else [row["detectable"]]
    joined = {name: ", ".join(items) for name, items in lists.items()}
    if detectable:
        few, many = (number(value, metric) for value in (min(detectable), max(detectable)))
        size = few if few == many else f"{few} to {many}"
        missed = f"true differences below {size} {METRICS[metric].unit} would have been missed more often than 1 in 5"
        joined["undecided"] += f"; {missed}"
    measure = f"{METRICS[metric].title} ({METRICS[metric].unit})"
    return Verdicts(measure, benchmark, reference.title, **joined)
