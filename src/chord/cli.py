"""`chord <command>` = `python -m chord <command>`: each rule of the workflow calls one command, and so can a person.

A job's command takes its specification as JSON (`chord spec` prints it), its inputs and its output, and hands them to
the `run` function of one module. That module is imported only then, so that a table never waits for torch.
Bad input ends a command with one line a problem and exit code 2; anything else is our fault and shows its traceback.
`chord doctor` ends with 1 where something is missing.
"""

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from chord.errors import UserError
from chord.io.devices import claim_gpus
from chord.io.files import explain_disk_errors, write_text
from chord.training.scale.launch import end_with_launcher, in_rank, launch, let_the_first_rank_speak
from chord.training.scale.scale_spec import Scale

if TYPE_CHECKING:
    from chord.study import Study


@dataclass(frozen=True)
class Job:
    """A command of the form: specification and inputs in, output out."""

    help: str
    module: str  # its function `run(spec, *inputs, out)` does the work
    inputs: dict[str, str]  # option -> help, in the order of the function's arguments
    optional: dict[str, str] = field(default_factory=dict)  # further inputs, given to the function by name
    also: dict[str, str] = field(default_factory=dict)  # further outputs, likewise
    many: frozenset[str] = frozenset()  # the inputs of both kinds that are lists of files
    flags: dict[str, str] = field(default_factory=dict)  # what is on or off, likewise; not part of the specification
    out: str = "output"
    has_spec: bool = True  # false: nothing to set; the function gets {}
    computes: bool = False  # on a GPU where there is one


