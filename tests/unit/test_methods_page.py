"""docs/methods.md is what the methods' files, the docstrings of their parts and the committed results say."""

import re
from pathlib import Path

from chord.plan.methods_page import page

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/methods.md").read_text(encoding="utf-8")


def test_the_page_is_current():
    assert page(ROOT) == TEXT, "run: chord methods --out docs/methods.md"


def test_every_link_has_its_place():
    places = set(re.findall(r'<a id="([^"]+)">', TEXT)) | {"parts"}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= places


def test_a_method_has_the_interval_of_the_committed_table():
    shown = TEXT.split('<a id="chord_mu"></a>')[1].split("<a id=")[0]
    (row,) = [
        line.split("|")
        for line in (ROOT / "results/reference/tiny/main/tables/table1.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| CHORD-μ |")
    ]
    skills = row[-2].strip()
    assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]", skills)
    assert f"skills {skills}, 5 seeds" in shown
