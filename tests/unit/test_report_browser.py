"""The report in a browser: scripts do what they say, and axe-core finds nothing, at the width of a desk and a phone."""

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.browser import LACK, dump, try_out
from tests.helpers.fake_report import NAMES, add_responses, make, page

pytestmark = pytest.mark.skipif(bool(LACK), reason=LACK)
ACT = """
const one = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const found = {};
const heading = all("#main-table1 thead button")[1];
const order = () => all("#main-table1 tbody th").map((cell) => cell.textContent);
found.orders = [order()];
for (let i = 0; i < 3; i += 1) { heading.click(); found.orders.push(order()); }
found.sort = heading.parentNode.getAttribute("aria-sort");
one("#claims fieldset input").click();
const rows = all("#claims tbody tr").map((row) => row.hidden);
found.claims = [one("#claims .claim").hidden, ...rows, one("#claims [role=status]").textContent];
one(".controls input").click();
found.sizes = one("#main-table1 td .sizes").textContent;
const lines = () => all("#chart [data-method]").map((line) => line.dataset.method);
const start = one("#chart input[type=range]");
start.value = 0;
start.dispatchEvent(new Event("input"));
found.lines = [lines()];
one("#chart tbody input").click();
found.lines.push(lines());
const values = all("#chart tbody tr").map(({cells}) => [cells[0].textContent, cells[1].textContent]);
found.values = Object.fromEntries(values);
const [left, right] = all("#samples select");
left.value = 1;
left.dispatchEvent(new Event("change"));
found.pair = all("#samples details:first-of-type .pair article").map((node) => node.querySelector(".said").textContent);
all("#samples details").forEach((node) => { node.open = true; });
return found;
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("study"))


def test_a_reader_picks_sorts_filters_and_compares(study: Path, tmp_path: Path) -> None:
    add_responses(study, "How many?")
    text = page(study, tmp_path / "report.html")
    for found in try_out(text, ACT, (1280, 400), tmp_path):
        acted = found["acted"]
        assert found["violations"] == []
        assert found["overflow"] <= 0
        cells = pd.read_parquet(study / "main/cells.parquet").query("metric == 'accuracy' and group == 'all'")
        titles = re.findall(r'<th scope="row">(.*?)</th>', text[text.index('id="main-table1"') :])[: len(NAMES)]
        accuracy = dict(zip(NAMES, titles, strict=True))
        best = [accuracy[name] for name in cells.sort_values("estimate", ascending=False)["method"]]
        assert acted["orders"] == [titles, best, best[::-1], titles]
        assert acted["sort"] is None
        assert acted["claims"] == [True, True, False, "0 of 1 measured claims shown"]
        assert acted["sizes"] == "3 seeds, 12 questions, k = 4"
        assert acted["lines"] == [["sft_best", "rl", "chord_mu", "chord_phi"], ["rl", "chord_mu", "chord_phi"]]
        seeds = [pd.read_csv(study / f"runs/rl/seed-{seed}/curves.csv") for seed in range(3)]
        start = 100 * sum(frame["validation_accuracy"][0] for frame in seeds) / 3
        assert float(acted["values"][accuracy["rl"]]) == pytest.approx(start, rel=1e-3)
        assert [re.match(r"<think>(\w+)", said)[1] for said in acted["pair"]] == list(NAMES[:2])


def test_its_policy_lets_its_own_script_run(study: Path, tmp_path: Path) -> None:
    page(study, tmp_path / "report.html")
    assert '<button type="button" class="sort">' in dump(tmp_path / "report.html")
