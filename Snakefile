# The map of the workflow: which study, its targets, and where the rules are.
#   snakemake -n                               what would run
#   snakemake main                             the main tables and figures of the study, and its report
#   snakemake ablation_mu --config study=tiny  one comparison of one study
# docs/workflow.md says what depends on what and what runs again when.
from snakemake.utils import min_version

min_version("9.0")


configfile: f"{workflow.current_basedir}/config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/contents.smk"
include: "workflow/rules/lock.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/experts.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/progress.smk"


onstart:
    if not WITH_CONDA:
        lock_study()
    show_time_left()
    lift_rate_limit()
    if not workflow.touch:
        run_source_copy()


onsuccess:
    forget_recorded(Path(RESULTS))


onerror:
    forget_recorded(Path(RESULTS))


# Every table and figure of the study, ablations included; not those that a comparison makes on demand.
rule all:
    default_target: True
    input:
        [comparison_files(name) for name in STUDY.regular],
        claims_files("all"),
        f"{RESULTS}/report.html",
        f"{RESULTS}/report-all.html",


# One target for each comparison of the study: main, ablation_mu, ...
for comparison in STUDY.comparisons:

    rule:
        name:
            comparison
        input:
            comparison_files(comparison),
            f"{RESULTS}/report.html" if comparison == "main" else [],


# What the study needs from the hub or a package index. `chord fetch` gets it too, and writes the lock that this needs.
rule fetch:
    input:
        expand(f"{RESULTS}/hub/{{repository}}.manifest.json", repository=DOWNLOADS),


rule tables:
    input:
        [comparison_files(name, kinds=["tables"]) for name in STUDY.regular],


rule figures:
    input:
        [comparison_files(name, kinds=["figures"]) for name in STUDY.regular],


# Every claim on the runs of every comparison.
rule claims:
    input:
        claims_files("all"),
