"""A study from its files: laying over each other, order, and specifications with only what a job uses."""

import json
import subprocess
import sys

import pytest

import chord.data.benchmark
from chord.errors import UserError
from chord.objectives.schedules import Constant, Cosine
from chord.rollouts import Decoding
from chord.study import load_study
from chord.study.yaml_files import merge
from chord.training.train_spec import TrainSpec
from tests.helpers.study_files import CLAIMS_FILE, STUDY_FILE, Root


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path)


def load(root):
    return load_study("small", root.path)


def test_settings_of_a_stage_come_from_training_then_method_then_study(root):
    root.set(STUDY_FILE, "training", "hybrid", "clip", value=0.1)
    root.set("config/methods/decay.yaml", "stage", "clip", value=0.3)
    study = load(root)
    assert study.methods["rl"].stage.clip == 0.1
    assert study.methods["decay"].stage.clip == 0.3
    root.set(STUDY_FILE, "methods", "decay", "stage", "clip", value=0.4)
    assert load(root).methods["decay"].stage.clip == 0.4


def test_an_override_completes_a_part_key_by_key(root):
    assert load(root).methods["decay"].stage.schedule == Cosine(name="cosine", warmup=0, decay=4, peak=1.0, valley=0.0)


def test_a_part_of_another_name_replaces_the_part_below_whole(root):
    root.set(STUDY_FILE, "methods", "decay", value={"stage": {"schedule": {"name": "constant", "mu": 0.2}}})
    assert load(root).methods["decay"].stage.schedule == Constant(mu=0.2)


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 4}, "e": 5}, {"a": 1, "b": {"c": 4, "d": 3}, "e": 5}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"name": "x", "a": 1}, {"name": "y"}, {"name": "y"}),
        ({"name": "x", "a": 1}, {"name": "x", "b": 2}, {"name": "x", "a": 1, "b": 2}),
        ({"name": "x", "a": 1}, {"a": 2}, {"name": "x", "a": 2}),
        ({"kind": "x", "a": 1}, {"kind": "y", "b": 2}, {"kind": "y", "b": 2}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
    ],
)
def test_merge(below, above, expected):
    assert merge(below, above) == expected


def test_a_study_on_top_of_another_one(root):
    """Changed, completed, taken away; a list is replaced whole."""
    main = {"methods": ["original", "rl"]}
    root.write(
        "config/studies/other.yaml",
        {
            "base": "small",
            "title": "Another",
            "data": {"sft": 41},
            "methods": {"sft_rl": None, "decay": {"stage": {"schedule": {"decay": 6}}}},
            "comparisons": {"main": main},
            "tuning": None,
        },
    )
    study = load_study("other", root.path)
    assert (study.name, study.title, study.data.sft, study.data.rl) == ("other", "Another", 41, 20)
    assert list(study.methods) == ["original", "rl", "decay"]
    assert study.methods["decay"].stage.schedule.decay == 6
    assert study.comparisons["main"].methods == ["original", "rl"]
    assert study.comparisons["main"].references == ["rl"]
    assert not study.search
    assert load(root).data.sft == 40


def test_studies_on_top_of_each_other(root):
    root.write("config/studies/second.yaml", {"base": "small", "seed": 6, "data": {"rl": 21}})
    root.write("config/studies/third.yaml", {"base": "second", "data": {"sft": 41}})
    study = load_study("third", root.path)
    assert (study.settings.seed, study.data.sft, study.data.rl, study.data.seed) == (6, 41, 21, 6)


