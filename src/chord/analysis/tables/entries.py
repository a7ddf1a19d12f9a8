"""Cells and differences as entries of a table: numbers, intervals, marks, and lines of the csv."""

from chord.analysis.catalogue import METRICS
from chord.analysis.specs import Column
from chord.analysis.tables.reported import PROVENANCE, Number
from chord.analysis.tables.table import Entry

SIGNIFICANT = 0.05
ONE_SEED = "‡"
MARK = "*"
PARTS = ("sd_decoding", "sd_questions", "sd_seeds")


def number(value: float, metric: str, sign: bool = False) -> str:
    """One decimal, in percent for shares; lengths above 1000 tokens without decimals. A true minus sign."""
    scaled = value * METRICS[metric].scale
    digits = 0 if abs(scaled) >= 1000 else 1
    text = f"{scaled:+.{digits}f}" if sign else f"{scaled:.{digits}f}"
    if float(text) == 0.0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def count(value: float) -> str:
    """1234567 -> 1 234 567 with thin spaces; one decimal below 100."""
    text = f"{value:,.1f}" if abs(value) < 100 and value != round(value) else f"{value:,.0f}"
    return text.replace(",", "\u202f")


def plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def span(values: set[int]) -> str:
    return str(min(values)) if len(values) == 1 else f"{min(values)} to {max(values)}"


def _sizes(item: dict) -> str:
    samples = f", k = {item['k']}" if "k" in item else ""
    return f"{plural(item['n_seeds'], 'seed')}, {plural(item['n_questions'], 'question')}{samples}"


def _bounds(item: dict, metric: str, sign: bool = False) -> str:
    if item["low"] is None:
        return "[no interval: one question]"
    return f"[{number(item['low'], metric, sign)}, {number(item['high'], metric, sign)}]"


def estimate_entry(cell: dict | None, metric: str, paper: Number | None) -> Entry:
    note = f"{{{paper.value:g}, {PROVENANCE[paper.provenance]}}}" if paper else ""
    if cell is None:
        return Entry(note=note)
    marks = ONE_SEED if cell["n_seeds"] == 1 else ""
    return Entry(number(cell["estimate"], metric), _bounds(cell, metric), marks, note, _sizes(cell))


def difference_entry(item: dict | None, metric: str) -> Entry:
    if item is None:
        return Entry()
    decided = item["p_holm"] is not None and item["p_holm"] < SIGNIFICANT
    marks = (MARK if decided else "") + (ONE_SEED if item["n_seeds"] == 1 else "")
    undecided = not decided and item["detectable"] is not None
    note = f"d {number(item['detectable'], metric)}" if undecided else ""
    estimate = number(item["estimate"], metric, sign=True)
    return Entry(estimate, _bounds(item, metric, sign=True), marks, note, _sizes(item))


def without_parts(item: dict) -> dict:
    """A cell as csv files of estimates have it: where its uncertainty comes from has a table of its own."""
    return {key: value for key, value in item.items() if key not in PARTS}


def record(title: str, column: Column, metric: str, item: dict | None, paper: Number | None) -> dict:
    """One line of the csv: the item's own columns in full precision (shares as shares), and the paper's number."""
    line = {"title": title, "benchmark": column.benchmark, "group": column.group, "metric": metric}
    line |= without_parts(item or {"estimate": None, "low": None, "high": None, "n_questions": 0, "n_seeds": 0})
    if paper:
        line |= {
            "reported": paper.value / METRICS[metric].scale,
            "reported_provenance": paper.provenance,
            "reported_source": paper.source,
        }
    return line
