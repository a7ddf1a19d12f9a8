"""The table of all jobs of the workflow, in the order in which a study needs them.

A new command is one entry here and one rule in workflow/rules. The table defines the options of the command line, the
specifications that a study makes, the jobs that load a model, and the resources of the rules. It imports nothing, so
that `chord --help` is immediate: the code of a job is imported when the job runs.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Job:
    """A command that makes an output from a specification and inputs.

    Its function is called with (spec, *inputs, out, **more). `more` has the options of `optional`, `also` and `flags`
    that are on the command line.
    """

    help: str
    function: str  # module:name
    out: str  # help text of the output
    inputs: dict[str, str] = field(default_factory=dict)  # option -> help, in the order of the function's arguments
    optional: dict[str, str] = field(default_factory=dict)  # further inputs: option -> help
    many: tuple[str, ...] = ()  # the inputs, required or optional, that are lists of files
    also: dict[str, str] = field(default_factory=dict)  # further outputs: option -> help
    flags: dict[str, str] = field(default_factory=dict)  # switches that are not part of the specification
    has_spec: bool = True  # False: the function takes no specification
    # Each specification that a study makes for the job -> the kinds of names that `Study.<specification>_spec` takes.
    specs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    resources: str = ""  # key in a study's `resources`; empty: the job's own name
    rules: tuple[str, ...] = ()  # the rules that run the job; empty: one with the job's own name
    loads_model: bool = False  # starts slowly, may request GPUs, and runs in the environment with CUDA
    claims_gpus: bool = False  # computes on a GPU if there is one


JOBS = {
    "download": Job(
        help="download files of one repository of the hub or of one wheel, with the hashes in a study's lock",
        function="chord.data.download:run",
        out="folder",
        resources="prepare",
        rules=("repository",),
    ),
    "prepare": Job(
        help="prepare prompts for experts, RL and validation, with a manifest of hashes",
        function="chord.data.prepare:run",
        optional={
            "benchmarks": "benchmark rows (<benchmark>.jsonl), which no prompt of a dataset may repeat",
            "policy": "model folder whose tokenizer counts the tokens, for the OpenR1 recipe",
        },
        many=("benchmarks",),
        out="data folder",
        specs={"prepare": ()},
    ),
    "benchmark": Job(
        help="prepare the rows of one benchmark",
        function="chord.data.benchmark:run",
        out="benchmark rows (<benchmark>.jsonl)",
        specs={"benchmark": ("benchmark",)},
    ),
    "experts": Job(
        help="collect correct expert trajectories for prompts, and count rejections by reason",
        function="chord.experts.make:run",
        inputs={
            "prompts": "prompts (sft.jsonl, rl.jsonl)",
            "policy": "model folder whose tokenizer counts the tokens",
        },
        out="expert rows (experts.jsonl)",
        specs={"experts": (), "priming_experts": ()},
        rules=("experts", "traces", "priming_experts"),
        loads_model=True,  # at least a tokenizer; the job itself claims GPUs if a model writes the trajectories
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
        help="check that SFT and RL learn from a base model as the study needs",
        function="chord.world.gates:run",
        inputs={"sft": "curves.csv of an SFT run", "rl": "curves.csv of a run of pure RL"},
        out="gates (json)",
        specs={"gates": ()},
        resources="table",
        rules=("base_model",),
    ),
    "train": Job(
        help="train one run: a stage from a start model; resumes from its last checkpoint",
        function="chord.training.run:run",
        inputs={
            "start": "model folder to start from",
            "validation": "validation rows (validation.jsonl)",
        },
        optional={
            "prompts": "prompts of RL (rl.jsonl), for a hybrid stage",
            "experts": "expert trajectories (experts.jsonl), for SFT and for mu above 0",
            "traces": "expert trajectories for the RL prompts (traces.jsonl), for the stages that read them",
            "teacher": "model folder of the teacher, with the same tokenizer, if the stage has a distillation",
        },
        flags={"stop_when_hopeless": "end with an error if training cannot learn anything"},
        out="run folder",
        specs={"train": ("method", "seed"), "tune": ("method", "trial"), "prime": ()},
        rules=("train", "trial", "probe", "prime"),
        loads_model=True,
        claims_gpus=True,
    ),
    "start_gates": Job(
        help="check that a primed start model meets the study's gates",
        function="chord.evaluation.start_gates:run",
        inputs={"model": "folder of the primed model", "validation": "validation rows (validation.jsonl)"},
        out="gates (json)",
        specs={"start_gates": ()},
        resources="generate",
        loads_model=True,
        claims_gpus=True,
    ),
    "tuning": Job(
        help="write the trials of a search as one table, with the values that validation rows choose",
        function="chord.analysis.tuning:run",
        inputs={"runs": "manifests of the trials (<method>/trial-<n>/manifest.json)"},
        many=("runs",),
        also={"best": "folder for a copy of the chosen model; all trials must be of one method"},
        out="table (csv)",
        specs={"tuning": ()},
        resources="table",
        rules=("tune", "best_trial"),
    ),
    "generate": Job(
        help="answer a benchmark with a model, and keep every completion",
        function="chord.evaluation.generate:run",
        inputs={"model": "model folder", "rows": "benchmark rows (<benchmark>.jsonl)"},
        out="completions (<benchmark>.completions.parquet)",
        specs={"generate": ("method", "seed", "benchmark")},
        loads_model=True,
        claims_gpus=True,
    ),
    "score": Job(
        help="judge completions; needs no model",
        function="chord.evaluation.score:run",
        inputs={
            "completions": "completions (<benchmark>.completions.parquet)",
            "rows": "benchmark rows (<benchmark>.jsonl)",
        },
        out="scores (<benchmark>.scores.parquet)",
        has_spec=False,
    ),
    "cells": Job(
        help="estimate the cells and paired differences of a comparison, with intervals",
        function="chord.analysis.cells.estimates:run",
        inputs={"scores": "scores of all runs (<benchmark>.scores.parquet)"},
        many=("scores",),
        out="folder of cells.parquet and differences.parquet",
        specs={"cells": ("comparison",)},
    ),
    "table": Job(
        help="write one table as csv, Markdown, LaTeX and HTML",
        function="chord.analysis.tables.tabulate:run",
        optional={
            "cells": "cells.parquet, for estimates and differences",
            "differences": "differences.parquet, for estimates and differences",
            "runs": "run folders (runs/<method>/seed-<n>), for costs",
            "experts": "experts.manifest.json, for costs",
            "reported": "the paper's numbers (YAML), shown beside ours",
        },
        many=("runs",),
        out="folder of the table's files",
        specs={"table": ("comparison", "table")},
    ),
    "figure": Job(
        help="draw one figure as png and pdf",
        function="chord.analysis.figures.plot:run",
        optional={
            "runs": "run folders (runs/<method>/seed-<n>), for curves and the frontier",
            "cells": "cells.parquet, for a grid",
            "differences": "differences.parquet, for a grid",
        },
        many=("runs",),
        out="folder of the figure's files",
        specs={"figure": ("comparison", "figure")},
    ),
    "claims": Job(
        help="judge each claim: supported, contradicted, undecided or not measured",
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
        help="write the report of a study as one HTML page",
        function="chord.analysis.report.page:run",
        inputs={"folder": "results of the study (results/<study>)"},
        optional={
            "reported": "the paper's numbers (YAML), shown beside ours",
            "claims": "verdicts on the paper's claims (claims.json)",
            "tuning": "table of the search that the study trains with (csv)",
            "gates": "manifest of the start model, with its gates",
        },
        out="page (report.html)",
        specs={"report": ()},
        rules=("report", "report_all"),
    ),
}

SPECS = {name: names for job in JOBS.values() for name, names in job.specs.items()}
JOB_OF_RULE = {rule: name for name, job in JOBS.items() for rule in job.rules or (name,)}
RESOURCE_KEYS = tuple(name for name, job in JOBS.items() if job.resources in ("", name))
