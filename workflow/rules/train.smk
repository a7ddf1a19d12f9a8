# A run has one method and one seed. Its checkpoints are in the run's folder but are not outputs, because Snakemake deletes
# the outputs of an interrupted job: the next attempt resumes from the checkpoints, or delivers the last one.


rule train:
    input:
        unpack(training_inputs),
        start=lambda wildcards: as_input(start_of(wildcards)),
        gates=lambda wildcards: gates_of(start_of(wildcards)),
        validation=f"{RESULTS}/data/validation.jsonl",
    output:
        model=directory(f"{RUN}/model"),
        curves=f"{RUN}/curves.csv",
        manifest=f"{RUN}/manifest.json",
    log:
        f"{RESULTS}/logs/train/{{method}}-seed-{{seed}}.log",
    benchmark:
        f"{RESULTS}/timings/train/{{method}}-seed-{{seed}}.tsv"
    group:
        queue_group
    conda:
        conda_environment("train")
    threads: STUDY.resources("train").threads
    resources:
        **requested_resources("train"),
        training=1,  # of the runs that share an entry of a queue, the profile lets one run at a time
    params:
        spec=lambda wildcards: spec(STUDY.train_spec(wildcards.method, int(wildcards.seed))),
        content=lambda wildcards: content_of(start_of(wildcards), "model"),
        folder=lambda wildcards, output: Path(output.manifest).parent,
        rows=lambda wildcards: input_options(wildcards),
        stop=Unrecorded("--stop-when-hopeless" if STUDY.settings.training.stop_when_hopeless else ""),
    message:
        "Train {wildcards.method}, seed {wildcards.seed}"
    # `exec`: a scheduler's SIGTERM would end a shell, and with it the whole job, before training could save.
    shell:
        "exec "
        + on_each_node("python -m chord train")
        + " --spec {params.spec:q} --start {input.start:q} {params.rows}"
        " --validation {input.validation:q} --out {params.folder:q} {params.stop} > {log:q} 2>&1"


# The search has the same runs with one setting changed, on the seed that no table shows.
if STUDY.search:

    use rule train as trial with:
        input:
            unpack(training_inputs),
            start=lambda wildcards: as_input(trial_start(wildcards)),
            gates=lambda wildcards: gates_of(trial_start(wildcards)),
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
            content=lambda wildcards: content_of(trial_start(wildcards), "model"),
            folder=lambda wildcards, output: Path(output.manifest).parent,
            rows=lambda wildcards: input_options(wildcards),
        message:
            "Train {wildcards.method} with value number {wildcards.trial} of its search"

    rule tune:
        input:
            manifests=[path for method in STUDY.search for path in trials_of(method)],
        output:
            table=f"{RESULTS}/tuning.csv",
            manifest=f"{RESULTS}/tuning.manifest.json",
        log:
            f"{RESULTS}/logs/tune.log",
        benchmark:
            f"{RESULTS}/timings/tune.tsv"
        conda:
            "../../environment.yml"
        threads: STUDY.resources("tuning").threads
        resources:
            **requested_resources("tuning"),
        params:
            spec=spec(STUDY.tuning_spec()),
            committed=STUDY.settings.tuning.table or "no table",
        message:
            "Choose settings on validation rows"
        shell:
            "python -m chord tuning --spec {params.spec:q} --runs {input.manifests:q}"
            " --out {output.table:q} > {log:q} 2>&1\n"
            "cmp -s {output.table:q} {params.committed:q} && same='equals' || same='differs from'\n"
            'echo "{output.table} $same the table that the study trains with ({params.committed})"'

    # The model that a search chose; the searches of other methods may start from it.
    rule best_trial:
        input:
            manifests=lambda wildcards: trials_of(wildcards.method),
        output:
            best=directory(f"{RESULTS}/tuning/{{method}}/best"),
            table=f"{RESULTS}/tuning/{{method}}/choice.csv",
        log:
            f"{RESULTS}/logs/tuning/{{method}}-best.log",
        benchmark:
            f"{RESULTS}/timings/tuning/{{method}}-best.tsv"
        conda:
            "../../environment.yml"
        threads: STUDY.resources("tuning").threads
        resources:
            **requested_resources("tuning"),
        params:
            spec=rules.tune.params.spec,
        message:
            "Choose the {wildcards.method} that others start from"
        shell:
            "python -m chord tuning --spec {params.spec:q} --runs {input.manifests:q} --best {output.best:q}"
            " --out {output.table:q} > {log:q} 2>&1"


