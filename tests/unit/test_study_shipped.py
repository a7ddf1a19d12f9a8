"""What stands in config/ loads, and the JSON schemas in workflow/schemas are those of the typed classes."""

import json
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml

from chord.data.rows_spec import Place
from chord.errors import UserError
from chord.objectives.adaptive_schedules import RewardDriven
from chord.objectives.schedules import Constant, Cosine
from chord.objectives.token_weights import One, Power
from chord.plan import plan_text, work
from chord.study import Study, load_study
from chord.study.hub import repositories
from chord.study.loading import FOLDERS
from chord.study.study_file import FILES, schema_text
from chord.study.yaml_files import read_yaml

ROOT = Path(__file__).parents[2]
NAMES = {kind: sorted((ROOT / "config" / folder).glob("*.yaml")) for kind, folder in FOLDERS.items()}


def name(path: Path) -> str:
    return path.name.removesuffix(".yaml")


@pytest.mark.parametrize("path", NAMES["study"], ids=name)
def test_every_study_loads_and_every_job_has_a_specification(path):
    study = load_study(name(path), ROOT)
    for seed in study.seed_indices:
        for method in filter(study.trains, study.methods):
            json.dumps(study.train_spec(method, seed), allow_nan=False)
    for method, search in study.search.items():
        for trial in range(len(search.values)):
            json.dumps(study.tune_spec(method, trial), allow_nan=False)
    for comparison, shown in study.comparisons.items():
        for table in shown.tables:
            assert study.table_spec(comparison, table)["name"] == table
        for figure in shown.figures:
            assert study.figure_spec(comparison, figure)["name"] == figure
    assert study.report_spec()["comparisons"]


def test_an_unknown_setting_of_the_paper_is_named(tmp_path):
    (tmp_path / "mine.yaml").write_text("{base: paper-tool, paper_setting: tool}", encoding="utf-8")
    with pytest.raises(UserError, match=r"mine\.yaml: paper_setting: unknown setting of the paper 'tool'; expected"):
        load_study(tmp_path / "mine.yaml", ROOT)


def with_every_method(folder: Path) -> Study:
    """A study of all methods: those that no shipped study has are there for anybody's."""
    study = read_yaml(ROOT / "config/studies/smoke.yaml", "smoke")
    lengths = {  # the steps of a schedule belong to the length of training
        "chord_mu": {"decay": 2},
        "chord_mu_tuned": {"decay": 2},
        "chord_mu_unprimed": {"decay": 2},
        "sasr": {"warmup": 1},
        "chord_tune_both": {"warmup": 1, "decay": 2},
        "gac": {"warmup": 1, "decay": 2},
        "sft_plateau_rl": {"held_out": 4, "every": 1},
    }
    study["methods"] = {
        name(path): {"stage": {"schedule": lengths[name(path)]}} if name(path) in lengths else {}
        for path in NAMES["method"]
    }
    (folder / "every.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    return load_study(folder / "every.yaml", ROOT)


def test_every_method_loads(tmp_path):
    study = with_every_method(tmp_path)
    for method in filter(study.trains, study.settings.methods):
        stage = study.train_spec(method, 0)["stage"]
        assert type(study.methods[method].stage).model_validate(stage).specification() == stage
    plan_text(study)


def test_every_benchmark_loads(tmp_path):
    """Those of datasets are there for anybody's study."""
    study = read_yaml(ROOT / "config/studies/smoke.yaml", "smoke")
    del study["comparisons"]["phase_phi"]
    study["benchmarks"] = {name(path): {} for path in NAMES["benchmark"]}
    (tmp_path / "every.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    loaded = load_study(tmp_path / "every.yaml", ROOT)
    of_datasets = [row for row in loaded.benchmarks.values() if isinstance(row.data.source, Place)]
    assert {row.name for row in of_datasets} >= {"aime24", "aime25", "amc83", "math500", "mmlu_pro", "bfcl_v3"}
    assert all(row.questions for row in of_datasets)
    assert repositories(loaded).keys() >= {"datasets/HuggingFaceH4/MATH-500", "datasets/TIGER-Lab/MMLU-Pro"}
    plan_text(loaded)


@pytest.mark.parametrize("kind", FILES)
def test_schemas_are_current(kind):
    path = ROOT / "workflow" / "schemas" / f"{kind}.schema.json"
    assert path.read_text(encoding="utf-8") == schema_text(kind), "run: chord schema --out workflow/schemas"


@cache
def validator(kind: str) -> jsonschema.Draft202012Validator:
    schema = json.loads(schema_text(kind))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(("kind", "path"), [(kind, path) for kind, paths in NAMES.items() for path in paths])
def test_shipped_files_satisfy_their_schema(kind, path):
    validator(kind).validate(read_yaml(path, path.name))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("study", {"seedz": 1}),
        ("study", {"training": {"sft": {}, "hybrid": {"stepz": 1}}}),
        ("study", {"methods": {"rl": {"stage": {"schedule": {"peek": 1}}}}}),
        ("method", {"stage": {"kind": "rl"}}),
        ("method", {"stage": {"kind": "hybrid", "schedule": {"name": "constant", "mu": 2}}}),
        ("benchmark", {"k": 0}),
    ],
)
def test_a_schema_refuses_what_the_typed_classes_refuse(kind, change):
    whole = next(path for path in NAMES[kind] if "base" not in read_yaml(path, ""))
    value = read_yaml(whole, "") | change
    with pytest.raises(jsonschema.ValidationError):
        validator(kind).validate(value)


