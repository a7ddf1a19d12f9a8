"""The phase diagram as a table: a row for each base model and mu, with intervals."""

from chord.analysis.figures.phase_map import PhaseMap
from chord.analysis.specs import ALL, Column
from chord.analysis.tables.entries import MARK, SIGNIFICANT, difference_entry, estimate_entry, without_parts
from chord.analysis.tables.notes import decoding_note, size_notes
from chord.analysis.tables.table import Entry, Table

NAME = "phase_phi"
TITLE = "CHORD-ϕ by the base model's exposure to the expert's style and by μ"


def build(phase: PhaseMap) -> Table:
    rows, records = [], []
    for base in phase.spec.bases:
        marker_logp = phase.marker_logp[base.name]
        for point in base.chord_phi:
            found = (
                phase.cell(point.method, "accuracy"),
                phase.difference(point.method, base.rl),
                phase.difference(point.method, base.chord_mu),
            )
            place = {"title": point.method.title, "exposure": base.exposure, "marker_logp": marker_logp, "mu": point.mu}
            records += [without_parts(item) | place for item in found if item]
            level, *differences = found
            entries: list[str | Entry] = [
                estimate_entry(level, "accuracy", None),
                *(difference_entry(item, "accuracy") for item in differences),
            ]
            rows.append((f"{base.exposure:g}", f"{marker_logp:.2f}".replace("-", "−"), f"{point.mu:g}", *entries))
    first = phase.spec.bases[0]
    header = (
        "Exposure",
        "log p of markers",
        "μ",
        first.chord_phi[0].method.title,
        f"minus {first.rl.title}",
        f"minus {first.chord_mu.title}",
    )
    family = sum(
        row["p"] is not None and (row["metric"], row["group"]) == ("accuracy", ALL) for row in phase.differences
    )
    column = Column(benchmark=phase.spec.benchmark, title=phase.spec.title)
    notes = (
        "Accuracy in percent and paired differences between methods from the same base model in percentage points; in"
        " brackets the 95 % interval. The log p (nats) of the expert's markers is a mean, measured on the base model.",
        f"{MARK} p < {SIGNIFICANT} after Holm's correction (a family of {family} comparisons). Where undecided, d is"
        " the smallest true difference that a single test would find with 80 % power.",
        *size_notes([column], [item for item in phase.cells if item["group"] == ALL]),
        decoding_note([column], {phase.spec.benchmark: phase.decoding}),
    )
    return Table(NAME, TITLE, header, tuple(rows), notes, tuple(records))
