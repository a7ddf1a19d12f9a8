"""Tasks of installed packages: found by entry points, held to what a task is, and open to rows of any columns."""

import pytest
from pydantic import TypeAdapter, ValidationError

from chord import tasks
from chord.data.rows_spec import ColumnTask
from chord.errors import UserError
from chord.plugins import plugins
from tests.unit.test_plugins import install, site

__all__ = ["site"]
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


def test_rows_of_any_columns_may_have_an_installed_task_and_no_unknown_one(offer_task):
    task = TypeAdapter(ColumnTask)
    for unknown in ("echo", "bfcl"):  # bfcl has rows of its own
        with pytest.raises(ValidationError, match=r"'math', .*'tool_call'") as caught:
            task.validate_python(unknown)
        assert "'bfcl'" not in str(caught.value).partition("[")[0]
    plugins.cache_clear()
    offer_task("echo = doubtful:ECHO")
    assert task.validate_python("echo") == "echo"
    assert "echo" not in str(task.json_schema())
