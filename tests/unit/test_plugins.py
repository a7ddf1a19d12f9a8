"""Plug-ins: installed packages that bring parts are found by entry points and recorded by what they are."""

import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from chord import tasks
from chord.data.rows_spec import ColumnTask
from chord.errors import UserError
from chord.plugins import plugin_records, plugins

WEIGHT = '''
from typing import Literal

from chord.objectives import TokenWeight


class Doubt(TokenWeight):
    """w = sg(1 - p)."""

    name: Literal["doubt"] = "doubt"

    def __call__(self, tokens):
        return -tokens.logp.detach().expm1()
'''


def install(folder: Path, distribution: str, group: str, entry: str) -> None:
    """What an installer leaves of a distribution's metadata."""
    info = folder / f"{distribution}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages."""
    monkeypatch.syspath_prepend(tmp_path)
    plugins.cache_clear()
    yield tmp_path
    plugins.cache_clear()
    sys.modules.pop("doubtful", None)


def test_an_installed_part_has_its_name_distribution_version_and_source_hash(site):
    (site / "doubtful.py").write_text(WEIGHT)
    install(site, "doubtful", "chord.token_weights", "doubt = doubtful:Doubt")
    plugin = plugins("chord.token_weights")["doubt"]
    assert "doubtful" not in sys.modules, "its code is imported when it is used"
    assert (plugin.distribution, plugin.version) == ("doubtful", "1.2")
    before = plugin.sha256
    (site / "doubtful.py").write_text(WEIGHT + "\n# edited\n")
    plugins.cache_clear()
    record = plugin_records([("chord.token_weights", "doubt"), ("chord.token_weights", "power")])
    assert list(record) == ["chord.token_weights:doubt"]
    assert record["chord.token_weights:doubt"]["sha256"] not in ("", before)


def test_the_hash_is_of_every_file_of_the_package(site):
    (site / "doubtful").mkdir()
    (site / "doubtful" / "__init__.py").write_text("")
    (site / "doubtful" / "formulas.py").write_text("LIMIT = 1\n")
    install(site, "doubtful", "chord.token_weights", "doubt = doubtful:Doubt")
    before = plugins("chord.token_weights")["doubt"].sha256
    (site / "doubtful" / "formulas.py").write_text("LIMIT = 2\n")
    plugins.cache_clear()
    assert plugins("chord.token_weights")["doubt"].sha256 != before


def test_a_name_that_two_distributions_offer_is_refused(site):
    install(site, "doubtful", "chord.schedules", "ramp = doubtful:Ramp")
    install(site, "sceptic", "chord.schedules", "ramp = sceptic:Ramp")
    with pytest.raises(UserError, match=r"chord.schedules ramp.*doubtful"):
        plugins("chord.schedules")


def test_a_plugin_whose_module_is_missing_is_named(site):
    install(site, "doubtful", "chord.schedules", "ramp = doubtful_missing:Ramp")
    with pytest.raises(UserError, match=r"ramp of doubtful 1.2.*doubtful_missing:Ramp"):
        _ = plugins("chord.schedules")["ramp"].value


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