@pytest.mark.parametrize(
    ("overlay", "expected"),
    [
        ({"base": "smal"}, "config/studies/other.yaml: base: unknown study 'smal'; expected one of other, small"),
        ({"base": 3}, "config/studies/other.yaml: base: expected the name of a study, got 3"),
        ({"base": "other"}, "config/studies/other.yaml: base: other is based on this study itself"),
        ({"base": "small", "data": {"sft": -1}}, "config/studies/other.yaml: data.sft: expected a value greater"),
        ({"base": "small", "data": None}, "config/studies/other.yaml: data: missing; expected"),
        ({"base": "small", "methods": {"rll": {}}}, "config/studies/other.yaml: methods: unknown method 'rll'"),
        ({"base": "small", "methods": {"rl": None}}, "config/studies/small.yaml: comparisons.main.methods: unknown"),
    ],
)
def test_a_problem_names_the_file_that_it_stands_in(root, overlay, expected):
    root.write("config/studies/other.yaml", overlay)
    with pytest.raises(UserError) as error:
        load_study("other", root.path)
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ({"ranks": 2, "sharding": "zero2"}, "scale.sharding: unknown value 'zero2'; expected one of fsdp2, hsdp, none"),
        ({"sharding": "fsdp2"}, "sharding: expected none for one rank, or more ranks; got fsdp2"),
        ({"ranks": 2, "cpu_offload": True}, "cpu_offload: expected sharding fsdp2 or hsdp beside it"),
        ({"ranks": 3, "nodes": 2}, r"ranks: expected a multiple of nodes \(2\), got 3"),
        ({"ranks": 2, "nodes": 2, "sharding": "hsdp"}, "sharding: expected fsdp2, or several nodes with several ranks"),
        ({"ranks": 2, "sharding": "hsdp"}, "sharding: expected fsdp2, or several nodes with several ranks"),
        ({"ranks": 2, "nodes": 2, "rollouts": {"kind": "vllm_server"}}, "rollouts: expected huggingface or vllm on"),
        (
            {"ranks": 2, "sharding": "fsdp2"},
            r"training.scale.sharding: expected none .*lora \(rl, sft_rl, decay\)",
        ),
    ],
)
def test_shares_of_a_model_that_nobody_could_train(root, scale, message):
    root.set(STUDY_FILE, "training", "hybrid", "lora", value={"rank": 4, "alpha": 8})
    root.set(STUDY_FILE, "training", "scale", value=scale)
    with pytest.raises(UserError, match=message):
        load(root)


def test_a_fault_below_is_not_blamed_on_the_study_on_top(root):
    root.write("config/studies/other.yaml", {"base": "small", "training": {"hybrid": {"steps": 3}}})
    root.set(STUDY_FILE, "training", "hybrid", "clip", value=7)
    with pytest.raises(UserError, match=r"^config/studies/small.yaml: training.hybrid.clip: expected a value less"):
        load_study("other", root.path)


def test_a_benchmarks_parts_are_the_columns_of_the_table_of_groups(root):
    root.set(STUDY_FILE, "comparisons", "main", "tables", value=["table1", "groups"])
    with pytest.raises(UserError, match=r"comparisons.main.tables: groups: no benchmark of this study has parts"):
        load(root)
    root.set("config/benchmarks/world.yaml", "parts", value={"T1": "Tier 1", "T2": "Tier 2"})
    study = load(root)

    def columns(table: str) -> list[tuple[str, str, str]]:
        found = study.table_spec("main", table)["columns"]
        return [(column["benchmark"], column.get("group", "all"), column["title"]) for column in found]

    assert columns("groups") == [("world", "T1", "Tier 1"), ("world", "T2", "Tier 2")]
    assert columns("table1") == [("world", "T1", "easy"), ("world", "all", "World"), ("skills", "all", "Skills")]


def test_methods_are_ordered_and_hold_what_they_start_from(root):
    study = load(root)
    assert list(study.methods) == ["original", "rl", "sft", "sft_rl", "decay"]
    assert study.start_of("sft_rl") == "sft"
    assert study.start_of("rl") is None
    assert [step.name for step in study.chain("sft_rl")] == ["sft", "sft_rl"]
    assert not study.trains("original")
    assert study.trains("sft")


def test_a_study_can_change_where_a_method_starts_and_what_it_is_called(root):
    root.set(STUDY_FILE, "methods", "sft_rl", value={"start_from": "base", "title": "RL again"})
    study = load(root)
    assert "sft" not in study.methods
    assert study.start_of("sft_rl") is None
    assert study.methods["sft_rl"].title == "RL again"


