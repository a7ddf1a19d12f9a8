# Prompts and benchmark rows, from the world's generator or from a dataset.


rule prepare:
    output:
        sft=f"{RESULTS}/data/sft.jsonl",
        rl=f"{RESULTS}/data/rl.jsonl",
        validation=f"{RESULTS}/data/validation.jsonl",
        manifest=f"{RESULTS}/data/manifest.json",
    log:
        f"{RESULTS}/logs/prepare.log",
    benchmark:
        f"{RESULTS}/timings/prepare.tsv"
    conda:
        "../../environment.yml"
    threads: STUDY.resources("prepare").threads
    resources:
        mem_mb=STUDY.resources("prepare").mem_mb,
        runtime=STUDY.resources("prepare").minutes,
    params:
        spec=spec(STUDY.prepare_spec()),
        folder=lambda wildcards, output: Path(output.manifest).parent,
    message:
        "Prepare the prompts"
    shell:
        "python -m chord prepare --spec {params.spec:q} --out {params.folder:q} > {log:q} 2>&1"


rule benchmark:
    output:
        rows=f"{RESULTS}/data/benchmarks/{{benchmark}}.jsonl",
    log:
        f"{RESULTS}/logs/benchmark/{{benchmark}}.log",
    benchmark:
        f"{RESULTS}/timings/benchmark/{{benchmark}}.tsv"
    conda:
        "../../environment.yml"
    threads: STUDY.resources("benchmark").threads
    resources:
        mem_mb=STUDY.resources("benchmark").mem_mb,
        runtime=STUDY.resources("benchmark").minutes,
    params:
        spec=lambda wildcards: spec(STUDY.benchmark_spec(wildcards.benchmark)),
    message:
        "Prepare benchmark {wildcards.benchmark}"
    shell:
        "python -m chord benchmark --spec {params.spec:q} --out {output.rows:q} > {log:q} 2>&1"