# Priming: a run like others, on rows of its own. Methods start from it if it meets its gates.
if STUDY.priming:
    PRIMING = experts_with_folder(STUDY.priming_experts_spec())

    use rule experts as priming_experts with:
        input:
            prompts=f"{RESULTS}/data/priming.jsonl",
            policy=rules.experts.input.policy,
            source=[as_input(folder) for folder in folders(PRIMING["source"])],
        output:
            experts=f"{RESULTS}/data/priming_experts.jsonl",
            manifest=f"{RESULTS}/data/priming_experts.manifest.json",
        log:
            f"{RESULTS}/logs/priming_experts.log",
        benchmark:
            f"{RESULTS}/timings/priming_experts.tsv"
        params:
            spec=spec(PRIMING),
            content=lambda wildcards: join_contents(
                content_of_experts(PRIMING["source"], STUDY.priming.experts), content_of(BASE_MODEL, "tokenizer")
            ),
        message:
            "Collect the answers for priming"

    use rule train as prime with:
        input:
            experts=f"{RESULTS}/data/priming_experts.jsonl",
            start=as_input(BASE_MODEL),
            validation=rules.train.input.validation,
        output:
            model=directory(f"{PRIMING_RUN}/model"),
            curves=f"{PRIMING_RUN}/curves.csv",
            manifest=f"{PRIMING_RUN}/manifest.json",
        log:
            f"{RESULTS}/logs/priming.log",
        benchmark:
            f"{RESULTS}/timings/priming.tsv"
        params:
            spec=spec(STUDY.prime_spec()),
            content=lambda wildcards: content_of(BASE_MODEL, "model"),
            folder=lambda wildcards, output: Path(output.manifest).parent,
            rows=lambda wildcards, input: options({"experts": input.experts}),
        message:
            "Prime the start model"

    rule start_gates:
        input:
            model=rules.prime.output.model,
            validation=rules.train.input.validation,
        output:
            gates=GATES[0],
        log:
            f"{RESULTS}/logs/start_gates.log",
        benchmark:
            f"{RESULTS}/timings/start_gates.tsv"
        conda:
            conda_environment("start_gates")
        threads: STUDY.resources("start_gates").threads
        resources:
            **requested_resources("start_gates"),
        params:
            spec=spec(STUDY.start_gates_spec()),
        message:
            "Check the gates of the primed model"
        shell:
            "python -m chord start_gates --spec {params.spec:q} --model {input.model:q} --validation {input.validation:q}"
            " --out {output.gates:q} > {log:q} 2>&1"


# A new base model also has to learn as the study needs it: SFT and pure RL start from it, on a seed that no table shows.
if STUDY.pretrain:
    PROBE = f"{RESULTS}/gates/{{method}}"

    use rule train as probe with:
        input:
            unpack(training_inputs),
            start=NEW_BASE,
            validation=rules.train.input.validation,
        output:
            model=directory(f"{PROBE}/model"),
            curves=f"{PROBE}/curves.csv",
            manifest=f"{PROBE}/manifest.json",
        log:
            f"{RESULTS}/logs/gates/{{method}}.log",
        benchmark:
            f"{RESULTS}/timings/gates/{{method}}.tsv"
        params:
            spec=lambda wildcards: spec(STUDY.train_spec(wildcards.method, STUDY.hidden_seed)),
            content=NOTHING_LOCAL,
            folder=lambda wildcards, output: Path(output.manifest).parent,
            rows=lambda wildcards: input_options(wildcards),
        message:
            "Train {wildcards.method} from the new base model, for its gates"

    rule base_model:
        input:
            model=NEW_BASE,
            sft=f"{RESULTS}/gates/sft_best/curves.csv",
            rl=f"{RESULTS}/gates/rl/curves.csv",
        output:
            gates=f"{RESULTS}/gates/gates.json",
        log:
            f"{RESULTS}/logs/gates/gates.log",
        benchmark:
            f"{RESULTS}/timings/gates/gates.tsv"
        conda:
            "../../environment.yml"
        threads: STUDY.resources("gates").threads
        resources:
            **requested_resources("gates"),
        params:
            spec=spec(STUDY.gates_spec()),
            shipped=BASE_MODEL,
        message:
            "Check the gates of the base model"
        shell:
            "python -m chord gates --spec {params.spec:q} --sft {input.sft:q} --rl {input.rl:q}"
            " --out {output.gates:q} 2>&1 | tee {log:q}\n"
            "if cmp -s {input.model:q}/model.safetensors {params.shipped:q}/model.safetensors; then\n"
            "  echo 'The weights are those of {params.shipped}'\n"
            "else\n"
            "  echo 'The weights differ from those of {params.shipped}'\n"
            "fi | tee -a {log:q}"
