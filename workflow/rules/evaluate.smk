# Completions of the benchmarks and their scores. Completions are kept, because scoring needs no model.


rule generate:
    input:
        model=lambda wildcards: as_input(result_of(wildcards.method, wildcards.seed)),
        gates=lambda wildcards: gates_of(result_of(wildcards.method, wildcards.seed)),
        rows=f"{RESULTS}/data/benchmarks/{{benchmark}}.jsonl",
    output:
        completions=f"{RUN}/{{benchmark}}.completions.parquet",
    log:
        f"{RESULTS}/logs/generate/{{method}}-seed-{{seed}}-{{benchmark}}.log",
    benchmark:
        f"{RESULTS}/timings/generate/{{method}}-seed-{{seed}}-{{benchmark}}.tsv"
    conda:
        conda_environment("generate")
    threads: STUDY.resources("generate").threads
    resources:
        **requested_resources("generate"),
    params:
        spec=lambda wildcards: spec(STUDY.generate_spec(wildcards.method, int(wildcards.seed), wildcards.benchmark)),
        content=lambda wildcards: content_of(result_of(wildcards.method, wildcards.seed), "model"),
    message:
        "Answer {wildcards.benchmark} with {wildcards.method}, seed {wildcards.seed}"
    shell:
        "python -m chord generate --spec {params.spec:q} --model {input.model:q} --rows {input.rows:q}"
        " --out {output.completions:q} > {log:q} 2>&1"


rule score:
    input:
        completions=f"{RUN}/{{benchmark}}.completions.parquet",
        rows=f"{RESULTS}/data/benchmarks/{{benchmark}}.jsonl",
    output:
        scores=f"{RUN}/{{benchmark}}.scores.parquet",
    log:
        f"{RESULTS}/logs/score/{{method}}-seed-{{seed}}-{{benchmark}}.log",
    benchmark:
        f"{RESULTS}/timings/score/{{method}}-seed-{{seed}}-{{benchmark}}.tsv"
    conda:
        "../../environment.yml"
    threads: STUDY.resources("score").threads
    resources:
        **requested_resources("score"),
    message:
        "Score {wildcards.benchmark} of {wildcards.method}, seed {wildcards.seed}"
    shell:
        "python -m chord score --completions {input.completions:q} --rows {input.rows:q} --out {output.scores:q} > {log:q} 2>&1"
