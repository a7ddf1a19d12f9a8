# Shared by all rules: the checked study, how a command is called, and the names of files.
import json
import os
import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from snakemake.settings.types import DeploymentMethod

# The root of the source with this file: the checkout, or the copy of it that jobs run (chord.io.source).
SOURCE = Path(workflow.current_basedir).parents[1]
sys.path.insert(0, f"{SOURCE}/src")
BIN = "" if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method else Path(sys.executable).parent


def run_commands_from(source: Path) -> None:
    """Make all commands run the code in `source`/src, before any installed copy and from any working directory.

    Plug-ins may be on the caller's PYTHONPATH, which comes after it.

    The path is set in the command because Snakemake removes PYTHONPATH from the variables of a conda environment.
    Without conda, `python` is the one that runs Snakemake, whether or not its environment was activated. Only the job
    `repository` needs a network, and the others must not try to use one.
    """
    shell.prefix(
        f"set -euo pipefail; export HF_HUB_OFFLINE=1 PYTHONPATH={shlex.quote(f'{source}/src')}"
        + "${{PYTHONPATH:+:$PYTHONPATH}}; "
        + (f"export PATH={shlex.quote(str(BIN))}:$PATH; " if BIN else "")
    )


run_commands_from(SOURCE)

from chord.analysis.catalogue import FIGURES, TABLES
from chord.data.download_spec import folder_name
from chord.errors import UserError
from chord.io.provenance import source_sha256
from chord.io.source import copy_source, read_copy
from chord.jobs import JOB_OF_RULE, JOBS
from chord.study import Study, load_study
from chord.study.hub import download_spec, read_lock, repositories
from chord.study.priming import UNPRIMED
from chord.training.resume.finished import forget_recorded

COPY = read_copy(SOURCE)
ROOT = COPY.root if COPY else SOURCE


def load_checked_study() -> Study:
    """Load the study that the configuration names; an error in it ends Snakemake with only its own message."""
    try:
        for key in config:
            if key not in ("study", "seeds"):
                raise UserError(f"config: {key}: unknown key; expected study or seeds")
        study, seeds = (COPY.study, COPY.seeds) if COPY else (config["study"], config.get("seeds"))
        return load_study(study, SOURCE, seeds=seeds)
    except UserError as error:
        sys.exit(str(error))


def download_specs(study: Study) -> dict[str, dict]:
    """The specifications of the downloads that the study needs, by their folder below `hub`."""
    try:
        lock = read_lock(study)
        return {key: download_spec(repository, lock) for key, repository in repositories(study).items()}
    except UserError as error:
        sys.exit(str(error))


STUDY = load_checked_study()
DOWNLOADS = download_specs(STUDY)
RESULTS = f"results/{STUDY.name}"
SEEDS = STUDY.seed_indices
NODES = STUDY.settings.training.scale.nodes
RUN = f"{RESULTS}/runs/{{method}}/seed-{{seed}}"
TRIAL = f"{RESULTS}/tuning/{{method}}/trial-{{trial}}"


def from_root(path: str | Path) -> str:
    """The path of an input that the repository's files name relative to its root.

    It is relative, so that it remains the same input if the checkout is moved with its results.
    """
    return os.path.relpath(ROOT / path)


def with_folder(source: dict) -> dict:
    """The specification of a source with the folder of its rows: its own, relative to the root, or the fetched one."""
    if source.get("folder"):
        return source | {"folder": from_root(source["folder"])}
    if source.get("dataset"):
        return source | {"folder": f"{RESULTS}/hub/datasets/{folder_name(source['dataset'])}"}
    return source | {part: with_folder(source[part]) for part in ("sft", "rl") if part in source}


def experts_with_folder(values: dict) -> dict:
    """The specification of trajectories with the folder of the model or dataset that they come from, if any."""
    source = values["source"]
    if source["kind"] == "dataset":
        return values | {"source": with_folder(source)}
    return values | {"source": source | ({"folder": from_root(source["folder"])} if "folder" in source else {})}


def folders(source: dict) -> list[str]:
    """The folders of a source: none for a generator, two if SFT and RL have separate datasets."""
    own = [source["folder"]] if "folder" in source else []
    return own + [folder for part in ("sft", "rl") if part in source for folder in folders(source[part])]