def test_smol_gpu_asks_what_smol_tool_asks_in_jobs_of_six_minutes():
    gpu, tool = (load_study(name, ROOT) for name in ("smol-gpu", "smol-tool"))
    for key in ("model", "data", "experts"):
        assert getattr(gpu.settings, key) == getattr(tool.settings, key)
    assert list(gpu.methods) == list(tool.methods)
    assert gpu.methods["chord_mu"].stage.schedule == tool.methods["chord_mu"].stage.schedule
    changed = {"micro_batch_tokens", "validate_every"}  # the priming makes as many updates
    assert gpu.priming.stage.model_dump(exclude=changed) == tool.priming.stage.model_dump(exclude=changed)
    for study in (gpu, tool):  # whole epochs
        assert study.data.sft % study.methods["sft_best"].stage.expert_rows_per_step == 0
    assert max(resources.minutes for resources in gpu.settings.resources.values()) == 6
    assert gpu.resources("train").gpus == gpu.resources("generate").gpus == 1


def test_smol_tool_bf16_is_smol_tool_in_bf16():
    half, full = (load_study(name, ROOT).settings.model_dump() for name in ("smol-tool-bf16", "smol-tool"))
    half["training"]["scale"].pop("precision"), full["training"]["scale"].pop("precision")
    free = {"title", "cost"}
    assert {key: half[key] for key in half.keys() - free} == {key: full[key] for key in full.keys() - free}


def test_the_papers_settings_are_in_the_default_study():
    """Numbers of the paper (sections 4.1 and 4.3, eq. 4 and 5) that do not depend on the size of the study."""
    study = load_study("tiny", ROOT)
    stages = {row.name: row.stage for row in study.methods.values()}
    assert stages["rl"].schedule == Constant(mu=0.0)
    for name in ("sft_light_rl", "sft_best_rl"):  # the settings of pure RL, at a learning rate of their own
        assert stages[name].model_copy(update={"optimizer": stages["rl"].optimizer}) == stages["rl"]
    mu = stages["chord_mu"].schedule
    assert isinstance(mu, Cosine)
    assert (mu.warmup, mu.peak, mu.valley) == (0, 0.9, 0.05)
    assert mu.decay / stages["chord_mu"].steps == pytest.approx(200 / 1500, abs=0.005)
    assert stages["chord_mu"].token_weight == One()
    assert stages["chord_phi"].schedule == stages["mix_is"].schedule == Constant(mu=0.1)
    assert stages["chord_phi"].token_weight == Power(name="power", a=1, b=1)
    assert stages["mix_is"].token_weight == Power(name="power", a=1, b=0)
    for value in (0.02, 0.1, 0.5):
        assert stages[f"mu_{value}"].schedule == Constant(mu=value)
        assert stages[f"mu_{value}"].token_weight == One()
    assert (stages["sft_light"].epochs, stages["sft_light"].keep) == (1, "last")
    assert stages["sft_best"].epochs <= 3
    assert stages["sft_best"].keep == "best"


def test_the_papers_settings_are_in_the_methods_of_its_ablations(tmp_path):
    """Tables 3 to 5 and Figure 11; LUFFY as its authors publish it."""
    stages = {row.name: row.stage for row in with_every_method(tmp_path).methods.values()}
    for name in ("phi_entropy_top", "phi_entropy_norm", "phi_is_clip", "phi_focal"):
        assert stages[name].schedule == stages["chord_phi"].schedule
    assert stages["phi_entropy_top"].token_weight.share == 0.05
    assert stages["phi_is_clip"].token_weight.limit == 0.4
    assert stages["phi_focal"].token_weight.a == 0.0
    for threshold in (0.5, 0.7):
        assert stages[f"mu_adaptive_{threshold}"].schedule == RewardDriven(name="reward_driven", threshold=threshold)
    both = stages["chord_tune_both"]
    assert (both.schedule.peak, both.token_weight) == (0.3, stages["chord_phi"].token_weight)
    assert stages["luffy"].expert_loss.gamma == 0.1
    assert stages["luffy"].router.scale == "none"
    assert stages["luffy"].rollouts_per_prompt == stages["rl"].rollouts_per_prompt


def test_the_protocols_of_the_default_study_are_what_they_say():
    study = load_study("tiny", ROOT)
    matched, paper = study.comparisons["main"].methods, study.comparisons["main_paper"].methods
    assert len(matched) == len(paper) == 8
    rows = {name: work(study, name) for name in {*matched, *paper} if study.trains(name)}
    with_rl = [name for name in matched if name.endswith("rl") or name.startswith("chord")]
    assert len({rows[name].rollouts for name in with_rl}) == 1
    assert rows["sft_best"].expert_rows == rows["chord_mu"].expert_rows == rows["chord_phi"].expert_rows
    # The paper: 64 x 1,500 / 5,000 passes over the expert set, at most 3 of SFT.
    for name in ("chord_mu@paper", "chord_phi@paper"):
        assert rows[name].expert_passes == pytest.approx(19.2, abs=0.3)
    assert rows["sft_best@paper"].expert_passes == 3
    assert study.chain("sft_best_rl@paper")[0].name == "sft_best@paper"


def test_smoke_has_all_methods_of_the_main_comparison():
    smoke, tiny = load_study("smoke", ROOT), load_study("tiny", ROOT)
    assert smoke.comparisons["main"].methods == tiny.comparisons["main"].methods
    assert not smoke.meaningful
    assert tiny.meaningful


def test_hopeless_runs_are_stopped_in_the_small_studies_only_and_no_specification_knows():
    studies = {path.stem: load_study(path.stem, ROOT) for path in (ROOT / "config/studies").glob("*.yaml")}
    stopping = {name for name, study in studies.items() if study.settings.training.stop_when_hopeless}
    assert stopping == {"tiny", "smoke"}
    for name in stopping:
        assert "hopeless" not in str(studies[name].train_spec("chord_mu", 0))