def test_a_benchmark_is_its_file_with_what_the_study_changes(root):
    skills = load(root).benchmarks["skills"]
    assert (skills.batch_rows, skills.data.rows_per_group, skills.title) == (4, 6, "Skills")


def test_a_study_chooses_a_decoding_by_name(root):
    world = load(root).benchmarks["world"]
    assert (world.decoding_name, world.k) == ("paper", 4)
    assert world.decoding == Decoding(temperature=1.0, top_p=1.0, max_response_tokens=20)
    root.set(STUDY_FILE, "benchmarks", "world", "decoding", value="field")
    world = load(root).benchmarks["world"]
    assert (world.decoding_name, world.k) == ("field", 8)
    assert world.decoding == Decoding(temperature=0.6, top_p=0.95, max_response_tokens=30)
    spec = load(root).generate_spec("rl", 0, "world")
    assert spec["decoding"] == {"temperature": 0.6, "top_p": 0.95, "max_response_tokens": 30}
    assert spec["k"] == 8


def test_a_study_can_add_a_decoding(root):
    short = {"k": 2, "temperature": 1.0, "max_response_tokens": 7}
    root.set(STUDY_FILE, "benchmarks", "world", value={"decoding": "short", "decodings": {"short": short}})
    world = load(root).benchmarks["world"]
    assert (world.decoding_name, world.k, world.decoding.max_response_tokens) == ("short", 2, 7)


def test_two_decodings_of_one_benchmark_have_the_same_questions(root, tmp_path):
    root.set(STUDY_FILE, "benchmarks", "world", value={"data": {"rows_per_group": 3}})
    root.set(STUDY_FILE, "benchmarks", "world_field", value={"benchmark": "world", "decoding": "field"})
    study = load(root)
    ours, theirs = study.benchmarks["world"], study.benchmarks["world_field"]
    assert study.benchmark_spec("world_field") == study.benchmark_spec("world")
    for name in study.benchmarks:
        chord.data.benchmark.run(study.benchmark_spec(name), tmp_path / f"{name}.jsonl")
    assert (tmp_path / "world.jsonl").read_bytes() == (tmp_path / "world_field.jsonl").read_bytes()
    assert (ours.decoding_name, theirs.decoding_name) == ("paper", "field")
    assert (theirs.title, theirs.columns) == ("World (field)", {"T1": "easy (field)", "all": "World (field)"})
    specs = [study.generate_spec("rl", 0, name) for name in ("world", "world_field")]
    assert [spec["k"] for spec in specs] == [4, 8]
    assert study.cells_spec("main")["decodings"] == {"world": "paper", "world_field": "field", "skills": "greedy"}


def test_resources_of_a_rule_that_is_not_named_are_the_default(root):
    study = load(root)
    assert study.resources("train").threads == 2
    assert study.resources("score").mem_mb == 1000


def specs(study) -> dict[str, str]:
    """Every specification of the study as Snakemake sees it: text."""
    found = {"prepare": study.prepare_spec(), "experts": study.experts_spec()}
    found |= {("benchmark", name): study.benchmark_spec(name) for name in study.benchmarks}
    for seed in study.seed_indices:
        for method in study.methods:
            if study.trains(method):
                found["train", method, seed] = study.train_spec(method, seed)
            for benchmark in study.benchmarks:
                found["generate", method, seed, benchmark] = study.generate_spec(method, seed, benchmark)
    found |= {("cells", name): study.cells_spec(name) for name in study.comparisons}
    found |= {("table", name): study.table_spec(name, "table1") for name in study.comparisons}
    found["report"] = study.report_spec()
    return {name: json.dumps(spec, sort_keys=True, allow_nan=False) for name, spec in found.items()}