def benchmark_source(wildcards) -> dict:
    return with_folder(STUDY.benchmark_spec(wildcards.benchmark)["source"])


def spec_with_folder(values: dict) -> dict:
    return values | {"source": with_folder(values["source"])}


BASE_MODEL = f"{RESULTS}/hub/models/{folder_name(STUDY.model)}" if STUDY.model_is_fetched else from_root(STUDY.model)
PRIMING_RUN = f"{RESULTS}/priming"
PRIMING_MANIFEST = [f"{PRIMING_RUN}/manifest.json"] if STUDY.priming else []
START_MODEL = f"{PRIMING_RUN}/model" if STUDY.priming else BASE_MODEL
REPORTED = from_root("config/paper/reported.yaml")
TUNING = [from_root(STUDY.settings.tuning.table)] if STUDY.settings.tuning and STUDY.settings.tuning.table else []
if STUDY.priming:
    GATES = [f"{PRIMING_RUN}/gates.json"]
else:
    GATES = [path for path in [from_root(f"{STUDY.model}/manifest.json")] if Path(path).exists()]
# This is a parameter and not an input: an edit while the job runs must not be recorded as the code of the result.
ANALYSIS = source_sha256("analysis")


def run_source_copy() -> None:
    """Let the jobs of this call run a copy of the source, whatever happens to the checkout from now on."""
    copy = copy_source(ROOT, Path(RESULTS, "source"), config["study"], config.get("seeds"))
    run_commands_from(copy)
    snakefile = Path(workflow.main_snakefile)
    if snakefile.is_relative_to(ROOT):  # otherwise it is a user's workflow that includes this one
        workflow.scheduler._executor.snakefile = str(copy / snakefile.relative_to(ROOT))


def lift_rate_limit() -> None:
    """Start jobs on this machine without a limit on their rate; a cluster keeps Snakemake's.

    Snakemake 9.27 pays for the limit with a timer that every finished job leaves behind, and each timer evaluates all
    ready jobs once a second: a third of a core after 80 jobs (findings/snakemake-scheduler-wakes-up-*.sh).
    """
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


def requested_resources(job: str) -> dict[str, int | str]:
    """The resources of a job besides its threads: memory, time and, if it can use them, GPUs.

    A training on several nodes has these on each of them. To SLURM's plugin it is an MPI job, of a task on each node.
    """
    resources = STUDY.resources(job)
    requested = {"mem_mb": resources.mem_mb, "runtime": resources.minutes}
    if job == "train" and NODES > 1:
        gpus = {"gres": f"gpu:{resources.gpus}", "tasks_per_gpu": 0} if resources.gpus else {}
        return requested | {"nodes": NODES, "tasks": NODES, "mpi": "srun"} | gpus
    return requested | ({"gpu": resources.gpus} if JOBS[job].loads_model else {})


def on_each_node(command: str) -> str:
    """The command of a training, which a study with several nodes starts on each of them."""
    if NODES == 1:
        return command
    gpus = STUDY.resources("train").gpus
    tasks = f"--nodes={NODES} --ntasks={NODES} --ntasks-per-node=1 --cpus-per-task={{threads}} --cpu-bind=quiet"
    return f"{{resources.mpi}} {tasks} {f'--gres=gpu:{gpus} ' if gpus else ''}--kill-on-bad-exit=1 {command}"


def conda_environment(job: str) -> str:
    """The environment with CUDA and vLLM if the study gives such jobs GPUs, otherwise the small one."""
    return "../envs/gpu.yml" if JOBS[job].loads_model and STUDY.resources(job).gpus else "../../environment.yml"


def queue_group(wildcards) -> str | None:
    """The group in which short runs share an entry of the queue, if the profile gives the group a size.

    Long runs do not share one, since together they might need more time than a partition allows, nor do runs on
    several nodes.
    """
    short = STUDY.resources("train").minutes <= 60 and NODES == 1
    return "training" if short and "training" in workflow.group_settings.group_components else None


def one_of(names) -> str:
    """A wildcard constraint that allows only these names."""
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"


