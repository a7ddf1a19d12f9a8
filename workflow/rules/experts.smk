# Expert trajectories, and the base model of the synthetic world.

EXPERTS = experts_with_folder(STUDY.experts_spec())


rule experts:
    input:
        prompts=f"{RESULTS}/data/sft.jsonl",
        policy=as_input(BASE_MODEL),
        source=[as_input(folder) for folder in folders(EXPERTS["source"])],
    output:
        experts=f"{RESULTS}/data/experts.jsonl",
        manifest=f"{RESULTS}/data/experts.manifest.json",
    log:
        f"{RESULTS}/logs/experts.log",
    benchmark:
        f"{RESULTS}/timings/experts.tsv"
    conda:
        conda_environment("experts")
    threads: STUDY.resources("experts").threads
    resources:
        **requested_resources("experts"),
    params:
        spec=spec(EXPERTS),
        content=lambda wildcards: join_contents(
            content_of_experts(EXPERTS["source"], STUDY.experts), content_of(BASE_MODEL, "tokenizer")
        ),
    message:
        "Collect the expert trajectories"
    shell:
        "python -m chord experts --spec {params.spec:q} --prompts {input.prompts:q} --policy {input.policy:q}"
        " --out {output.experts:q} > {log:q} 2>&1"


# The same for the RL prompts, for methods in which the expert's rows join the groups of rollouts.
use rule experts as traces with:
    input:
        prompts=f"{RESULTS}/data/rl.jsonl",
        policy=rules.experts.input.policy,
        source=rules.experts.input.source,
    output:
        experts=f"{RESULTS}/data/traces.jsonl",
        manifest=f"{RESULTS}/data/traces.manifest.json",
    log:
        f"{RESULTS}/logs/traces.log",
    benchmark:
        f"{RESULTS}/timings/traces.tsv"
    message:
        "Collect the expert trajectories of the RL prompts"


# The base model, trained again from scratch. Studies start from the one in the repository, which stays as it is.
if STUDY.pretrain:
    NEW_BASE = f"{RESULTS}/base_model"

    rule pretrain:
        output:
            model=directory(NEW_BASE),
        log:
            f"{RESULTS}/logs/pretrain.log",
        benchmark:
            f"{RESULTS}/timings/pretrain.tsv"
        conda:
            conda_environment("pretrain")
        threads: STUDY.resources("pretrain").threads
        resources:
            **requested_resources("pretrain"),
        params:
            spec=spec(STUDY.pretrain_spec()),
        message:
            "Train the base model"
        shell:
            "python -m chord pretrain --spec {params.spec:q} --out {output.model:q} 2>&1 | tee {log:q}"


# Further base models: trained on from the one that the study starts from. No target needs one that no method starts from.
if STUDY.bases:

    rule further_base:
        input:
            start=as_input(BASE_MODEL),
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
            **requested_resources("pretrain"),
        params:
            spec=lambda wildcards: spec(STUDY.base_spec(wildcards.base)),
            content=lambda wildcards: content_of(BASE_MODEL, "model"),
        message:
            "Train the base model {wildcards.base}"
        shell:
            "python -m chord pretrain --spec {params.spec:q} --start {input.start:q} --out {output.model:q} > {log:q} 2>&1"
