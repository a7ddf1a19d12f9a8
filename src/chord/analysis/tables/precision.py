"""The table of precision: the parts of an estimate's uncertainty, and the difference that it can show."""

from math import sqrt

from chord.analysis.catalogue import METRICS, TableDefinition
from chord.analysis.specs import Column, TableSpec
from chord.analysis.tables.table import Entry, Table
from chord.analysis.tables.wording import PARTS, number
from chord.errors import UserError

UNKNOWN = Entry("n/e")
COLUMNS = ("l", "l", *"rrrrrrrrr")
HEADER = (
    "Benchmark",
    "Method",
    "Questions",
    "k",
    "Seeds",
    "Accuracy",
    "± decoding",
    "± questions",
    "± seeds",
    "± together",
    "d",
)


def precision_table(
    spec: TableSpec, definition: TableDefinition, columns: list[Column], cells: list[dict], differences: list[dict]
) -> Table:
    """A row for each benchmark and method."""
    (metric,) = definition.metrics
    cell_at = {(cell["benchmark"], cell["group"], cell["method"], cell["metric"]): cell for cell in cells}
    titles = {method.name: method.title for method in spec.methods}
    rows, records = [], []
    for column in columns:
        for method in spec.methods:
            cell = cell_at.get((column.benchmark, column.group, method.name, metric))
            if cell is None:
                continue
            hardest = _hardest(cell, differences)
            records.append({"title": method.title} | cell | hardest)
            rows.append((column.title, method.title, *_entries(cell, metric), _detectable(hardest, metric, titles)))
    if not rows:
        raise UserError(f"{spec.name}: none of its cells exists; check the methods, benchmarks and groups of its spec")
    notes = (
        f"Standard deviations of the estimate in {METRICS[metric].unit}: from decoding (shrinks with k), from the"
        " choice of questions (shrinks with more questions only), from training seeds and their interaction with the"
        " questions (shrinks with more seeds). 95 % intervals are wider than two of them, as t quantiles pay for few"
        " seeds.",
        "n/e: not estimable from these runs, and not in `together`: the seeds' part from one seed (their interaction"
        " with the questions is then in that of the questions), that of decoding from one sample (it is in the rest).",
        "d: the smallest true difference that a single paired comparison of the method would find with 80 % power,"
        " pairing and seeds being what they are here; the largest where it is compared with several.",
    )
    return Table(definition.name, definition.heading, HEADER, tuple(rows), notes, tuple(records), COLUMNS)


def _entries(cell: dict, metric: str) -> list[Entry]:
    parts = [cell[name] for name in PARTS]
    together = sqrt(sum(part**2 for part in parts if part is not None))
    return [
        Entry(str(cell["n_questions"])),
        Entry(str(cell["k"])),
        Entry(str(cell["n_seeds"])),
        Entry(number(cell["estimate"], metric)),
        *(UNKNOWN if part is None else Entry(number(part, metric)) for part in parts),
        Entry(number(together, metric)),
    ]


def _hardest(cell: dict, differences: list[dict]) -> dict:
    """The comparison of a cell's method with a reference that has the least power."""
    place = [cell[key] for key in ("benchmark", "group", "metric", "method")]
    rows = [
        row
        for row in differences
        if [row[key] for key in ("benchmark", "group", "metric", "method")] == place and row["detectable"] is not None
    ]
    worst = max(rows, key=lambda row: row["detectable"], default={"reference": None, "detectable": None})
    return {key: worst[key] for key in ("reference", "detectable")}


def _detectable(hardest: dict, metric: str, titles: dict[str, str]) -> Entry:
    if hardest["detectable"] is None:
        return Entry()
    return Entry(number(hardest["detectable"], metric), sizes=f"against {titles[hardest['reference']]}")