def changed(before: dict[str, str], after: dict[str, str]) -> set:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_costs_and_the_frontier_name_every_run_behind_a_result(root):
    study = load(root)
    chains = {"original": [], "rl": ["rl"], "sft_rl": ["sft", "sft_rl"], "decay": ["decay"]}
    costs = study.table_spec("main", "costs")
    assert {name: list(chain) for name, chain in costs["chains"].items()} == chains
    frontier = study.figure_spec("main", "frontier")
    assert [method["name"] for method in frontier["methods"]] == ["rl", "sft_rl", "decay"]  # what trains
    assert list(frontier["chains"]) == ["rl", "sft_rl", "decay"]
    assert "chains" not in study.table_spec("main", "table1")


def test_changing_a_method_changes_only_its_own_training(root):
    before = specs(load(root))
    root.set("config/methods/decay.yaml", "stage", "schedule", "peak", value=0.5)
    assert changed(before, specs(load(root))) == {("train", "decay", 0), ("train", "decay", 1)}


def test_changing_sft_changes_only_the_sft_run_and_not_the_rl_after_it(root):
    # Snakemake reruns the RL stage because its input, the SFT model, is newer: not because of the specification.
    before = specs(load(root))
    root.set("config/methods/sft.yaml", "stage", "epochs", value=1)
    assert changed(before, specs(load(root))) == {("train", "sft", 0), ("train", "sft", 1)}


def test_adapters_make_other_runs_of_the_stages_that_have_them(root):
    without = specs(load(root))
    assert not any('"lora"' in spec for name, spec in without.items() if name[0] == "train")
    root.set(STUDY_FILE, "methods", "rl", value={"stage": {"lora": {"rank": 16, "alpha": 32}}})
    assert changed(without, specs(load(root))) == {("train", "rl", 0), ("train", "rl", 1)}
    root.set(STUDY_FILE, "training", "sft", "lora", value={"rank": 8, "alpha": 8})
    found = {method: load(root).train_spec(method, 0)["stage"].get("lora") for method in ("sft", "rl", "decay")}
    assert found == {"sft": {"rank": 8, "alpha": 8}, "rl": {"rank": 16, "alpha": 32}, "decay": None}


def test_words_about_a_method_change_no_run(root):
    before = specs(load(root))
    root.set("config/methods/rl.yaml", "title", value="GRPO")
    root.set("config/methods/rl.yaml", "paper", value="Table 2")
    assert changed(before, specs(load(root))) == {("cells", "main"), ("table", "main"), "report"}


def test_changing_a_benchmark_changes_only_its_own_jobs(root):
    before = specs(load(root))
    root.set("config/benchmarks/skills.yaml", "decodings", "greedy", "max_response_tokens", value=4)
    assert changed(before, specs(load(root))) == {
        ("generate", method, seed, "skills") for method in load(root).methods for seed in (0, 1)
    }
    before = specs(load(root))
    root.set("config/benchmarks/skills.yaml", "data", "rows_per_group", value=7)
    assert changed(before, specs(load(root))) == {("benchmark", "skills")}


def test_a_further_seed_leaves_the_runs_there_are_alone(root):
    before = specs(load(root))
    root.set(STUDY_FILE, "seeds", value=3)
    now = changed(before, specs(load(root)))
    assert {name for name in now if name[0] in ("train", "generate")} == {
        name for name in specs(load(root)) if name[0] in ("train", "generate") and name[2] == 2
    }
    assert {name for name in now if name[0] not in ("train", "generate")} == {
        ("cells", "main"),
        "report",
    }


def test_the_method_is_in_no_training_specification(root):
    # Two methods with equal settings are equal runs, and nothing random may come from a name.
    study = load(root)
    assert study.train_spec("rl", 1) == study.train_spec("sft_rl", 1)


def test_a_trial_changes_its_setting_and_the_seed_and_nothing_else(root):
    study = load(root)
    spec, reported = study.tune_spec("decay", 1), study.train_spec("decay", 0)
    assert spec["stage"]["schedule"].pop("peak") == 0.5
    assert reported["stage"]["schedule"].pop("peak") == 1.0
    assert spec.pop("seed_index") == 100
    assert reported.pop("seed_index") == 0
    assert spec == reported


