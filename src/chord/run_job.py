"""Runs one job of the table: claims its GPUs, starts its ranks, calls its function, and reports problems as lines."""

import argparse
import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from chord.errors import UserError, problems_of
from chord.io.devices import claim_gpus
from chord.io.files import explain_disk_errors
from chord.jobs import Job
from chord.training.scale.launch import end_with_launcher, in_rank, launch
from chord.training.scale.scale_spec import Scale


def run_job(job: Job, options: argparse.Namespace) -> int:
    """Run a job and return its exit code. UserError: a line for each problem with its specification, inputs or disk.

    options: the parsed options of the job, and `arguments`, the command line itself, which further ranks repeat.
    """
    given = {name: value for name, value in vars(options).items() if value not in (None, False)}
    spec = _read_spec(options.spec) if job.has_spec else {}
    paths = _input_paths(job, given)
    if job.claims_gpus:
        end_with_launcher()
        with _problems_in_one_line_each():
            scale = Scale.model_validate(spec.get("scale", {}))
        backend = spec.get("backend", {}).get("tensor_parallel_size", 1)
        claim_gpus(max(scale.gpus_per_node, backend), server=scale.rollouts.gpus)
        if scale.ranks > 1 and not in_rank():
            return launch(scale, options.arguments)
    module, _, name = job.function.partition(":")
    more = {option: given[option] for option in (*job.optional, *job.also, *job.flags) if option in given}
    with _problems_in_one_line_each(), _deleted_inputs_in_one_line(paths), explain_disk_errors(options.out):
        function = getattr(importlib.import_module(module), name)
        function(*([spec] if job.has_spec else []), *(given[option] for option in job.inputs), options.out, **more)
    return 0


def _read_spec(text: str) -> dict:
    """text: JSON, or the path of a file with it."""
    shown = "--spec"
    if not text.lstrip().startswith("{"):
        shown = text
        try:
            text = Path(text).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise UserError(f"{shown}: no such file; expected JSON text or a file with it") from None
    try:
        spec = json.loads(text)
    except ValueError as error:
        raise UserError(f"{shown}: not valid JSON ({error})") from None
    if not isinstance(spec, dict):
        raise UserError(f"{shown}: expected a JSON object, got {type(spec).__name__}")
    return spec


def _input_paths(job: Job, given: dict) -> list[Path]:
    """The files and folders that the job reads; UserError if one is missing."""
    values = [given[option] for option in (*job.inputs, *job.optional) if option in given]
    paths = [path for value in values for path in (value if isinstance(value, list) else [value])]
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
    return paths


@contextmanager
def _problems_in_one_line_each() -> Iterator[None]:
    """Report an invalid specification, which was written by hand, as the specifications of a study are checked."""
    try:
        yield
    except ValidationError as error:
        raise UserError("\n".join(f"{error.title}: {problem}" for problem in problems_of(error))) from error


@contextmanager
def _deleted_inputs_in_one_line(paths: list[Path]) -> Iterator[None]:
    """Report a missing file in `paths`, all of which existed; any other missing file is our fault."""
    try:
        yield
    except FileNotFoundError as error:
        if not error.filename or not any(Path(error.filename).is_relative_to(path) for path in paths):
            raise
        raise UserError(f"{error.filename}: missing; run the command that makes it again") from error
