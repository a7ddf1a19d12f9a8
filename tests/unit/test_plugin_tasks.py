"""Tasks of installed packages: found by entry points, held to what a task is, and open to rows of any columns."""

import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from chord import tasks
from chord.data.rows_spec import ColumnTask
from chord.errors import UserError
from chord.plugins import GROUPS, plugins
from tests.helpers.plugin_files import install

ROOT = Path(__file__).parents[2]
TASK = """
from chord.tasks import Task, Verdict

ECHO = Task("echo", lambda row, text, truncated: Verdict(1.0, text == row["gold"], True, "said"))
"""


@pytest.fixture
def offer_task(site):
    """Install a module with tasks that offers one under a name."""

    def offer(entry: str, code: str = TASK) -> None:
        (site / "doubtful.py").write_text(code)
        install(site, "doubtful", "chord.tasks", entry)

    return offer


def test_an_installed_task_judges_and_its_hash_is_that_of_its_package(offer_task):
    offer_task("echo = doubtful:ECHO")
    assert "echo" in tasks.known_tasks()
    assert tasks.verdict({"id": "e", "task": "echo", "gold": "yes"}, "yes", False).correct
    assert tasks.task_hashes(["echo"]) == {"echo": plugins("chord.tasks")["echo"].sha256}
    assert "echo" not in tasks.TASKS


@pytest.mark.parametrize("entry", ["echoes = doubtful:ECHO", "echo = doubtful:Verdict"])
def test_an_installed_object_that_is_no_task_of_its_name_is_refused(offer_task, entry):
    offer_task(entry)
    with pytest.raises(UserError, match=r"of doubtful 1.2: doubtful:\w+: expected a chord.tasks.Task named 'echo"):
        tasks.find_task(entry.partition(" ")[0])


def test_an_installed_task_cannot_take_the_name_of_ours(offer_task):
    offer_task("math = doubtful:ECHO")
    with pytest.raises(UserError, match=r"chord.tasks math of doubtful 1.2.*another name"):
        tasks.find_task("world")


@pytest.mark.parametrize("name", ["echo", "bfcl"])  # bfcl has rows of its own
def test_rows_of_any_columns_have_no_unknown_task(name):
    with pytest.raises(ValidationError, match=r"'math', .*'tool_call' ") as caught:
        TypeAdapter(ColumnTask).validate_python(name)
    assert name not in caught.value.errors()[0]["ctx"]["expected"]


def test_rows_of_any_columns_may_have_an_installed_task(offer_task):
    offer_task("echo = doubtful:ECHO")
    task = TypeAdapter(ColumnTask)
    assert task.validate_python("echo") == "echo"
    assert "echo" not in str(task.json_schema())


def test_the_page_shows_the_example_package_as_it_is():
    page = (ROOT / "docs/objective.md").read_text(encoding="utf-8")
    section = page.partition("## Add a token weight, a schedule or a task")[2]
    shown = dict(re.findall(r"```(python|toml)\n(.*?)```", section, re.DOTALL))
    module = (ROOT / "tests/plugin/chord_doubt.py").read_text(encoding="utf-8")
    assert shown == {"python": module, "toml": (ROOT / "tests/plugin/pyproject.toml").read_text(encoding="utf-8")}
    assert len(module.splitlines()) < 40
    assert all(f"`{group}`" in section for group in GROUPS)
