"""Helpers to run Snakemake on a copy of the checkout and to read what it plans."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.helpers.warm_python import OFFLINE, warm_python

ROOT = Path(__file__).parents[2]
WORKFLOW = ("Snakefile", "workflow", "profiles", "config", "src", "environment.yml", "pyproject.toml")


def copy_checkout(folder: Path) -> Path:
    """What the workflow reads of the repository, as files of our own to edit; the models are only linked."""
    for name in WORKFLOW:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    (folder / "models").symlink_to(ROOT / "models")
    return folder


def snakemake(
    folder: Path,
    *arguments: str,
    check: bool = True,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess:
    """Run Snakemake in `folder`, as a person would type it there; it and its jobs are forks of one warm Python.

    prefix: a command that runs that Python.
    """
    result = subprocess.run(
        [warm_python(*prefix), "-m", "snakemake", *arguments],
        cwd=folder,
        env=os.environ | OFFLINE | dict(environment or {}),
        capture_output=True,
        text=True,
    )
    if check and result.returncode:
        raise AssertionError(f"snakemake {' '.join(arguments)}\n{result.stdout}\n{result.stderr}")
    return result


def planned(folder: Path, *targets: str) -> set[str]:
    """The outputs that Snakemake would make (again) for the targets, relative to the study's results folder."""
    table = snakemake(folder, "--summary", *targets).stdout.splitlines()
    columns = table[0].split("\t")
    rows = [dict(zip(columns, line.split("\t"), strict=True)) for line in table[1:]]
    return {row["output_file"].split("/", 2)[2] for row in rows if row["plan"] != "no update"}


def pretend_finished(folder: Path, *targets: str) -> None:
    """Make every output of the targets as an empty file, and let Snakemake record its jobs as done."""
    for line in snakemake(folder, "--summary", *targets).stdout.splitlines()[1:]:
        path = folder / line.split("\t")[0]
        if path.name == "model":
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    snakemake(folder, "--touch", "--forceall", "--cores", "64", *targets)
    assert not planned(folder, *targets)
