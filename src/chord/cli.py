"""`chord <command>` = `python -m chord <command>`: each rule of the workflow calls one command, and so can a person.

The jobs are in chord.jobs; the other commands, which inspect a study or files, are below. A command imports its code
when it runs, so that help is immediate and a table never waits for torch.
Bad input ends a command with one line per problem and exit code 2; any other error is our fault and shows its
traceback. `chord doctor` ends with 1 if something is missing, `chord probe` if the gradient has another mu.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from chord.errors import UserError
from chord.jobs import JOBS, SPECS, Job

if TYPE_CHECKING:
    from chord.study import Study


def main(arguments: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    if not sys.stderr.isatty():  # nobody looks at the bars of transformers and the hub either
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    options = make_parser().parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return options.do(options) or 0
    except UserError as error:
        return _fail(str(error).splitlines())
    except BrokenPipeError:  # `chord plan tiny | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python's last flush prints an error
        return 0


def _fail(lines: Iterable[str]) -> int:
    from chord.training.scale.launch import let_the_first_rank_speak

    let_the_first_rank_speak()
    for line in lines:
        print(f"chord: error: {line}", file=sys.stderr)
    return 2


def make_parser() -> argparse.ArgumentParser:
    description = "Each rule of the workflow calls one of these commands, and so can you."
    parser = argparse.ArgumentParser(prog="chord", description=description, allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, job in JOBS.items():
        _add_job(commands, name, job)

    command = _command(commands, "grade", "judge pairs of reference and prediction in any file", _grade)
    command.add_argument("--task", required=True, choices=["math", "choice", "bfcl"], help="task of the pairs")
    command.add_argument("--input", required=True, type=Path, metavar="PATH", help="pairs, one JSON object per line")
    command.add_argument("--output", required=True, type=Path, metavar="PATH", help="the same lines with verdicts")

    command = _command(commands, "gguf", "write a model folder as a GGUF file, for llama.cpp", _gguf)
    command.add_argument("--model", required=True, type=Path, metavar="PATH", help="model folder")
    command.add_argument("--out", required=True, type=Path, metavar="PATH", help="file (<name>.gguf)")

    command = _command(commands, "check", "check the YAML files of a study", _check)
    _add_study(command)
    _add_json(command)
    command = _command(commands, "doctor", "report what a study needs and this machine or cluster lacks", _doctor)
    _add_study(command, nargs="?")
    _add_json(command)
    command.add_argument("--results", type=Path, default=Path("results"), metavar="PATH", help="(default: results)")
    command.add_argument(
        "--workflow-profile",
        type=Path,
        metavar="PATH",
        help="Snakemake profile of the study's run (default: profiles/default)",
    )
    command = _command(
        commands, "fetch", "download the data and models that a study needs, for jobs without a network", _fetch
    )
    _add_study(command)
    command.add_argument("--results", type=Path, default=Path("results"), metavar="PATH", help="(default: results)")
    command = _command(commands, "plan", "list what a study will run, and estimate its time, memory and disk", _plan)
    _add_study(command)
    _add_json(command)
    command.add_argument(
        "--nodes",
        type=int,
        nargs="+",
        metavar="N",
        help="compare its training jobs on each of these numbers of nodes instead",
    )
    command = _command(commands, "watch", "serve a page of a running study: progress, minutes left, curves", _watch)
    _add_study(command)
    command.add_argument("--results", type=Path, default=Path("results"), metavar="PATH", help="(default: results)")
    command.add_argument("--port", type=int, default=8508, help="on 127.0.0.1; 0 for any (default: 8508)")
    command = _command(
        commands, "probe", "measure which mu a method's gradient has, over micro-batches and ranks", _probe
    )
    _add_study(command)
    command.add_argument("method", help="one with a hybrid stage")
    command.add_argument(
        "--splits", type=int, nargs="+", default=[1, 2, 4, 8], help="micro-batches of a rank (default: 1 2 4 8)"
    )
    command.add_argument("--ranks", type=int, nargs="+", default=[1], help="processes (default: 1)")
    for name, text, out in (
        ("article", "write a [Re] article of a finished study, to be completed by hand", "folder"),
        ("crate", "write a finished study as a Workflow Run RO-Crate", "folder"),
        ("croissant", "write Croissant metadata of a finished study's data", "file (croissant.json)"),
    ):
        command = _command(commands, name, text, _archive)
        command.set_defaults(archive=name)
        _add_study(command)
        command.add_argument("--results", type=Path, default=Path("results"), metavar="PATH", help="(default: results)")
        command.add_argument("--out", required=True, type=Path, metavar="PATH", help=out)
    command = _command(commands, "coverage", "write the page of the paper's parts, their targets and states", _coverage)
    command.add_argument("--root", type=Path, default=Path(), help="repository root (default: the current folder)")
    command.add_argument("--out", required=True, type=Path, metavar="PATH", help="page (docs/coverage.md)")
    command = _command(commands, "methods", "write the page of all methods: formula, source, YAML, result", _methods)
    command.add_argument("--root", type=Path, default=Path(), help="repository root (default: the current folder)")
    command.add_argument("--out", required=True, type=Path, metavar="PATH", help="page (docs/methods.md)")
    command = _command(commands, "derived", "write the pages of commands and columns, images, codemeta", _derived)
    command.add_argument("--root", type=Path, default=Path(), help="repository root (default: the current folder)")
    command = _command(commands, "completion", "print a script that completes commands in a shell", _completion)
    command.add_argument("shell", choices=["bash", "zsh"], help="the shell")
    command = _command(commands, "schema", "write the JSON schemas of studies, methods, benchmarks and claims", _schema)
    command.add_argument("--out", required=True, type=Path, metavar="PATH", help="folder (workflow/schemas)")
    command = _command(commands, "spec", "print the specification of one job of a study", _spec)
    _add_study(command)
    command.add_argument("job", help=", ".join(SPECS))
    command.add_argument("names", nargs="*", help="names of the job, for example: chord_mu 0")
    return parser


def _command(commands, name: str, text: str, do: Callable) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.set_defaults(do=do)
    return command


def _add_job(commands, name: str, job: Job) -> None:
    command = _command(commands, name, job.help, lambda options: _run_job(job, options))
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


def _add_study(command: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """nargs: "?" if the study may be omitted, which means the one that config/config.yaml names."""
    command.add_argument("study", nargs=nargs, help="name of a file in config/studies, or a path")
    command.add_argument("--seeds", type=int, help="runs of each method (default: the number in the study's file)")
    command.add_argument("--root", type=Path, default=Path(), help="repository root (default: the current folder)")


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def _run_job(job: Job, options: argparse.Namespace) -> int:
    from chord.run_job import run_job

    return run_job(job, options)


def _grade(options: argparse.Namespace) -> None:
    from chord.evaluation import grade

    if not options.input.is_file():
        raise UserError(f"{options.input}: no such file")
    grade.run(options.task, options.input, options.output)


def _gguf(options: argparse.Namespace) -> None:
    from chord.data.gguf_export import export

    export(options.model, options.out)


def _check(options: argparse.Namespace) -> None:
    try:
        study = _load(options, thoroughly=True)
    except UserError as error:
        if options.json:
            _print_json({"study": options.study, "problems": str(error).splitlines()})
        raise
    if options.json:
        _print_json(
            {"study": study.name, "methods": list(study.methods), "seeds": len(study.seed_indices), "problems": []}
        )
        return
    print(f"{study.name}: {len(study.methods)} methods, {len(study.seed_indices)} seeds, no problems found")


def _doctor(options: argparse.Namespace) -> int:
    from chord.doctor import examine, report_text

    study = _load(options)
    profile = options.workflow_profile or options.root / "profiles/default"
    findings = examine(study, options.results, profile)
    if options.json:
        _print_json({"study": study.name, "profile": str(profile), "findings": [asdict(one) for one in findings]})
    else:
        print(f"{study.name}, with {profile}\n\n{report_text(findings)}")
    return int(any(one.state == "missing" for one in findings))


def _fetch(options: argparse.Namespace) -> None:
    from chord.study.hub import fetch

    fetch(_load(options), options.results, print)


def _spec(options: argparse.Namespace) -> None:
    _print_json(_load(options).spec(options.job, options.names))


def _plan(options: argparse.Namespace) -> None:
    from chord.plan import layouts_record, layouts_text, plan_record, plan_text, refusals

    study = _load(options)
    if options.nodes:
        if options.json:
            _print_json(layouts_record(study, options.nodes))
        else:
            print(layouts_text(study, options.nodes))
        return
    if options.json:
        _print_json(plan_record(study))
    else:
        print(plan_text(study))
    if lines := refusals(study):
        raise UserError("\n".join(lines))


def _watch(options: argparse.Namespace) -> None:
    from chord.watch import watch

    watch(_load(options), options.results, options.port, partial(print, flush=True))


def _probe(options: argparse.Namespace) -> int:
    from chord.probe.measure import probe

    study = _load(options)
    return probe(study.spec("train", [options.method, "0"]), options.splits, options.ranks, print)


def _archive(options: argparse.Namespace) -> None:
    from chord.archive import archive_writer
    from chord.archive.finished import finished_study

    finished = finished_study(options.study, options.root, options.results, options.seeds)
    archive_writer(options.archive).run(finished, options.out)


def _coverage(options: argparse.Namespace) -> None:
    from chord.io.files import write_text
    from chord.plan.paper_coverage import page

    write_text(options.out, page(options.root))


def _methods(options: argparse.Namespace) -> None:
    from chord.io.files import write_text
    from chord.plan.methods_page import page

    write_text(options.out, page(options.root))


def _derived(options: argparse.Namespace) -> None:
    from chord.derived import write_all

    write_all(options.root)


def _completion(options: argparse.Namespace) -> None:
    from chord.completion import completion

    print(completion(make_parser(), options.shell))


def _schema(options: argparse.Namespace) -> None:
    from chord.io.files import write_text
    from chord.study.study_file import FILES, schema_text

    for kind in FILES:
        write_text(options.out / f"{kind}.schema.json", schema_text(kind))


def _print_json(value: dict) -> None:
    print(json.dumps(value, indent=2))


def _load(options: argparse.Namespace, thoroughly: bool = False) -> "Study":
    from chord.study import chosen_study, load_study

    return load_study(options.study or chosen_study(options.root), options.root, options.seeds, thoroughly)