TABLE = "method,trial,setting,value,chosen\ndecay,0,schedule.peak,0.25,no\ndecay,1,schedule.peak,0.5,yes\n"


def test_methods_train_with_what_the_committed_search_chose(root):
    before = load(root)
    root.write("config/tuning/small.csv", TABLE)
    root.set(STUDY_FILE, "tuning", "table", value="config/tuning/small.csv")
    study = load(root)
    assert study.methods["decay"].stage.schedule.peak == 0.5
    assert study.methods["decay"].stage.schedule.decay == 4
    assert study.train_spec("rl", 0) == before.train_spec("rl", 0)
    # The search itself does not depend on what it chose last time.
    assert study.tune_spec("decay", 0) == before.tune_spec("decay", 0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "config/tuning/small.csv: No such file or directory; expected the table that `chord tuning` writes"),
        (
            TABLE + "crd,0,optimizer.lr,0.1,yes\n",
            "config/tuning/small.csv: unknown method of the search 'crd'; expected one of decay, rl",
        ),
        (
            TABLE + "rl,0,optimizer.rate,0.1,yes\n",
            "config/tuning/small.csv: optimizer.rate: unknown key; expected one of betas, lr, max_grad_norm, "
            "warmup_steps, weight_decay",
        ),
        (
            "method,chosen\nrl,yes\n",
            "config/tuning/small.csv: 'setting'; expected the table that `chord tuning` writes",
        ),
    ],
)
def test_a_bad_table_of_a_search_is_told_in_one_line(root, table, message):
    if table is not None:
        root.write("config/tuning/small.csv", table)
    root.set(STUDY_FILE, "tuning", "table", value="config/tuning/small.csv")
    with pytest.raises(UserError) as error:
        load(root)
    assert str(error.value) == message


def test_a_setting_is_chosen_in_one_place_only(root):
    root.write("config/tuning/small.csv", TABLE)
    root.set(STUDY_FILE, "tuning", "table", value="config/tuning/small.csv")
    root.set(STUDY_FILE, "methods", "decay", "stage", "schedule", "peak", value=0.9)
    with pytest.raises(UserError) as error:
        load(root)
    where = f"{STUDY_FILE}: methods.decay.stage.schedule.peak"
    assert str(error.value) == f"{where}: config/tuning/small.csv chooses it too; remove one of the two"


def protocol(root, **overlay) -> dict:
    """A second comparison of all methods, under a protocol with this overlay."""
    root.set(STUDY_FILE, "protocols", value={"few": {"title": "Few rows", **overlay}})
    second = {**load(root).settings.comparisons["main"].model_dump(), "protocol": "few"}
    root.set(STUDY_FILE, "comparisons", "second", value=second)
    return load(root)


def test_a_protocol_changes_the_methods_that_it_concerns_and_all_that_start_from_them(root):
    study = protocol(root, sft={"expert_set": 16}, hybrid={"expert_set": 16})
    assert study.comparisons["main"].methods == ["original", "rl", "sft_rl", "decay"]
    # Pure RL reads no expert rows: it is the same run under both protocols.
    assert study.comparisons["second"].methods == ["original", "rl", "sft_rl@few", "decay@few"]
    assert study.comparisons["second"].references == ["rl"]
    assert [step.name for step in study.chain("sft_rl@few")] == ["sft@few", "sft_rl@few"]
    assert study.train_spec("sft@few", 0)["stage"]["expert_set"] == 16
    assert study.train_spec("sft_rl@few", 0) == study.train_spec("sft_rl", 0)
    assert study.methods["decay@few"].title == "Decay"
    assert study.cells_spec("second")["methods"][-1] == {"name": "decay@few", "title": "Decay"}


