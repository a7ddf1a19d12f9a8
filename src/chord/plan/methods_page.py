"""The page docs/methods.md: each method with its formula, source, YAML and result. Nothing of it is written by hand.

Formulas and sources are the docstrings of a method's parts; defaults and changes are its file with its comments; and
results are cells that are committed under results/reference.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic.fields import FieldInfo

from chord.analysis.tables.wording import plural
from chord.io.parquet import read
from chord.objectives import AnyDistillation, AnyExpertLoss, AnyRouter, AnySchedule, AnyTokenWeight
from chord.study.yaml_files import read_yaml

PARTS = {
    "schedule": AnySchedule,
    "token_weight": AnyTokenWeight,
    "expert_loss": AnyExpertLoss,
    "router": AnyRouter,
    "distillation": AnyDistillation,
}
INTRODUCTION = """# Methods

`chord methods` makes this page from [config/methods](../config/methods), the docstrings of the parts
in [src/chord/objectives](../src/chord/objectives) and the committed
[results](../results/reference); a test keeps it current. [objective.md](objective.md) has the loss
that all methods share, [results.md](results.md) what may be concluded from the results.

A file has what a method adds to the training settings of its study; its comments say what differs
from the source. The formula and the source of each part are [below](#parts).
"""


def page(root: Path) -> str:
    """root: of the repository."""
    files = sorted((root / "config/methods").glob("*.yaml"))
    methods = {path.stem: read_yaml(path, path.name) for path in files}
    index = "\n".join(f"- [{method['title']}](#{name}): `{name}`" for name, method in methods.items())
    results = read_results(root / "results/reference")
    entries = (entry(path, methods[path.stem], results.get(path.stem, [])) for path in files)
    return "\n".join([INTRODUCTION, index, *entries, *part_entries(), ""])


def entry(path: Path, method: dict, results: list[str]) -> str:
    """The section of one method. results: lines of `read_results`."""
    text = path.read_text(encoding="utf-8")
    shown = re.sub(r"^(# yaml-language-server|title:|paper:).*\n", "", text, flags=re.MULTILINE).strip()
    lines = [f'\n<a id="{path.stem}"></a>\n', f"## {method['title']}\n", f"Paper: {method['paper']}.\n"]
    if links := ", ".join(part_links(method.get("stage") or {})):
        lines.append(f"Parts: {links}.\n")
    lines += ["```yaml", shown or "{}", "```\n"]
    return "\n".join(lines + (results or ["No result is committed."]))


def part_links(stage: dict) -> Iterator[str]:
    """A link for each part that the stage names, and for a part within it."""
    for kind in PARTS:
        part = stage.get(kind)
        while part:
            yield f"{kind.replace('_', ' ')} [{part['name']}](#{kind}-{part['name']})"
            part = next((value for value in part.values() if isinstance(value, dict) and "name" in value), None)


def part_entries() -> Iterator[str]:
    """A section for each kind of part, with what the docstring of each part says."""
    yield "\n## Parts"
    for kind, union in PARTS.items():
        yield f"\n### {kind.replace('_', ' ').capitalize()}\n"
        own, *_ = get_args(union)
        for part in get_args(own):
            name = part.model_fields["name"].default
            text = " ".join(inspect.cleandoc(part.__doc__).split())
            settings = ", ".join(_setting(key, field) for key, field in part.model_fields.items() if key != "name")
            yield f'- <a id="{kind}-{name}"></a>**`{name}`**: {text}' + (f" Settings: {settings}." if settings else "")


def _setting(name: str, field: FieldInfo) -> str:
    return f"`{name}`" if field.is_required() else f"`{name}` ({field.default})"


def read_results(reference: Path) -> dict[str, list[str]]:
    """Method -> a line for each study, with the accuracy on each benchmark and its interval."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for path in sorted(reference.glob("*/*/cells.parquet")):
        for cell in read(
            path, ["method", "benchmark", "group", "metric", "estimate", "low", "high", "n_seeds"]
        ).to_pylist():
            if (cell["metric"], cell["group"]) == ("accuracy", "all"):
                low, high = 100 * cell["low"], 100 * cell["high"]
                text = f"{cell['benchmark']} {100 * cell['estimate']:.1f} [{low:.1f}, {high:.1f}]"
                of_study = cells.setdefault((cell["method"], path.parts[-3]), {})
                of_study[cell["benchmark"]] = f"{text}, {plural(cell['n_seeds'], 'seed')}"
    results: dict[str, list[str]] = {}
    for (method, study), of_study in cells.items():
        results.setdefault(method, []).append(f"Accuracy in `{study}`, in percent: {'; '.join(of_study.values())}.")
    return results
