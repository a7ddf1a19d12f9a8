# A run: one method, one seed. Its checkpoints lie in the run's folder and are no output, because Snakemake deletes the
# outputs of a job that was cut off: the next attempt goes on from them.


rule train:
    input:
        unpack(training_rows),
        start=lambda wildcards: result_of(STUDY.start_of(wildcards.method), wildcards.seed),
        validation=f"{RESULTS}/data/validation.jsonl",
    output:
        model=directory(f"{RUN}/model"),
        curves=f"{RUN}/curves.csv",
        manifest=f"{RUN}/manifest.json",
    log:
        f"{RESULTS}/logs/train/{{method}}-seed-{{seed}}.log",
    benchmark:
        f"{RESULTS}/timings/train/{{method}}-seed-{{seed}}.tsv"
    conda:
        "../../environment.yml"
    threads: STUDY.resources("train").threads
    resources:
        mem_mb=STUDY.resources("train").mem_mb,
        runtime=STUDY.resources("train").minutes,
        gpu=STUDY.resources("train").gpus,
    params:
        spec=lambda wildcards: spec(STUDY.train_spec(wildcards.method, int(wildcards.seed))),
        folder=lambda wildcards, output: Path(output.manifest).parent,
        rows=lambda wildcards: row_options(wildcards),
    message:
        "Train {wildcards.method}, seed {wildcards.seed}"
    shell:
        "python -m chord train --spec {params.spec:q} --start {input.start:q} {params.rows}"
        " --validation {input.validation:q} --out {params.folder:q} > {log:q} 2>&1"


# The same run with one learning rate of the method's search, on the seed that no table shows.
if STUDY.tuned:
    TRIAL = f"{RESULTS}/tuning/{{method}}/trial-{{trial}}"

    use rule train as trial with:
        input:
            unpack(training_rows),
            start=lambda wildcards: result_of(STUDY.start_of(wildcards.method), STUDY.settings.tuning.seed_index),
            validation=rules.train.input.validation,
        output:
            model=directory(f"{TRIAL}/model"),
            curves=f"{TRIAL}/curves.csv",
            manifest=f"{TRIAL}/manifest.json",
        log:
            f"{RESULTS}/logs/tuning/{{method}}-{{trial}}.log",
        benchmark:
            f"{RESULTS}/timings/tuning/{{method}}-{{trial}}.tsv"
        params:
            spec=lambda wildcards: spec(STUDY.tune_spec(wildcards.method, int(wildcards.trial))),
            folder=lambda wildcards, output: Path(output.manifest).parent,
            rows=lambda wildcards: row_options(wildcards),
        message:
            "Train {wildcards.method} with learning rate number {wildcards.trial}"

    rule tune:
        input:
            manifests=[
                f"{TRIAL}/manifest.json".format(method=method, trial=trial)
                for method, rates in STUDY.tuned.items()
                for trial in range(len(rates))
            ],
        output:
            table=f"{RESULTS}/tuning.csv",
            manifest=f"{RESULTS}/tuning.manifest.json",
        log:
            f"{RESULTS}/logs/tune.log",
        benchmark:
            f"{RESULTS}/timings/tune.tsv"
        conda:
            "../../environment.yml"
        threads: STUDY.resources("table").threads
        resources:
            mem_mb=STUDY.resources("table").mem_mb,
            runtime=STUDY.resources("table").minutes,
        message:
            "Choose learning rates on validation rows"
        shell:
            "python -m chord tuning --runs {input.manifests:q} --out {output.table:q} > {log:q} 2>&1"