def test_a_protocol_that_changes_nothing_adds_no_runs(root):
    study = protocol(root)
    assert study.comparisons["second"].methods == study.comparisons["main"].methods
    assert not [name for name in study.methods if "@" in name]


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("comparisons", "main", "protocol"), "fw", "comparisons.main.protocol: unknown protocol of this study 'fw'"),
        (("protocols", "few", "hybrid"), {"expert_sets": 3}, "protocols.few.hybrid.expert_sets: unknown key"),
    ],
)
def test_a_bad_protocol_is_told_in_one_line(root, keys, value, message):
    protocol(root, sft={"expert_set": 16})
    root.set(STUDY_FILE, *keys, value=value)
    with pytest.raises(UserError, match=f"^{STUDY_FILE}: {message}"):
        load(root)


def test_the_number_of_seeds_can_be_given_beside_the_file(root):
    few, many = load(root), load_study("small", root.path, seeds=4)
    assert many.seed_indices == [0, 1, 2, 3]
    # More seeds are more runs and no other runs.
    assert many.train_spec("rl", 1) == few.train_spec("rl", 1)
    with pytest.raises(UserError, match="seeds: expected a value greater than 0, got 0"):
        load_study("small", root.path, seeds=0)


def test_a_study_that_means_nothing_says_so_in_its_report(root):
    assert "notice" not in load(root).report_spec()
    root.set(STUDY_FILE, "meaningful", value=False)
    assert "mean nothing" in load(root).report_spec()["notice"]


def test_a_report_of_some_comparisons_holds_only_these(root):
    root.set(STUDY_FILE, "comparisons", "second", value=load(root).settings.comparisons["main"].model_dump())
    assert [shown["name"] for shown in load(root).report_spec(["second"])["comparisons"]] == ["second"]
    assert [shown["name"] for shown in load(root).report_spec()["comparisons"]] == ["main", "second"]


def test_claims_of_main_leave_the_methods_of_other_comparisons_to_all(root):
    second = load(root).settings.comparisons["main"].model_dump() | {"methods": ["rl", "sft"]}
    root.set(STUDY_FILE, "methods", "sft", value={})
    root.set(STUDY_FILE, "comparisons", "second", value=second)
    study = load(root)
    main, everything = study.spec("claims", ["main"]), study.spec("claims", ["all"])
    assert [row["name"] for row in main["methods"]] == ["original", "rl", "sft_rl", "decay"]
    assert [row["name"] for row in main["elsewhere"]] == ["sft"]
    assert [row["name"] for row in everything["methods"]] == ["original", "rl", "sft_rl", "decay", "sft"]
    assert "elsewhere" not in everything
    assert {row["name"]: row["role"] for row in main["benchmarks"]} == {"world": "target", "skills": "unrelated"}


def test_claims_about_methods_that_a_study_lacks_are_no_problem(root):
    root.set(CLAIMS_FILE, "claims", "decay_above_rl", "tests", value=[ABOUT_ANOTHER])
    assert load(root).settings.claims == "small"


ABOUT_ANOTHER = {
    "statistic": {"kind": "position", "method": "of_another_study", "of": "end"},
    "rule": "above",
    "margin": 0.5,
    "why": "nearer to the expert",
}


def test_spec_by_name_is_the_spec_of_the_method(root):
    study = load(root)
    assert study.spec("train", ["rl", "1"]) == study.train_spec("rl", 1)
    assert study.spec("cells", ["main"]) == study.cells_spec("main")
    assert study.spec("prepare", []) == study.prepare_spec()


@pytest.mark.parametrize(
    ("job", "names", "message"),
    [
        ("trian", [], "unknown job 'trian'; expected one of"),
        ("train", ["rl"], "train: expected METHOD SEED, got rl"),
        ("train", ["rl", "x"], "seed 'x': expected a number from 0"),
        ("train", ["lr", "0"], "unknown method 'lr'"),
        ("train", ["original", "0"], "train: original has no stage: its result is the start model itself"),
        ("tune", ["sft_rl", "0"], "tune: sft_rl has no search under tuning"),
        ("tune", ["rl", "2"], "tune: rl has trials 0 to 1, got 2"),
        ("pretrain", [], "study small: base_model: missing; expected how models/base is trained"),
    ],
)
def test_spec_by_name_refuses_what_is_not_there(root, job, names, message):
    with pytest.raises(UserError, match="^" + message.replace("(", "\\(")):
        load(root).spec(job, names)


