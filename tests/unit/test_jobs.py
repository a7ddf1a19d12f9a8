"""The table of jobs: each entry has its function, its specifications and its rules, and reading it costs nothing."""

import ast
import inspect
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from chord.jobs import JOB_OF_RULE, JOBS, SPECS
from chord.study import Study

RULES = "\n".join(path.read_text() for path in sorted(Path(__file__).parents[2].glob("workflow/rules/*.smk")))


@pytest.mark.parametrize("name", JOBS)
def test_the_function_takes_what_the_entry_says(name):
    job = JOBS[name]
    module, _, function = job.function.partition(":")
    tree = ast.parse(Path(find_spec(module).origin).read_text())
    arguments = next(node.args for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    named = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
    needed = [*(["spec"] if job.has_spec else []), *job.inputs, "out"]
    assert named[: len(needed)] == needed
    assert set(named[len(needed) :]) == {*job.optional, *job.also, *job.flags}
    assert {*job.many} <= {*job.inputs, *job.optional}


@pytest.mark.parametrize("name", SPECS)
def test_a_study_makes_each_specification_from_its_names(name):
    parameters = inspect.signature(getattr(Study, f"{name}_spec")).parameters.values()
    needed = [one.name for one in parameters if one.default is one.empty]
    assert [argument.removesuffix("_index") for argument in needed] == ["self", *SPECS[name]] or name == "report"


@pytest.mark.parametrize("rule", JOB_OF_RULE)
def test_each_rule_calls_its_job(rule):
    text = re.search(
        rf"^ *(?:use rule (\w+) as {rule} with|rule {rule}):$(.*?)(?=^ *(?:use )?rule |\Z)", RULES, re.M | re.S
    )
    assert text, f"no rule {rule} in workflow/rules"
    if text[1]:
        assert JOB_OF_RULE[text[1]] == JOB_OF_RULE[rule]
    else:
        job = JOB_OF_RULE[rule]
        assert re.findall(r"python -m chord (\w+)", text[2]) == [job]
        assert f'threads: STUDY.resources("{job}").threads' in text[2]
        assert f'**requested_resources("{job}")' in text[2]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["plan", "--help"]])
def test_help_imports_nothing_but_the_table(arguments):
    code = (
        "import sys; from chord.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: print('#', *(name for name in sys.modules if '.' not in name or name.startswith('chord.')))"
    )
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    modules = set(run.stdout.rpartition("#")[2].split())
    assert {name for name in modules if name.startswith("chord.")} == {"chord.cli", "chord.errors", "chord.jobs"}
    heavy = {"pydantic", "yaml", "numpy", "pandas", "pyarrow", "scipy", "matplotlib", "jinja2", "psutil"}
    assert not modules & (heavy | {"torch", "transformers", "trl", "accelerate", "vllm", "datasets"})
