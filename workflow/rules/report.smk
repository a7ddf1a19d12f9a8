# From scores and curves to tables, figures and the report. Each takes seconds and needs neither a model nor torch.
# `code` is the code that makes them: an edit there makes them again, and trains nothing.


rule cells:
    input:
        scores=lambda wildcards: scores_of(
            STUDY.comparisons[wildcards.comparison].methods, STUDY.benchmarks_of(wildcards.comparison)
        ),
    output:
        cells=f"{RESULTS}/{{comparison}}/cells.parquet",
        differences=f"{RESULTS}/{{comparison}}/differences.parquet",
    log:
        f"{RESULTS}/logs/cells/{{comparison}}.log",
    benchmark:
        f"{RESULTS}/timings/cells/{{comparison}}.tsv"
    conda:
        "../../environment.yml"
    threads: STUDY.resources("cells").threads
    resources:
        **requested_resources("cells"),
    params:
        code=ANALYSIS,
        spec=lambda wildcards: spec(STUDY.cells_spec(wildcards.comparison)),
        folder=lambda wildcards, output: Path(output.cells).parent,
    message:
        "Estimate the cells of {wildcards.comparison}"
    shell:
        "python -m chord cells --spec {params.spec:q} --scores {input.scores:q}"
        " --out {params.folder:q} > {log:q} 2>&1"


rule table:
    input:
        unpack(table_inputs),
    output:
        csv=in_report(f"{RESULTS}/{{comparison}}/tables/{{table}}.csv", "table", table_title),
        markdown=f"{RESULTS}/{{comparison}}/tables/{{table}}.md",
        latex=f"{RESULTS}/{{comparison}}/tables/{{table}}.tex",
        html=in_report(f"{RESULTS}/{{comparison}}/tables/{{table}}.html", "table", table_title),
        manifest=f"{RESULTS}/{{comparison}}/tables/{{table}}.manifest.json",
    log:
        f"{RESULTS}/logs/table/{{comparison}}-{{table}}.log",
    benchmark:
        f"{RESULTS}/timings/table/{{comparison}}-{{table}}.tsv"
    conda:
        "../../environment.yml"
    threads: STUDY.resources("table").threads
    resources:
        **requested_resources("table"),
    params:
        code=ANALYSIS,
        spec=lambda wildcards: spec(STUDY.table_spec(wildcards.comparison, wildcards.table)),
        inputs=product_options,
        folder=lambda wildcards, output: Path(output.csv).parent,
    message:
        "Table {wildcards.table} of {wildcards.comparison}"
    shell:
        "python -m chord table --spec {params.spec:q} {params.inputs} --out {params.folder:q} > {log:q} 2>&1"


rule figure:
    input:
        unpack(figure_inputs),
    output:
        png=in_report(f"{RESULTS}/{{comparison}}/figures/{{figure}}.png", "figure", figure_title),
        pdf=f"{RESULTS}/{{comparison}}/figures/{{figure}}.pdf",
        manifest=f"{RESULTS}/{{comparison}}/figures/{{figure}}.manifest.json",
    log:
        f"{RESULTS}/logs/figure/{{comparison}}-{{figure}}.log",
    benchmark:
        f"{RESULTS}/timings/figure/{{comparison}}-{{figure}}.tsv"
    conda:
        "../../environment.yml"
    threads: STUDY.resources("figure").threads
    resources:
        **requested_resources("figure"),
    params:
        code=ANALYSIS,
        spec=lambda wildcards: spec(STUDY.figure_spec(wildcards.comparison, wildcards.figure)),
        inputs=product_options,
        folder=lambda wildcards, output: Path(output.png).parent,
    message:
        "Figure {wildcards.figure} of {wildcards.comparison}"
    shell:
        "python -m chord figure --spec {params.spec:q} {params.inputs} --out {params.folder:q} > {log:q} 2>&1"