def test_loading_imports_nothing_heavy(root):
    code = (
        "import sys; from chord.study import load_study; import chord.plan, chord.run_job;"
        f"load_study('small', {str(root.path)!r});"
        "print([name for name in ('torch', 'transformers', 'trl', 'pandas', 'scipy', 'matplotlib', 'numpy')"
        " if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("rollouts", "problem"),
    [
        ({"kind": "vllm"}, "kv_cache_gib: missing; expected a number, as vLLM would take what the trainer needs"),
        (
            {"kind": "vllm", "kv_cache_gib": 8, "tensor_parallel_size": 2},
            "tensor_parallel_size: expected 1 within the ranks' processes; vllm_server can have more",
        ),
    ],
)
def test_vllm_beside_the_trainer_has_limits(root, rollouts, problem):
    root.set(STUDY_FILE, "training", "scale", value={"rollouts": rollouts})
    with pytest.raises(UserError) as caught:
        load(root)
    (line,) = str(caught.value).splitlines()
    assert line.endswith(problem)
    assert line.startswith(f"{STUDY_FILE}:")


def test_an_importance_correction_is_for_rollouts_by_vllm(root):
    correction = {"mode": "token_mask", "clip_max": 2.0, "clip_min": 0.5}
    before = specs(load(root))
    root.set(STUDY_FILE, "training", "hybrid", "importance_correction", value=correction)
    with pytest.raises(UserError) as caught:
        load(root)
    (line,) = str(caught.value).splitlines()
    assert line.endswith(
        "expected vllm or vllm_server with an importance_correction (rl, sft_rl, decay), got huggingface"
    )
    assert line.startswith(f"{STUDY_FILE}:")
    vllm = {"rollouts": {"kind": "vllm", "kv_cache_gib": 1}}
    root.set(STUDY_FILE, "training", "scale", value=vllm)
    corrected = specs(load(root))
    assert load(root).spec("train", ["rl", "0"])["stage"]["importance_correction"] == correction
    root.delete(STUDY_FILE, "training", "hybrid", "importance_correction")
    # Only methods with rollouts run again.
    hybrid = {("train", method, seed) for method in ("rl", "sft_rl", "decay") for seed in (0, 1)}
    assert changed(specs(load(root)), corrected) == hybrid
    root.delete(STUDY_FILE, "training", "scale")
    assert specs(load(root)) == before


def test_a_run_records_the_specification_that_it_was_given(root):
    """Its hash stands in tables."""
    for method in ("sft", "rl", "decay"):
        spec = load(root).spec("train", [method, "0"])
        assert TrainSpec.model_validate(spec).specification() == spec


def test_a_specification_written_by_hand_may_name_defaults_and_what_has_no_effect(root):
    spec = load(root).spec("train", ["rl", "0"])
    stage = spec["stage"] | {"lora": None, "router": {"name": "separate"}, "expert_rows_per_step": 8, "clip": 0.2}
    by_hand = TrainSpec.model_validate(spec | {"stage": stage, "scale": {"ranks": 1}})
    assert by_hand.specification() == spec


EXPERT_SETTINGS = {
    "expert_rows_per_step": 4,
    "expert_set": 8,
    "token_weight": {"name": "power", "a": 1, "b": 1},
    "expert_loss": {"name": "nll"},
    "router": {"name": "separate"},
}
ROLLOUT_SETTINGS = {
    "rollouts_per_prompt": 4,
    "decoding": {"temperature": 1.0, "max_response_tokens": 8},
    "generate_batch_rows": 8,
    "clip": 0.1,
}
ONLY_SFT = {"name": "constant", "mu": 1.0}
FLAT = {"peak": 0.5, "valley": 0.5}


