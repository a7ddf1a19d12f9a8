"""The page docs/commands.md: every command with its options, from the parser and the table of jobs."""

import argparse
import re
from pathlib import Path

from chord.cli import make_parser
from chord.jobs import JOBS

INTRODUCTION = """# Commands

`chord <command>` is `python -m chord <command>`. Each rule of the workflow calls one of the first
group, and so can you; the second group inspects a study or files. `chord <command> --help` says the
same as this page, which `chord derived` makes. Bad input ends a command with one line for each
problem and exit code 2.
"""


def page(root: Path) -> str:
    """root: of the repository; nothing there is read."""
    (commands,) = [action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction)]
    others = [name for name in commands.choices if name not in JOBS]
    parts = [INTRODUCTION]
    for heading, names in (("Jobs of the workflow", JOBS), ("Other commands", others)):
        parts.append(f"## {heading}\n")
        parts += [entry(name, commands.choices[name]) for name in names]
    return "\n".join(parts)


def entry(name: str, command: argparse.ArgumentParser) -> str:
    """The section of one command: what it does, the rules that call it, and its arguments."""
    lines = [f"### `chord {name}`", "", f"{command.description[0].upper()}{command.description[1:]}.", ""]
    if name in JOBS:
        rules = ", ".join(f"`{rule}`" for rule in JOBS[name].rules or (name,))
        lines += [f"Called by: {rules}.", ""]
    lines += ["| argument | | meaning |", "|---|---|---|"]
    for action in command._actions:
        if action.dest != "help":
            lines.append(f"| {shown(action)} | {'' if optional(action) else 'required'} | {marked(action.help)} |")
    return "\n".join([*lines, ""])


def marked(text: str) -> str:
    """The help with what Markdown would read as a tag marked as code."""
    text = text.removesuffix(" (optional)")
    return re.sub(r"[\w/.{},-]*<[^|()]*>[\w/.{},<>-]*", lambda match: f"`{match[0]}`", text)


def optional(action: argparse.Action) -> bool:
    return not action.required if action.option_strings else action.nargs == "?"


def shown(action: argparse.Action) -> str:
    """How the argument is typed: `--runs PATH ...`."""
    value = action.metavar or ("|".join(action.choices) if action.choices else action.dest.upper())
    if not action.option_strings:
        return f"`{action.dest.upper()}`"
    many = " ..." if action.nargs == "+" else ""
    text = action.option_strings[0] if action.nargs == 0 else f"{action.option_strings[0]} {value}{many}"
    return f"`{text.replace('|', ', ')}`"
