"""README.md says what the committed results say, and fits a reader's window."""

import re
from pathlib import Path

import pytest

from chord.jobs import JOB_OF_RULE

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def rows(markdown: str) -> dict[str, list[str]]:
    """Method -> the other fields of its row, of the first table."""
    lines = [
        [field.strip() for field in line.split("|")[1:-1]] for line in re.findall(r"^\|.*$", markdown, re.MULTILINE)
    ]
    return {first: others for first, *others in lines[2:]}


@pytest.mark.parametrize(
    ("study", "heading", "columns"),
    [("smol-tool-bf16", "**In a real language model**", 3), ("tiny", "**In a synthetic world**", 2)],
)
def test_its_tables_have_the_committed_numbers(study, heading, columns):
    table = (ROOT / f"results/reference/{study}/main/tables/table1.md").read_text(encoding="utf-8")
    block = TEXT.partition(heading)[2].partition("\n![")[0]
    shown = {method.partition(" (")[0]: fields for method, fields in rows(block).items()}
    assert shown == {method: fields[-columns:] for method, fields in rows(table.replace("‡", "")).items()}


def test_its_verdicts_are_the_committed_ones():
    claims = (ROOT / "results/reference/tiny/claims/all/claims.md").read_text(encoding="utf-8")
    said = re.search(r"(\d+) claims (\d+) were supported, (\d+) contradicted, (\d+) undecided", TEXT)
    verdicts = [line.split("|")[2].strip() for line in claims.splitlines() if line.startswith("| ") and line[2] != " "]
    counts = [verdicts.count(verdict) for verdict in ("supported", "contradicted", "undecided")]
    assert list(map(int, said.groups())) == [sum(counts), *counts]


def test_no_line_is_longer_than_120_columns():
    assert [line for line in TEXT.splitlines() if len(line) > 120] == []


def test_the_graph_shows_rules():
    (graph,) = re.findall(r"```mermaid\n(.*?)```", TEXT, re.DOTALL)
    shown = set(re.findall(r"(?:^|> ) *([a-z]+)", re.sub(r"\[.*?\]", "", graph), re.MULTILINE)) - {"flowchart"}
    assert shown == {*"prepare experts train benchmark generate score cells table figure judge report".split()}
    assert shown <= {*JOB_OF_RULE}
