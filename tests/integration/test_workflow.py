"""The workflow as a whole: it parses from everywhere, its targets plan the right jobs, bad input ends in one line."""

import re
import shutil
import subprocess
import sys
from itertools import pairwise

import pytest
import yaml

from tests.helpers.workflow import ROOT, copy_checkout, planned, snakemake


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return copy_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.mark.slow
@pytest.mark.parametrize(("snakefile", "elsewhere"), [("Snakefile", True), ("workflow/Snakefile", False)])
def test_plans_everything_by_default(checkout, tmp_path, snakefile, elsewhere):
    arguments = ["--directory", str(tmp_path)] if elsewhere else []
    output = snakemake(checkout, "-n", "--snakefile", snakefile, "--quiet", "host", *arguments).stdout
    assert re.search(r"^all +1$", output, re.MULTILINE)
    assert re.search(r"^report_all +1$", output, re.MULTILINE)


def test_targets(checkout):
    listed = snakemake(checkout, "--list-target-rules").stdout.split()
    targets = {"all", "main", "tables", "figures", "ablation_mu", "report", "claims", "base_model", "tune", "phase_phi"}
    assert targets <= set(listed)


def test_the_graph_of_the_readme_is_part_of_the_graph_of_the_rules(checkout):
    """Its arrows are arrows of Snakemake's graph; those that it leaves out are implied, or lead to the target."""
    text = snakemake(checkout, "--rulegraph", "mermaid-js", "--config", "study=tiny", "--", "main").stdout
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", text))
    real = {(names[start], names[end]) for start, end in re.findall(r"(id\d+) --> (id\d+)", text)}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (graph,) = re.findall(r"```mermaid\n(.*?)```", readme, re.DOTALL)
    chains = [re.findall(r"(?:^|> )(\w+)", line.strip()) for line in re.sub(r"\[.*?\]", "", graph).splitlines()[1:]]
    shown = {pair for chain in chains for pair in pairwise(chain)}
    assert shown <= real
    assert {name for pair in shown for name in pair} == {*names.values()} - {"main"}


def test_a_comparison_plans_its_own_methods(checkout):
    outputs = planned(checkout, "ablation_mu")
    methods = {output.split("/")[1] for output in outputs if output.startswith("runs/")}
    assert methods == {"rl", "mu_0.02", "mu_0.1", "mu_0.5", "chord_mu"}
    assert not {output for output in outputs if output.startswith(("main/", "report"))}


def test_a_figure_and_a_run_by_their_paths_plan_what_they_need(checkout):
    """A figure needs its runs and no scores; a run needs those that it starts from, and its teacher."""
    figure, run = "results/tiny/main/figures/fig4.png", "results/tiny/runs/sft_best_rl/seed-1/manifest.json"
    outputs = planned(checkout, figure, run, "results/tiny/runs/opd/seed-2/manifest.json")
    runs = {tuple(output.split("/")[1:3]) for output in outputs if output.startswith("runs/")}
    of_figure = {("chord_mu", f"seed-{seed}") for seed in range(3)}
    behind = {("sft_best", "seed-1"), ("sft_best_rl", "seed-1"), ("sft_best", "seed-2"), ("opd", "seed-2")}
    assert runs == of_figure | behind
    assert not {output for output in outputs if output.endswith(".parquet")}


@pytest.mark.slow
def test_only_methods_whose_groups_traces_join_wait_for_traces(checkout, tmp_path):
    study = yaml.safe_load((checkout / "config/studies/smoke.yaml").read_text(encoding="utf-8"))
    study["methods"]["luffy"] = {}
    (tmp_path / "with_luffy.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")

    def data(method: str) -> set[str]:
        run = f"results/with_luffy/runs/{method}/seed-0/manifest.json"
        outputs = planned(checkout, run, "--config", f"study={tmp_path / 'with_luffy.yaml'}")
        return {output for output in outputs if output in ("data/experts.jsonl", "data/traces.jsonl")}

    assert data("luffy") == {"data/traces.jsonl"}
    assert data("chord_phi") == {"data/experts.jsonl"}


@pytest.mark.slow
def test_claims_of_main_train_nothing_beyond_it(checkout):
    def methods(target: str) -> set[str]:
        outputs = planned(checkout, target)
        assert "runs/original/seed-0/world_test.scores.parquet" in outputs
        assert "runs/original/seed-0/model" not in outputs  # a method without a stage is not trained
        return {output.split("/")[1] for output in outputs if output.startswith("runs/")}

    of_main = methods("main")
    assert methods("results/tiny/claims/main/claims.json") == of_main
    assert methods("claims") > of_main