# `main` judges the study's claims from the methods of the main comparison, `all` from those of every comparison.
if STUDY.settings.claims:

    rule judge:
        input:
            claims=from_root(f"config/claims/{STUDY.settings.claims}.yaml"),
            scores=lambda wildcards: scores_of(STUDY.judged_methods(wildcards.scope), STUDY.regular_benchmarks),
            curves=lambda wildcards: curves_of(STUDY.judged_methods(wildcards.scope)),
            manifests=lambda wildcards: manifests_of(STUDY.judged_methods(wildcards.scope)),
        output:
            json=f"{RESULTS}/claims/{{scope}}/claims.json",
            csv=in_report(f"{RESULTS}/claims/{{scope}}/claims.csv", "verdicts", verdicts_title),
            markdown=f"{RESULTS}/claims/{{scope}}/claims.md",
            latex=f"{RESULTS}/claims/{{scope}}/claims.tex",
            html=in_report(f"{RESULTS}/claims/{{scope}}/claims.html", "verdicts", verdicts_title),
            manifest=f"{RESULTS}/claims/{{scope}}/claims.manifest.json",
        log:
            f"{RESULTS}/logs/claims/{{scope}}.log",
        benchmark:
            f"{RESULTS}/timings/claims/{{scope}}.tsv"
        conda:
            "../../environment.yml"
        threads: STUDY.resources("claims").threads
        resources:
            **requested_resources("claims"),
        params:
            code=ANALYSIS,
            spec=lambda wildcards: spec(STUDY.claims_spec(wildcards.scope)),
            runs=lambda wildcards, input: [Path(curves).parent for curves in input.curves],
            folder=lambda wildcards, output: Path(output.json).parent,
        message:
            "Judge the claims on the runs of: {wildcards.scope}"
        shell:
            "python -m chord claims --spec {params.spec:q} --claims {input.claims:q} --scores {input.scores:q}"
            " --runs {params.runs:q} --out {params.folder:q} > {log:q} 2>&1"


rule report:
    input:
        cells=f"{RESULTS}/main/cells.parquet",
        shown=comparison_files("main"),
        claims=claims_files("main"),
        runs=manifests_of(needed_by(["main"])),
        curves=curves_of(needed_by(["main"])),
        responses=responses_of(["main"]),
        priming=PRIMING_MANIFEST,
        reported=REPORTED,
        tuning=TUNING,
        gates=GATES,
    output:
        page=in_report(f"{RESULTS}/report.html", "page", lambda _: "The main comparison"),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/timings/report.tsv"
    conda:
        "../../environment.yml"
    threads: STUDY.resources("report").threads
    resources:
        **requested_resources("report"),
    params:
        code=ANALYSIS,
        spec=spec(STUDY.report_spec(["main"])),
        inputs=report_options,
        folder=lambda wildcards, output: Path(output.page).parent,
    message:
        "Report {output.page}"
    shell:
        "python -m chord report --spec {params.spec:q} --folder {params.folder:q} {params.inputs}"
        " --out {output.page:q} > {log:q} 2>&1"


# The same page with every comparison of the study that is not on demand.
use rule report as report_all with:
    input:
        cells=expand(f"{RESULTS}/{{name}}/cells.parquet", name=STUDY.regular),
        shown=[comparison_files(name) for name in STUDY.regular],
        claims=claims_files("all"),
        runs=manifests_of(needed_by(STUDY.regular)),
        curves=curves_of(needed_by(STUDY.regular)),
        responses=responses_of(STUDY.regular),
        priming=PRIMING_MANIFEST,
        reported=REPORTED,
        tuning=TUNING,
        gates=GATES,
    output:
        page=in_report(f"{RESULTS}/report-all.html", "page", lambda _: "Every comparison"),
    log:
        f"{RESULTS}/logs/report-all.log",
    benchmark:
        f"{RESULTS}/timings/report-all.tsv"
    params:
        code=ANALYSIS,
        spec=spec(STUDY.report_spec(STUDY.regular)),
        inputs=report_options,
        folder=lambda wildcards, output: Path(output.page).parent,