@pytest.mark.parametrize(
    ("method", "stage", "key", "needed"),
    [("rl", {key: value}, key, "mu above 0") for key, value in EXPERT_SETTINGS.items()]
    + [("decay", {"schedule": ONLY_SFT, key: value}, key, "mu below 1") for key, value in ROLLOUT_SETTINGS.items()]
    + [("decay", {"schedule": FLAT | {"decay": 4}}, "schedule.decay", "a valley other than peak")],
)
def test_a_method_is_given_no_key_without_effect(root, method, stage, key, needed):
    root.set(STUDY_FILE, "methods", method, value={"stage": stage})
    with pytest.raises(UserError) as caught:
        load(root)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{STUDY_FILE}: methods.{method}.stage.{key}: expected none")
    assert needed in line


def test_a_key_without_effect_is_told_of_the_file_of_the_method_too(root):
    root.set("config/methods/rl.yaml", "stage", "expert_set", value=8)
    with pytest.raises(UserError, match=r"^config/methods/rl\.yaml: stage\.expert_set: expected none"):
        load(root)


def test_a_stage_of_sft_has_no_schedule(root):
    root.set("config/methods/sft.yaml", "stage", "schedule", value={"name": "constant", "mu": 1.0})
    with pytest.raises(UserError, match=r"^config/methods/sft\.yaml: stage\.schedule: unknown key"):
        load(root)


def test_a_search_tries_no_setting_without_effect(root):
    root.set(STUDY_FILE, "tuning", "search", "rl", value={"setting": "expert_set", "values": [4, 8]})
    with pytest.raises(UserError, match=r"tuning\.search\.rl\.expert_set: expected none"):
        load_study("small", root.path, thoroughly=True)


def test_a_format_of_experts_has_no_columns_of_another(root):
    source = {"kind": "dataset", "folder": "rows", "format": "answers", "thinking": "reasoning"}
    root.set(STUDY_FILE, "experts", "source", value=source)
    assert load(root).experts_spec()["source"] == source
    root.set(STUDY_FILE, "experts", "source", "format", value="messages")
    with pytest.raises(UserError, match=r"experts\.source\.thinking: expected none.* format: answers"):
        load(root)


def test_what_all_methods_share_need_not_have_an_effect_on_each(root):
    """And then changes no run of those: neither what experts are read by, nor how rollouts are sampled."""
    root.set(STUDY_FILE, "methods", "decay", value={"stage": {"schedule": ONLY_SFT}})
    before = specs(load(root))
    for key, value in (EXPERT_SETTINGS | {"expert_rows_per_step": 5}).items():
        root.set(STUDY_FILE, "training", "hybrid", key, value=value)
    assert changed(before, specs(load(root))) == {("train", "decay", 0), ("train", "decay", 1)}
    before = specs(load(root))
    for key, value in (ROLLOUT_SETTINGS | {"rollouts_per_prompt": 3}).items():
        root.set(STUDY_FILE, "training", "hybrid", key, value=value)
    assert changed(before, specs(load(root))) == {
        ("train", method, seed) for method in ("rl", "sft_rl") for seed in (0, 1)
    }


@pytest.mark.parametrize("key", ["rollouts_per_prompt", "decoding", "generate_batch_rows"])
def test_rollouts_need_their_settings(root, key):
    root.delete(STUDY_FILE, "training", "hybrid", key)
    with pytest.raises(UserError, match=f"{key}: missing; expected"):
        load(root)
    for method in ("rl", "sft_rl", "decay"):
        root.set(STUDY_FILE, "methods", method, value={"stage": {"schedule": ONLY_SFT}})
    assert key not in load(root).train_spec("rl", 0)["stage"]


def test_who_samples_is_in_the_specification(root):
    rollouts = {"kind": "vllm_server", "tensor_parallel_size": 2}
    root.set(STUDY_FILE, "training", "scale", value={"ranks": 4, "rollouts": rollouts})
    root.set(STUDY_FILE, "training", "hybrid", "prompts_per_step", value=4)
    spec = load(root).spec("train", ["rl", "0"])
    assert spec["scale"]["ranks"] == 4
    assert spec["scale"]["rollouts"].items() >= rollouts.items()
    assert load(root).settings.training.scale.gpus == 6
