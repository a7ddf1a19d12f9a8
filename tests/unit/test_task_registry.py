"""Which tasks there are, and which source decides the verdicts of each: editing it ends what was judged by it."""

import ast
import shutil
from pathlib import Path

import pytest

from chord.io import provenance
from chord.tasks import TASKS, find_task, known_tasks, task_hashes
from chord.tasks.registry import SHARED_CODE

SRC = Path(provenance.__file__).parents[1]
STARTED_AS_A_SCRIPT = {"tasks/math_worker.py"}  # by grader_pool, not imported


def imported(file: Path) -> set[Path]:
    """Modules of the rooms `tasks` and `world` that a module imports, of packages their `__init__`."""
    places = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(("chord.tasks", "chord.world")):
            place = SRC.joinpath(*node.module.split(".")[1:])
            places += [place, *(place / name.name for name in node.names)]
    modules = {place.with_suffix(".py") for place in places} | {place / "__init__.py" for place in places}
    return {module for module in modules if module.is_file()}


def all_imported(file: Path) -> set[str]:
    reached, new = set(), {file}
    while new:
        reached |= new
        new = set().union(*map(imported, new)) - reached
    return {module.relative_to(SRC).as_posix() for module in reached}


@pytest.mark.parametrize("name", TASKS)
def test_the_code_of_a_task_is_what_its_module_imports(name):
    module = TASKS[name].partition(":")[0]
    reached = all_imported(SRC.joinpath(*module.split(".")[1:]).with_suffix(".py"))
    places = [SRC / place for place in find_task(name).code]
    listed = {file for place in places for file in ([place] if place.is_file() else place.glob("*.py"))}
    assert {file.relative_to(SRC).as_posix() for file in listed} - STARTED_AS_A_SCRIPT == reached - set(SHARED_CODE) - {
        "tasks/registry.py"
    }


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ("world/world_tasks.py", {"world", "choice"}),
        ("world/problems.py", set()),
        ("tasks/registry.py", set()),
        ("tasks/answers/units.py", {"math", "math_trinity"}),
        ("tasks/math_worker.py", {"math", "math_trinity"}),
        ("tasks/task.py", set(TASKS)),
    ],
)
def test_an_edit_changes_the_hash_of_the_tasks_that_it_may_change(edited, changed, tmp_path, monkeypatch):
    before = task_hashes(TASKS)
    for room in ("tasks", "world"):
        shutil.copytree(SRC / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "io/provenance.py"))
    provenance.source_sha256.cache_clear()
    try:
        assert task_hashes(TASKS) == before
        (tmp_path / edited).write_text("# another\n")
        provenance.source_sha256.cache_clear()
        after = task_hashes(TASKS)
    finally:
        provenance.source_sha256.cache_clear()
    assert {name for name in TASKS if before[name] != after[name]} == changed


def test_every_task_has_the_name_it_is_found_by():
    assert {name: find_task(name).name for name in known_tasks()} == {name: name for name in known_tasks()}