wildcard_constraints:
    **{kind: one_of(names) for kind, names in STUDY.known_names.items()},
    repository=one_of(DOWNLOADS),
    seed=r"\d+",
    trial=r"\d+",


def spec(values: dict) -> str:
    """The settings of a job as a single parameter: Snakemake runs the job again if this text changes."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def run_folder(method: str, seed: int) -> str:
    return RUN.format(method=method, seed=seed)


def result_of(method: str | None, seed: int) -> str:
    """The model folder of a method's run, or the start model of this name; None: that of most methods."""
    if method is None:
        return START_MODEL
    if method == UNPRIMED:
        return BASE_MODEL
    if method in STUDY.bases:
        return f"{RESULTS}/bases/{method}"
    return f"{run_folder(method, seed)}/model" if STUDY.trains(method) else result_of(STUDY.start_of(method), seed)


def scores_of(methods: Iterable[str], benchmarks: Iterable[str]) -> list[str]:
    return expand(f"{RUN}/{{benchmark}}.scores.parquet", method=methods, seed=SEEDS, benchmark=benchmarks)


def gates_of(start: str) -> list:
    """The gates of the primed model, which must be there before a job starts from it; other gates rerun no such job."""
    return [ancient(path) for path in GATES] if STUDY.priming and start == START_MODEL else []


def responses_of(comparisons: list[str]) -> list[str]:
    """The files of which a report shows some responses: those of the first comparison, with the first seed."""
    benchmark = STUDY.sampled_benchmark(comparisons[0])
    names = expand(f"{benchmark}.{{kind}}.parquet", kind=["completions", "scores"])
    methods = STUDY.comparisons[comparisons[0]].methods
    runs = [run_folder(method, SEEDS[0]) for method in methods]
    return [f"{RESULTS}/data/benchmarks/{benchmark}.jsonl", *expand("{run}/{name}", run=runs, name=names)]


def question_files() -> list[str]:
    """The rows of the study's benchmarks that a prompt of a dataset may repeat."""
    return expand(f"{RESULTS}/data/benchmarks/{{benchmark}}.jsonl", benchmark=STUDY.published_benchmarks)


def trials_of(method: str) -> list[str]:
    """The manifests of the trials in a method's search."""
    return expand(f"{TRIAL}/manifest.json", method=method, trial=range(len(STUDY.search[method].values)))


def start_of(wildcards) -> str:
    return result_of(STUDY.start_of(wildcards.method), wildcards.seed)


def trial_start(wildcards) -> str:
    """SFT + RL starts from the SFT that the same search chose, whatever the committed table says."""
    start = STUDY.start_of(wildcards.method)
    if start in STUDY.search:
        return f"{RESULTS}/tuning/{start}/best"
    return result_of(start, STUDY.hidden_seed)


def curves_of(methods: Iterable[str]) -> list[str]:
    return expand(f"{RUN}/curves.csv", method=filter(STUDY.trains, methods), seed=SEEDS)


def manifests_of(methods: Iterable[str]) -> list[str]:
    return expand(f"{RUN}/manifest.json", method=filter(STUDY.trains, methods), seed=SEEDS)


def needed_by(comparisons: Iterable[str]) -> list[str]:
    """The methods that the comparisons show and the methods from which these start, each once."""
    shown = [method for name in comparisons for method in STUDY.comparisons[name].methods]
    return list(dict.fromkeys(link.name for method in shown for link in STUDY.chain(method)))


def claims_files(scope: str) -> list[str]:
    """The verdicts on the study's claims from the main comparison or from all; none if the study names no claims."""
    kinds = ["json", "csv", "md", "tex", "html"] if STUDY.settings.claims else []
    return expand(f"{RESULTS}/claims/{scope}/claims.{{kind}}", kind=kinds)


def comparison_files(name: str, kinds: Iterable[str] = ("tables", "figures")) -> list[str]:
    """The tables and figures of a comparison."""
    shown = STUDY.comparisons[name]
    files = []
    if "tables" in kinds:
        every = ["csv", "md", "tex", "html"]
        files += expand(f"{RESULTS}/{name}/tables/{{table}}.{{kind}}", table=shown.tables, kind=every)
    if "figures" in kinds:
        files += expand(f"{RESULTS}/{name}/figures/{{figure}}.{{kind}}", figure=shown.figures, kind=["png", "pdf"])
    return files