JOBS = {
    "prepare": Job(
        help="prompts for experts, RL and validation, with a manifest of hashes",
        module="chord.data.prepare",
        inputs={},
        optional={
            "benchmarks": "benchmark rows (<benchmark>.jsonl) that no prompt of a dataset may repeat",
            "policy": "model folder whose tokenizer counts the tokens, for the OpenR1 recipe",
        },
        many=frozenset({"benchmarks"}),
        out="data folder",
    ),
    "download": Job(
        help="files of one repository of the hub, at the commit and with the hashes of a study's lock",
        module="chord.data.download",
        inputs={},
        out="folder",
    ),
    "benchmark": Job(
        help="rows of one benchmark",
        module="chord.data.benchmark",
        inputs={},
        out="benchmark rows (<benchmark>.jsonl)",
    ),
    "experts": Job(
        help="right expert trajectories for prompts, rejections counted by reason",
        module="chord.experts.make",
        inputs={
            "prompts": "prompts (sft.jsonl, rl.jsonl)",
            "policy": "model folder whose tokenizer counts the tokens",
        },
        out="expert rows (experts.jsonl)",
    ),
    "pretrain": Job(
        help="train the world's base model and check its gates",
        module="chord.world.pretrain",
        inputs={},
        optional={"start": "folder of a base model to go on from, instead of from nothing"},
        computes=True,
        out="model folder",
    ),
    "gates": Job(
        help="whether SFT and RL from a base model learn as the study needs it",
        module="chord.world.gates",
        inputs={"sft": "curves.csv of an SFT run", "rl": "curves.csv of a run of pure RL"},
        out="gates (json)",
    ),
    "train": Job(
        help="one run: a stage from a start model; goes on from its last checkpoint",
        module="chord.training.run",
        inputs={
            "start": "model folder to start from",
            "validation": "validation rows (validation.jsonl)",
        },
        optional={
            "prompts": "prompts of RL (rl.jsonl), for a hybrid stage",
            "experts": "expert trajectories (experts.jsonl), for SFT and where mu is above 0",
            "traces": "expert trajectories for the RL prompts (traces.jsonl), where they join the groups of rollouts",
        },
        flags={"stop_when_hopeless": "end with an error where training cannot learn anything"},
        computes=True,
        out="run folder",
    ),
    "tuning": Job(
        help="the trials of a search as one table, with the values that validation rows choose",
        module="chord.analysis.tuning",
        inputs={"runs": "manifests of the trials (<method>/trial-<n>/manifest.json)"},
        many=frozenset({"runs"}),
        also={"best": "where to copy the chosen model; the trials are then of one method"},
        out="table (csv)",
    ),
    "generate": Job(
        help="answers of a model to a benchmark; every completion is kept",
        module="chord.evaluation.generate",
        inputs={"model": "model folder", "rows": "benchmark rows (<benchmark>.jsonl)"},
        computes=True,
        out="completions (<benchmark>.completions.parquet)",
    ),
    "score": Job(
        help="verdicts on completions; needs no model",
        module="chord.evaluation.score",
        inputs={"completions": "what `generate` wrote", "rows": "benchmark rows (<benchmark>.jsonl)"},
        out="scores (<benchmark>.scores.parquet)",
        has_spec=False,
    ),
    "cells": Job(
        help="scores of a comparison to estimates with intervals, and paired differences",
        module="chord.analysis.cells.estimates",
        inputs={"scores": "scores of all runs (<benchmark>.scores.parquet)"},
        many=frozenset({"scores"}),
        out="folder of cells.parquet and differences.parquet",
    ),
    "table": Job(
        help="one table as csv, Markdown and LaTeX",
        module="chord.analysis.tables.tables",
        inputs={},
        optional={
            "cells": "cells.parquet, for estimates and differences",
            "differences": "differences.parquet, likewise",
            "runs": "run folders (runs/<method>/seed-<n>), for costs",
            "experts": "experts.manifest.json, for costs",
            "reported": "the paper's numbers (YAML), shown beside ours",
        },
        many=frozenset({"runs"}),
        out="folder of the table's files",
    ),
    "figure": Job(
        help="one figure as png and pdf",
        module="chord.analysis.figures.figures",
        inputs={"runs": "run folders (runs/<method>/seed-<n>)"},
        many=frozenset({"runs"}),
        out="folder of the figure's files",
    ),
    "claims": Job(
        help="a verdict on each claim: supported, contradicted, undecided or not measured",
        module="chord.analysis.claims.claims",
        inputs={
            "claims": "the claims (config/claims/<name>.yaml)",
            "scores": "scores of the runs (<benchmark>.scores.parquet)",
            "runs": "folders of the trained runs (runs/<method>/seed-<n>)",
        },
        many=frozenset({"scores", "runs"}),
        out="folder of claims.{json,csv,md,tex}",
    ),
    "phase": Job(
        help="the phase diagram of CHORD-phi: base models by exposure to the expert's style, against mu",
        module="chord.analysis.figures.phase",
        inputs={
            "scores": "scores of all its runs (<benchmark>.scores.parquet)",
            "bases": "folders of its base models (bases/<base>)",
        },
        many=frozenset({"scores", "bases"}),
        out="folder of cells, differences, table and figure",
    ),
    "report": Job(
        help="the report of a study as one HTML page",
        module="chord.analysis.report.report",
        inputs={"folder": "results of the study (results/<study>)"},
        optional={
            "reported": "the paper's numbers (YAML), shown beside ours",
            "claims": "verdicts on the paper's claims (claims.json)",
            "tuning": "table of the search that the study trains with (csv)",
            "gates": "manifest of the start model, which holds its gates",
        },
        out="page (report.html)",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    options = _parser().parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return options.do(options) or 0
    except UserError as error:
        return _fail(str(error).splitlines())
    except BrokenPipeError:  # `chord plan tiny | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python's own last flush fails aloud
        return 0
    except ValidationError as error:  # a specification written by hand; those of a study are checked when it is loaded
        return _fail(
            f"{error.title}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )


def _fail(lines: Iterable[str]) -> int:
    let_the_first_rank_speak()
    for line in lines:
        print(f"chord: error: {line}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chord", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, job in JOBS.items():
        command = _command(commands, name, job.help, lambda options, job=job: _run_job(job, options))
        if job.has_spec:
            command.add_argument("--spec", required=True, help="specification: JSON text, or a file with it")
        for option, text in (job.inputs | job.optional | job.also).items():
            many = {"nargs": "+"} if option in job.many else {}
            required = option in job.inputs
            text = text if required else f"{text} (optional)"
            command.add_argument(f"--{option}", required=required, type=Path, metavar="PATH", help=text, **many)
        for flag, text in job.flags.items():
            command.add_argument(f"--{flag.replace('_', '-')}", dest=flag, action="store_true", help=text)
        command.add_argument("--out", required=True, type=Path, metavar="PATH", help=job.out)

    command = _command(commands, "grade", "verdicts on any file of pairs of reference and prediction", _grade)
    command.add_argument("--task", required=True, choices=["math", "choice", "bfcl"], help="what the pairs are")
    command.add_argument("--input", required=True, type=Path, metavar="PATH", help="pairs, one JSON object a line")
    command.add_argument("--output", required=True, type=Path, metavar="PATH", help="the same lines with verdicts")

    command = _command(commands, "check", "check the YAML files of a study", _check)
    _add_study(command)
    command = _command(commands, "doctor", "what a study needs and this machine, or its cluster, lacks", _doctor)
    _add_study(command, nargs="?")
    command.add_argument("--results", type=Path, default=Path("results"), metavar="PATH", help="(default: results)")
    command.add_argument(
        "--workflow-profile",
        type=Path,
        metavar="PATH",
        help="Snakemake profile that the study is to run with (default: profiles/default)",
    )
    command = _command(
        commands, "fetch", "get what a study needs from the hub, pinned; then no job needs a network", _fetch
    )
    _add_study(command)
    command.add_argument("--results", type=Path, default=Path("results"), metavar="PATH", help="(default: results)")
    command = _command(commands, "plan", "what a study will run, and about how long it takes", _plan)
    _add_study(command)
    command = _command(commands, "coverage", "which parts of the paper which targets answer, and how far", _coverage)
    command.add_argument("--root", type=Path, default=Path(), help="repository root (default: the current folder)")
    command.add_argument("--out", required=True, type=Path, metavar="PATH", help="page (docs/coverage.md)")
    command = _command(commands, "schema", "write the JSON schemas of studies, methods, benchmarks and claims", _schema)
    command.add_argument("--out", required=True, type=Path, metavar="PATH", help="folder (workflow/schemas)")
    command = _command(commands, "spec", "print the specification of one job of a study", _spec)
    _add_study(command)
    command.add_argument("job", help="train, generate, cells ... as in `chord --help`")
    command.add_argument("names", nargs="*", help="what names the job, for example: chord_mu 0")
    return parser


def _command(commands, name: str, text: str, do: Callable) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.set_defaults(do=do)
    return command


def _add_study(command: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """nargs: "?" where no study means the one that config/config.yaml names."""
    command.add_argument("study", nargs=nargs, help="name of a file in config/studies, or a path")
    command.add_argument("--seeds", type=int, help="runs of each method (default: what the study's file says)")
    command.add_argument("--root", type=Path, default=Path(), help="repository root (default: the current folder)")


def _run_job(job: Job, options: argparse.Namespace) -> int | None:
    spec = _read_spec(options.spec) if job.has_spec else {}
    inputs = [getattr(options, option) for option in job.inputs]
    more = {option: given for option in [*job.optional, *job.also] if (given := getattr(options, option)) is not None}
    given = [*inputs, *(more[option] for option in job.optional if option in more)]
    paths = [path for value in given for path in (value if isinstance(value, list) else [value])]
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
    if job.computes:
        end_with_launcher()
        scale = Scale.model_validate(spec.get("scale", {}))
        backend = spec.get("backend", {}).get("tensor_parallel_size", 1)
        claim_gpus(max(scale.gpus, backend), server=scale.rollouts.gpus)
        if scale.ranks > 1 and not in_rank():
            return launch(scale.ranks, options.arguments)
    more |= {flag: True for flag in job.flags if getattr(options, flag)}
    try:
        with explain_disk_errors(options.out):
            importlib.import_module(job.module).run(spec, *inputs, options.out, **more)
    except FileNotFoundError as error:
        if not error.filename or not any(Path(error.filename).is_relative_to(path) for path in paths):
            raise
        raise UserError(f"{error.filename}: deleted, or never there; give the command that makes it again") from error
    return None


def _read_spec(text: str) -> dict:
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


def _grade(options: argparse.Namespace) -> None:
    from chord.evaluation import grade

    if not options.input.is_file():
        raise UserError(f"{options.input}: no such file")
    grade.run(options.task, options.input, options.output)


def _check(options: argparse.Namespace) -> None:
    study = _load(options, thoroughly=True)
    print(f"{study.name}: {len(study.methods)} methods, {len(study.seed_indices)} seeds, no problems found")


def _doctor(options: argparse.Namespace) -> int:
    from chord.doctor import examine, report_text

    study = _load(options)
    profile = options.workflow_profile or options.root / "profiles/default"
    findings = examine(study, options.results, profile)
    print(f"{study.name}, with {profile}\n\n{report_text(findings)}")
    return int(any(one.state == "missing" for one in findings))


def _fetch(options: argparse.Namespace) -> None:
    from chord.study.hub import fetch

    fetch(_load(options), options.results, print)


def _spec(options: argparse.Namespace) -> None:
    print(json.dumps(_load(options).spec(options.job, options.names), indent=2))


def _plan(options: argparse.Namespace) -> None:
    from chord.plan import plan_text, refusals

    study = _load(options)
    print(plan_text(study))
    if lines := refusals(study):
        raise UserError("\n".join(lines))


def _coverage(options: argparse.Namespace) -> None:
    from chord.plan import paper_coverage

    paper_coverage.write(options.root, options.out)


def _schema(options: argparse.Namespace) -> None:
    from chord.study.schemas import FILES, schema_text

    for kind in FILES:
        write_text(options.out / f"{kind}.schema.json", schema_text(kind))


def _load(options: argparse.Namespace, thoroughly: bool = False) -> "Study":
    from chord.study import chosen_study, load_study

    return load_study(options.study or chosen_study(options.root), options.root, options.seeds, thoroughly)
