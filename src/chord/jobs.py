"""Every job of the workflow, in the order in which a study needs them.

One entry here and one rule in workflow/rules are a new command. The command line takes its options from this table, a
study the specifications it makes, the plan which jobs load a model, and the rules what a job asks for. It imports
nothing: `chord --help` shows it in a moment, and the code of a job is imported when that job runs.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Job:
    """A command of the form: specification and inputs in, output out.

    Its function is called with (spec, *inputs, out, **more); `more` has what is given of `optional`, `also` and
    `flags`.
    """

    help: str
    function: str  # where it is: module:name
    out: str  # what it makes; of this and of all options below, the help text
    inputs: dict[str, str] = field(default_factory=dict)  # option -> help, in the order of the function's arguments
    optional: dict[str, str] = field(default_factory=dict)  # further inputs
    many: tuple[str, ...] = ()  # the inputs of both kinds that are lists of files
    also: dict[str, str] = field(default_factory=dict)  # further outputs
    flags: dict[str, str] = field(default_factory=dict)  # what is on or off and no part of the specification
    has_spec: bool = True  # false: there is nothing to set, and the function takes none
    # Specifications that a study has for it -> what names one of each. `Study.<name>_spec` makes them from these names.
    specs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    resources: str = ""  # its key in a study's `resources`; empty: its own name
    rules: tuple[str, ...] = ()  # the rules that run it; empty: one of its own name
    loads_model: bool = False  # starts slowly, may be given GPUs, and runs in the environment that has CUDA
    claims_gpus: bool = False  # computes on a GPU wherever there is one


JOBS = {
    "download": Job(
        help="files of one repository of the hub, at the commit and with the hashes of a study's lock",
        function="chord.data.download:run",
        out="folder",
        resources="prepare",
        rules=("repository",),
    ),
    "prepare": Job(
        help="prompts for experts, RL and validation, with a manifest of hashes",
        function="chord.data.prepare:run",
        optional={
            "benchmarks": "benchmark rows (<benchmark>.jsonl) that no prompt of a dataset may repeat",
            "policy": "model folder whose tokenizer counts the tokens, for the OpenR1 recipe",
        },
        many=("benchmarks",),
        out="data folder",
        specs={"prepare": ()},
    ),
    "benchmark": Job(
        help="rows of one benchmark",
        function="chord.data.benchmark:run",
        out="benchmark rows (<benchmark>.jsonl)",
        specs={"benchmark": ("benchmark",)},
    ),
    "experts": Job(
        help="right expert trajectories for prompts, rejections counted by reason",
        function="chord.experts.make:run",
        inputs={
            "prompts": "prompts (sft.jsonl, rl.jsonl)",
            "policy": "model folder whose tokenizer counts the tokens",
        },
        out="expert rows (experts.jsonl)",
        specs={"experts": ()},
        rules=("experts", "traces"),
        loads_model=True,  # at least a tokenizer; it claims GPUs itself, where a model writes the trajectories
    ),
    "pretrain": Job(
        help="train the world's base model and check its gates",
        function="chord.world.pretrain:run",
        optional={"start": "folder of a base model to train further, instead of a new one"},
        out="model folder",
        specs={"pretrain": (), "base": ("base",)},
        rules=("pretrain", "further_base"),
        loads_model=True,
        claims_gpus=True,
    ),
    "gates": Job(
        help="whether SFT and RL from a base model learn as the study needs it",
        function="chord.world.gates:run",
        inputs={"sft": "curves.csv of an SFT run", "rl": "curves.csv of a run of pure RL"},
        out="gates (json)",
        specs={"gates": ()},
        resources="table",
        rules=("base_model",),
    ),
    "train": Job(
        help="one run: a stage from a start model; resumes from its last checkpoint",
        function="chord.training.run:run",
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
        out="run folder",
        specs={"train": ("method", "seed"), "tune": ("method", "trial")},
        rules=("train", "trial", "probe"),
        loads_model=True,
        claims_gpus=True,
    ),
    "tuning": Job(
        help="the trials of a search as one table, with the values that validation rows choose",
        function="chord.analysis.tuning:run",
        inputs={"runs": "manifests of the trials (<method>/trial-<n>/manifest.json)"},
        many=("runs",),
        also={"best": "where to copy the chosen model; the trials are then of one method"},
        out="table (csv)",
        specs={"tuning": ()},
        resources="table",
        rules=("tune", "best_trial"),
    ),
    "generate": Job(
        help="answers of a model to a benchmark; every completion is kept",
        function="chord.evaluation.generate:run",
        inputs={"model": "model folder", "rows": "benchmark rows (<benchmark>.jsonl)"},
        out="completions (<benchmark>.completions.parquet)",
        specs={"generate": ("method", "seed", "benchmark")},
        loads_model=True,
        claims_gpus=True,
    ),
    "score": Job(
        help="verdicts on completions; needs no model",
        function="chord.evaluation.score:run",
        inputs={"completions": "what `generate` wrote", "rows": "benchmark rows (<benchmark>.jsonl)"},
        out="scores (<benchmark>.scores.parquet)",
        has_spec=False,
    ),
    "cells": Job(
        help="scores of a comparison to estimates with intervals, and paired differences",
        function="chord.analysis.cells.estimates:run",
        inputs={"scores": "scores of all runs (<benchmark>.scores.parquet)"},
        many=("scores",),
        out="folder of cells.parquet and differences.parquet",
        specs={"cells": ("comparison",)},
    ),
    "table": Job(
        help="one table as csv, Markdown, LaTeX and HTML",
        function="chord.analysis.tables.tabulate:run",
        optional={
            "cells": "cells.parquet, for estimates and differences",
            "differences": "differences.parquet, likewise",
            "runs": "run folders (runs/<method>/seed-<n>), for costs",
            "experts": "experts.manifest.json, for costs",
            "reported": "the paper's numbers (YAML), shown beside ours",
        },
        many=("runs",),
        out="folder of the table's files",
        specs={"table": ("comparison", "table")},
    ),
    "figure": Job(
        help="one figure as png and pdf",
        function="chord.analysis.figures.plot:run",
        optional={
            "runs": "run folders (runs/<method>/seed-<n>), for curves and the frontier",
            "cells": "cells.parquet, for a grid",
            "differences": "differences.parquet, likewise",
        },
        many=("runs",),
        out="folder of the figure's files",
        specs={"figure": ("comparison", "figure")},
    ),
    "claims": Job(
        help="a verdict on each claim: supported, contradicted, undecided or not measured",
        function="chord.analysis.claims.verdicts:run",
        inputs={
            "claims": "the claims (config/claims/<name>.yaml)",
            "scores": "scores of the runs (<benchmark>.scores.parquet)",
            "runs": "folders of the trained runs (runs/<method>/seed-<n>)",
        },
        many=("scores", "runs"),
        out="folder of claims.{json,csv,md,tex,html}",
        specs={"claims": ("scope",)},
        rules=("judge",),
    ),
    "report": Job(
        help="the report of a study as one HTML page",
        function="chord.analysis.report.page:run",
        inputs={"folder": "results of the study (results/<study>)"},
        optional={
            "reported": "the paper's numbers (YAML), shown beside ours",
            "claims": "verdicts on the paper's claims (claims.json)",
            "tuning": "table of the search that the study trains with (csv)",
            "gates": "manifest of the start model, which holds its gates",
        },
        out="page (report.html)",
        specs={"report": ()},
        rules=("report", "report_all"),
    ),
}

SPECS = {name: names for job in JOBS.values() for name, names in job.specs.items()}
JOB_OF_RULE = {rule: name for name, job in JOBS.items() for rule in job.rules or (name,)}
RESOURCE_KEYS = tuple(name for name, job in JOBS.items() if job.resources in ("", name))