def estimates_of(comparison: str) -> dict[str, str]:
    return {name: f"{RESULTS}/{comparison}/{name}.parquet" for name in ("cells", "differences")}


def table_inputs(wildcards) -> dict[str, str | list[str]]:
    """The inputs of a table: the runs for costs, including those from which others start; cells for other tables."""
    if TABLES[wildcards.table].kind != "costs":
        return estimates_of(wildcards.comparison) | {"reported": REPORTED}
    methods = needed_by([wildcards.comparison])
    read = {name for method in methods if STUDY.trains(method) for name in STUDY.methods[method].stage.inputs}
    experts = {"experts": f"{RESULTS}/data/experts.manifest.json"} if "experts" in read else {}
    return {"curves": curves_of(methods), "manifests": manifests_of(methods)} | experts


def figure_inputs(wildcards) -> dict[str, str | list[str]]:
    """The inputs of a figure; a frontier also needs the runs from which others start, and each run's final step."""
    figure = FIGURES[wildcards.figure]
    if figure.shows_cells:
        return estimates_of(wildcards.comparison)
    methods = STUDY.figure_methods(wildcards.comparison, wildcards.figure)
    if figure.kind == "curves":
        return {"curves": curves_of(methods)}
    methods = list(dict.fromkeys(link.name for method in methods for link in STUDY.chain(method)))
    return {"curves": curves_of(methods), "manifests": manifests_of(methods)}


def product_options(wildcards, input) -> str:
    """The options of `table` and of `figure` for their inputs."""
    files = {name: input.get(name, []) for name in ("cells", "differences", "experts", "reported")}
    files["runs"] = [Path(curves).parent for curves in input.get("curves", [])]
    return options(files)


def report_options(wildcards, input) -> str:
    """The options for what the report shows besides the results, if there are such files."""
    files = {name: input[name] for name in ("reported", "tuning", "gates")}
    files["claims"] = [path for path in input.get("claims", []) if path.endswith(".json")]
    return options(files)


def options(files: dict[str, str | list]) -> str:
    """The options of a command; an option without files is omitted."""
    lists = {name: [paths] if isinstance(paths, str) else list(paths) for name, paths in files.items()}
    return " ".join(f"--{name} {shlex.join(map(str, paths))}" for name, paths in lists.items() if paths)


def training_inputs(wildcards) -> dict[str, str]:
    """The files of rows that the method's stage reads, and the model of its teacher, with the same seed.

    Pure RL does not wait for experts, nor SFT for prompts.
    """
    files = {
        "prompts": f"{RESULTS}/data/rl.jsonl",
        "experts": f"{RESULTS}/data/experts.jsonl",
        "traces": f"{RESULTS}/data/traces.jsonl",
    }
    method = STUDY.methods[wildcards.method]
    seed = wildcards.get("seed", STUDY.hidden_seed)  # trials of a search have none
    teacher = {"teacher": result_of(method.teacher, seed)} if method.teacher else {}
    return {name: files[name] for name in method.stage.inputs} | teacher


def input_options(wildcards) -> str:
    return " ".join(f"--{name} {shlex.quote(path)}" for name, path in training_inputs(wildcards).items())


def in_report(path: str, kind: str, title):
    """Mark an output for `snakemake --report`, with the caption of its kind (workflow/report).

    title: of its row there, from the wildcards.
    """
    return report(
        path,
        caption=f"../report/{kind}.rst",
        category={"table": "Tables", "figure": "Figures", "verdicts": "Verdicts", "page": "Report"}[kind],
        subcategory="{comparison}" if kind in ("table", "figure") else None,
        labels=lambda wildcards: {"title": title(wildcards), "file": Path(path).suffix[1:]},
    )


def table_title(wildcards) -> str:
    return TABLES[wildcards.table].title


def figure_title(wildcards) -> str:
    return FIGURES[wildcards.figure].title


def verdicts_title(wildcards) -> str:
    return f"Claims, judged on the runs of: {wildcards.scope}"
