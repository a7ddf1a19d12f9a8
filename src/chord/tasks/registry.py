"""Which tasks there are: our own, and those of installed packages; and the source that decides the verdicts of each."""

from collections.abc import Iterable
from pkgutil import resolve_name

from chord.errors import UserError
from chord.io.provenance import source_sha256
from chord.plugins import Plugin, plugins
from chord.tasks.task import Task

# Where each task is, or the task itself. Modules are imported on use: that of the world imports `chord.tasks.task`.
TASKS: dict[str, str | Task] = {
    "bfcl": "chord.tasks.bfcl:BFCL",
    "bfcl_call": "chord.tasks.bfcl_training:BFCL_CALL",
    "bfcl_tool_call": "chord.tasks.bfcl_training:BFCL_TOOL_CALL",
    "choice": "chord.world.world_tasks:CHOICE",
    "math": "chord.tasks.math:MATH",
    "math_trinity": "chord.tasks.math:MATH_TRINITY",
    "mmlu_pro": "chord.tasks.mmlu_pro:MMLU_PRO",
    "mmlu_pro_letter": "chord.tasks.mmlu_pro:MMLU_PRO_LETTER",
    "reasoning_gym": "chord.tasks.reasoning_gym:REASONING_GYM",
    "rubric": "chord.tasks.rubric:RUBRIC",
    "tool_call": "chord.tasks.tool_call:TOOL_CALL",
    "world": "chord.world.world_tasks:WORLD",
}
GROUP = "chord.tasks"  # entry points of installed packages
SHARED_CODE = ("tasks/__init__.py", "tasks/task.py")  # part of every verdict


def known_tasks() -> list[str]:
    """Names of our own tasks and of those that installed packages bring."""
    return sorted(TASKS.keys() | _plugins().keys())


def find_task(name: str) -> Task:
    """The task of this name; UserError with the known names where there is none."""
    if name in _plugins():
        return _plugin_task(_plugins()[name])
    if name not in TASKS:
        raise UserError(f"task {name!r} is unknown; expected one of {', '.join(known_tasks())}")
    task = TASKS[name]
    return resolve_name(task) if isinstance(task, str) else task


def task_hashes(names: Iterable[str]) -> dict[str, str]:
    """Hash of the source that decides the verdicts of each of these tasks, by name."""
    return {name: _source_hash(name) for name in sorted(set(names))}


def _source_hash(name: str) -> str:
    task = find_task(name)
    if name in _plugins():
        return _plugins()[name].sha256
    return source_sha256(*SHARED_CODE, *task.code)


def _plugins() -> dict[str, Plugin]:
    offered = plugins(GROUP)
    if taken := sorted(offered.keys() & TASKS.keys()):
        raise UserError(f"plug-in {offered[taken[0]]}: {taken[0]!r} is a task of our own; expected another name")
    return offered


def _plugin_task(plugin: Plugin) -> Task:
    task = plugin.value
    if not isinstance(task, Task) or task.name != plugin.name:
        raise UserError(f"plug-in {plugin}: {plugin.entry.value}: expected a chord.tasks.Task named {plugin.name!r}")
    return task
