"""The verdicts of claims.json as HTML: each test with a small picture of its interval and margin."""

from dataclasses import dataclass
from pathlib import Path

from chord.analysis.claims.sentences import one_seed_note
from chord.analysis.report.assets import template

TEMPLATE = Path(__file__).with_name("fragment.html.j2")
# Whether the claims' commit came before the runs (docs/architecture.md, `before_runs`).
BEFORE = {
    True: "Every run was made by code that has this commit among its ancestors: claims came before results.",
    False: "Not every run was made by code that has this commit among its ancestors.",
    None: "Whether this was before the runs cannot be told from git.",
}
AIR = 1.15  # how far the picture reaches beyond its content


@dataclass(frozen=True)
class Picture:
    """A test's interval on a line; places in percent of its width.

    The scale is the test's own, with the margin (for `within`: 0) in the middle. The shaded part supports the claim.
    """

    low: float
    high: float
    estimate: float
    margins: tuple[float, ...]
    shaded: tuple[float, float]  # from, width


def claims_html(record: dict, file: str) -> str:
    """The fragment that the report shows. record: the content of claims.json; file: claims.csv as seen by it."""
    claims = [
        claim | {"tests": [test | {"picture": picture(test)} for test in claim["tests"]]} for claim in record["claims"]
    ]
    words = {"when": BEFORE[record["before_runs"]], "one_seed": one_seed_note(record)}
    return template(TEMPLATE).render(file=file, claims=record, judged=claims, **words)


def picture(test: dict) -> Picture | None:
    """The picture of a test; None if the test has no interval."""
    low, high, estimate, margin = (test[key] for key in ("low", "high", "estimate", "margin"))
    if low is None or high is None:
        return None
    within = test["rule"] == "within"
    middle = 0.0 if within else margin
    margins = (-margin, margin) if within else (margin,)
    reach = AIR * max(abs(value - middle) for value in (low, high, *margins)) or 1.0

    def place(value: float) -> float:
        return round(50 * (1 + (value - middle) / reach), 2)

    sides = {"above": (50.0, 100.0), "at_most": (0.0, 50.0), "within": (place(-margin), place(margin))}
    start, end = sides[test["rule"]]
    return Picture(place(low), place(high), place(estimate), tuple(map(place, margins)), (start, round(end - start, 2)))
