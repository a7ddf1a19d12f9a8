# The phase diagram of CHORD-phi: base models that differ in exposure to the expert's style, and methods run from each.
# The runs are those of `train`, `generate` and `score`; no other target needs them.

if STUDY.phase:

    rule phase_base:
        input:
            start=given(BASE_MODEL),
        output:
            model=directory(f"{RESULTS}/bases/{{base}}"),
        log:
            f"{RESULTS}/logs/bases/{{base}}.log",
        benchmark:
            f"{RESULTS}/timings/bases/{{base}}.tsv"
        conda:
            conda_environment("pretrain")
        threads: STUDY.resources("pretrain").threads
        resources:
            **asked_by("pretrain"),
        params:
            spec=lambda wildcards: spec(STUDY.phase_base_spec(wildcards.base)),
            content=lambda wildcards: content_of(BASE_MODEL, "model"),
        message:
            "Train the base model {wildcards.base}"
        shell:
            "python -m chord pretrain --spec {params.spec:q} --start {input.start:q} --out {output.model:q} > {log:q} 2>&1"

    rule phase_phi:
        input:
            scores=expand(
                f"{RUN}/{{benchmark}}.scores.parquet",
                method=[method.name for method in STUDY.phase.methods],
                seed=SEEDS,
                benchmark=STUDY.phase.benchmark,
            ),
            bases=expand(f"{RESULTS}/bases/{{base}}", base=STUDY.bases),
        output:
            cells=f"{RESULTS}/phase_phi/cells.parquet",
            differences=f"{RESULTS}/phase_phi/differences.parquet",
            table=expand(f"{RESULTS}/phase_phi/tables/phase_phi.{{kind}}", kind=["csv", "md", "tex", "manifest.json"]),
            figure=expand(f"{RESULTS}/phase_phi/figures/phase_phi.{{kind}}", kind=["png", "pdf", "manifest.json"]),
        log:
            f"{RESULTS}/logs/phase_phi.log",
        benchmark:
            f"{RESULTS}/timings/phase_phi.tsv"
        conda:
            "../../environment.yml"
        threads: STUDY.resources("phase").threads
        resources:
            **asked_by("phase"),
        params:
            code=ANALYSIS,
            spec=spec(STUDY.phase_spec()),
            folder=lambda wildcards, output: Path(output.cells).parent,
        message:
            "Phase diagram of CHORD-phi"
        shell:
            "python -m chord phase --spec {params.spec:q} --scores {input.scores:q} --bases {input.bases:q}"
            " --out {params.folder:q} > {log:q} 2>&1"
