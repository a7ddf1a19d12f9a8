"""docs/coverage.md is what the studies, their plans and the committed results make of the paper's items."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from chord.errors import UserError
from chord.plan import plan_text
from chord.plan.memory import needs
from chord.plan.paper_coverage import ITEMS, NO_FIT, NOT_YET, READY, States, Target, page, read_items
from chord.plan.rank import GIB
from chord.plan.work import planned_methods
from chord.study import load_study

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_page_is_current():
    text = (ROOT / "docs/coverage.md").read_text(encoding="utf-8")
    assert text == page(ROOT), "run: chord coverage --out docs/coverage.md"


def test_the_guide_has_the_plans_numbers():
    text = (ROOT / "docs/running-the-paper.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\S+)` \| ([\d,.]+) \| ([\d.]+) \| (\d+) GiB \|$", text, re.MULTILINE)
    assert len(rows) == 6
    for name, *said in rows:
        study = load_study(name, ROOT)
        lines = plan_text(study).splitlines()
        hours, wall = [line.split()[-2:] for line in lines if line.startswith(("  main  ", "  all  "))][-1]
        full = max(need.memory.total for need in needs(study, planned_methods(study)) if not need.in_machine)
        assert said == [hours, f"{float(wall.replace(',', '')) / 24:.1f}", f"{full / GIB:.0f}"]
    (said,) = re.findall(r"By the plan ([\d,.]+) A100-hours, ([\d.]+) hours on eight", text)
    lines = plan_text(load_study("paper-math", ROOT)).splitlines()
    assert [said] == [tuple(line.split()[-2:]) for line in lines if line.startswith("  main ")]


def test_every_table_and_figure_of_the_paper_has_an_item():
    places = [item.place for item in read_items(ROOT)]
    wanted = [f"Table {n}" for n in range(1, 13)] + [f"Figure {n}" for n in range(1, 14)]
    assert places[: len(wanted)] == wanted


def test_states_are_found_out():
    states = States(ROOT)
    assert states.of(Target(study="tiny", comparison="main", table="table1")) == "measured"
    assert states.of(Target(study="small-gpu", comparison="main", table="table1")) == READY
    assert states.of(Target(study="paper-math", comparison="main", table="table1")) == READY
    missing = Target(study="paper-math", comparison="main", table="table1", data="none", methods=("rl",))
    assert states.of(missing) == "data missing"
    for change in ({"study": "no"}, {"comparison": "no"}, {"table": "no"}, {"methods": ("no",)}):
        values = {"study": "tiny", "comparison": "main", "table": "table1", "lacks": "something"} | change
        assert states.of(Target(**values)) == NOT_YET


def test_a_study_that_its_plan_refuses_does_not_fit(tmp_path):
    for name in ("models", "results"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    study = {"base": "paper-math", "training": {"scale": None}, "resources": {"train": {"gpus": 1}}}
    (tmp_path / "config/studies/whole.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    target = {"comparison": "main", "table": "table1"}
    assert States(tmp_path).of(Target(study="whole", **target)) == NO_FIT


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"table": "table1", "lacks": "much"}, "`tiny` main/table1: .*remove `lacks`"),
        ({"table": "table9"}, "`tiny` main/table9: it does not exist; .*`lacks`"),
        ({"table": "table1", "figure": "fig4"}, "items.0.targets.0: expected either a table or a figure"),
        ({"tabel": "table1"}, "items.0.targets.0.tabel: "),
    ],
)
def test_an_item_that_is_not_true_any_more_is_refused(tmp_path, target, message):
    for name in ("config", "models", "results"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "config").unlink()
    (tmp_path / "config").mkdir()
    for path in (ROOT / "config").iterdir():
        (tmp_path / "config" / path.name).symlink_to(path)
    (tmp_path / "config/paper").unlink()
    item = {"place": "Table 1", "content": "x", "targets": [{"study": "tiny", "comparison": "main"} | target]}
    (tmp_path / ITEMS).parent.mkdir()
    (tmp_path / ITEMS).write_text(yaml.safe_dump({"items": [item]}), encoding="utf-8")
    with pytest.raises(UserError, match=f"{ITEMS}: {message}"):
        page(tmp_path)