@pytest.mark.slow
def test_a_comparison_on_demand_is_its_own_target(checkout):
    assert not {output for output in planned(checkout) if output.startswith(("bases/", "phase_phi/"))}
    outputs = planned(checkout, "phase_phi")
    study = yaml.safe_load((checkout / "config/studies/tiny.yaml").read_text(encoding="utf-8"))
    bases, rows = study["bases"], study["comparisons"]["phase_phi"]["grid"]["rows"]
    symbol = rows["setting"].rpartition(".")[2]
    assert {output for output in outputs if output.startswith("bases/")} == {f"bases/{base}" for base in bases}
    assert {output.split("/")[1] for output in outputs if output.startswith("runs/")} == {
        *(f"{method}@{base}" for base in bases for method in ("rl", "chord_mu")),
        *(f"chord_phi@{base}-{symbol}{value}" for base in bases for value in rows["values"]),
    }
    assert {"phase_phi/cells.parquet", "phase_phi/tables/table1.csv", "phase_phi/figures/grid.png"} <= outputs
    assert not {output for output in outputs if output.startswith(("main/", "report", "data/benchmarks/skills"))}


@pytest.mark.slow
def test_questions_of_an_optional_package_are_for_their_own_target(checkout):
    def asked(target: str) -> set[str]:
        outputs = planned(checkout, target, "--config", "study=smol-tool")
        return {output for output in outputs if "reasoning_gym" in output}

    assert not asked("all")
    assert {"data/benchmarks/reasoning_gym_easy.jsonl", "runs/rl/seed-2/reasoning_gym_easy.scores.parquet"} <= asked(
        "forgetting"
    )


def test_tuning_stays_off_the_reported_seeds(checkout):
    outputs = planned(checkout, "tune")
    assert {"tuning.csv", "tuning/chord_mu/trial-0/model", "tuning/sft_best_rl/trial-3/model"} <= outputs
    assert not [output for output in outputs if output.startswith("runs/")]  # not even for the starts of SFT + RL


@pytest.mark.slow
def test_the_folder_of_experts_is_an_input_from_the_root(checkout, tmp_path):
    folder, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    shutil.copytree(checkout, folder, symlinks=True, ignore=shutil.ignore_patterns(".snakemake"))
    study = folder / "config/studies/smoke.yaml"
    text = study.read_text(encoding="utf-8")
    source = "source: {kind: dataset, folder: inputs/openr1}"
    study.write_text(text.replace("source: {kind: solver}", source), encoding="utf-8")
    plan = ("-n", "-p", "--config", "study=smoke", "--directory", str(elsewhere))
    target = ("--", "results/smoke/data/experts.jsonl")
    missing = snakemake(folder, *plan, *target, check=False)
    assert missing.returncode != 0
    assert re.search(
        r"Missing input files for rule experts:.*\n *\.\./checkout/inputs/openr1\n", missing.stdout, re.DOTALL
    )
    (folder / "inputs/openr1").mkdir(parents=True)
    assert '"folder":"../checkout/inputs/openr1"' in snakemake(folder, *plan, *target).stdout


def test_a_misspelt_choice_of_study_ends_in_one_line(checkout):
    result = snakemake(checkout, "-n", "--config", "stdy=smoke", check=False)
    assert result.returncode != 0
    assert "config: stdy: unknown key; expected study or seeds" in result.stderr
    assert "Traceback" not in result.stderr


def test_jobs_that_end_leave_no_timers_behind(checkout, tmp_path):
    """As those of Snakemake's rate limit do (findings/snakemake-scheduler-*.sh), which `onstart` lifts."""
    wrapper = f"""
include: "{checkout}/Snakefile"
import threading
class Timer(threading.Timer):
    def start(self):
        print("a timer starts")
        super().start()
threading.Timer = Timer
"""
    files = [f"results/smoke/data/{name}" for name in ("sft.jsonl", "benchmarks/world_test.jsonl")]
    counts = []
    for more in ("", "onstart: pass"):
        shutil.rmtree(checkout / "results/smoke", ignore_errors=True)
        (tmp_path / "wrapper.smk").write_text(wrapper + more, encoding="utf-8")
        arguments = ["--snakefile", str(tmp_path / "wrapper.smk"), "--config", "study=smoke", "--cores", "1"]
        counts.append(snakemake(checkout, *files, *arguments).stdout.count("a timer starts"))
        assert all((checkout / path).exists() for path in files)
    assert counts[0] == 0
    assert counts[1] > 0


def test_lint(checkout):
    assert "good condition" in snakemake(checkout, "--lint").stderr


def test_format():
    subprocess.run([sys.executable, "-m", "snakefmt", "--check", "Snakefile", "workflow"], cwd=ROOT, check=True)


def test_every_rule_says_what_it_needs():
    """Rules that inherit (`use rule ... with`) have the rest from the rule they name."""
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        for rule in re.split(r"^ *(?=rule |use rule )", text, flags=re.MULTILINE)[1:]:
            needed = ["output:", "log:", "benchmark:"]
            if rule.startswith("rule"):
                needed += ["conda:", "threads:", "resources:", "message:", "shell:"]
            assert not [word for word in needed if word not in rule], f"{path.name}: {rule.splitlines()[0]}"
