"""Priming: prompts of its own, an SFT before all methods, and gates on the model that it gives."""

from pathlib import Path
from statistics import fmean

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from chord.data import prepare
from chord.errors import UserError
from chord.evaluation import start_gates
from chord.evaluation.start_gates_spec import StartGates
from chord.gates import missed_gates
from chord.io.files import read_json, read_jsonl, write_jsonl
from chord.io.provenance import folder_sha256
from chord.io.seeds import derive_seed
from chord.rollouts import Decoding, encode_prompts
from chord.rollouts.huggingface import HuggingFaceEngine
from chord.study import load_study
from chord.tasks import judge_samples
from chord.world.rows import world_rows
from tests.helpers.bfcl_files import bfcl_folder, function
from tests.helpers.study_files import STUDY_FILE, Root
from tests.unit.test_function_splits import source

ANY = {"accuracy": [0.0, 1.0], "gap": [0.0, 1.0]}
SPEC = {"study_seed": 7, "decoding": {"temperature": 1.0, "max_response_tokens": 96}, "batch_rows": 6}
BASE = Path(__file__).parents[2] / "models/world-base"


@pytest.fixture
def root(tmp_path) -> Root:
    """The small study with a priming; its questions are BFCL's in a local folder."""
    root = Root(tmp_path)
    (tmp_path / "models/base").mkdir(parents=True)
    rows = [(f"Question {number}?", [function(f"f{number}", "a")]) for number in range(4)]
    bfcl_folder(tmp_path / "inputs", rows)
    root.set(STUDY_FILE, "data", "source", value=source(Path("inputs")))
    root.set(STUDY_FILE, "data", "priming", value=8)
    section = {"experts": {"source": {"kind": "official", "style": "terse"}, "max_response_tokens": 40}}
    section |= {"stage": {"epochs": 2, "keep": "last", "optimizer": {"warmup_steps": 2}}, "gates": {"samples": 4}}
    root.set(STUDY_FILE, "priming", value=section)
    root.set(STUDY_FILE, "experts", "source", value={"kind": "official"})
    return root


def test_priming_has_prompts_of_its_own_and_takes_none_of_validation(tmp_path):
    rows = [(f"Question {number}?", [function(f"f{number // 2}", f"p{number}")]) for number in range(24)]
    spec = {"seed": 1, "source": source(bfcl_folder(tmp_path / "bfcl", rows)), "sft": 6, "rl": 6, "validation": 4}
    for name, more in (("with", {"priming": 8}), ("without", {})):
        manifest = prepare.run(spec | more, tmp_path / name)
    assert sorted(manifest["rows"]) == ["rl", "sft", "validation"]
    splits = {path.stem: read_jsonl(path) for path in (tmp_path / "with").glob("*.jsonl")}
    assert {name: len(rows) for name, rows in splits.items()} == {"sft": 6, "rl": 6, "validation": 4, "priming": 8}
    functions = [{row["meta"]["functions"][0]["name"] for row in rows} for rows in splits.values()]
    assert sum(map(len, functions)) == len(set.union(*functions))
    assert (tmp_path / "with/validation.jsonl").read_bytes() == (tmp_path / "without/validation.jsonl").read_bytes()


def test_the_sft_of_priming_is_that_of_the_study_with_changes(root):
    study = load_study("small", root.path)
    spec = study.spec("prime", [])
    assert spec["seed_index"] == 0
    assert spec["stage"]["optimizer"] == {"lr": 0.001, "warmup_steps": 2}
    assert spec["stage"]["expert_rows_per_step"] == 8
    assert study.spec("priming_experts", [])["max_response_tokens"] == 40
    assert study.spec("experts", [])["max_response_tokens"] == 50
    assert study.spec("start_gates", []) == {
        "study_seed": 5,
        "gates": {"samples": 4},
        "decoding": study.spec("train", ["rl", "0"])["validation"]["decoding"],
        "batch_rows": 8,
        "backend": study.spec("generate", ["rl", "0", "world"])["backend"],
    }


def test_neither_the_seeds_nor_the_search_prime_another_model(root):
    spec = load_study("small", root.path).spec("prime", [])
    assert load_study("small", root.path, seeds=5).spec("prime", []) == spec
    root.delete(STUDY_FILE, "tuning")
    assert load_study("small", root.path).spec("prime", []) == spec


def test_a_method_may_start_before_the_priming(root):
    root.set(STUDY_FILE, "methods", "rl", "start_from", value="unprimed")
    study = load_study("small", root.path)
    assert study.start_of("rl") == "unprimed"
    assert study.start_of("decay") is None


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("data", "priming"), None, "data.priming: missing; expected the number of prompts for the section priming"),
        (("data", "priming"), 7, "priming.stage.expert_rows_per_step: expected at most the 7 rows of data.priming"),
        (("priming",), None, "data.priming: expected none without a section priming"),
        (
            ("priming", "stage", "expert_set"),
            9,
            "priming.stage.expert_set: expected at most the 8 prompts of data.priming",
        ),
        (
            ("priming", "stage", "optimizer"),
            {"warmup_steps": 3},
            "priming.stage.optimizer.warmup_steps: expected at most the 2",
        ),
        (("priming", "stage", "also_traces"), True, "priming.stage.also_traces: expected false"),
        (("priming", "gates", "gap"), [0.9, 0.1], "priming.gates.gap: expected the lower bound first"),
        (("methods", "unprimed"), {}, "methods.unprimed: expected another name"),
        (("priming", "stage", "steps"), 3, "priming.stage.steps: unknown key"),
        (("priming", "stage", "epochs"), "two", "priming.stage.epochs: "),
        (("priming", "experts", "seed"), 3, "priming.experts.seed: unknown key here; the value comes from the study"),
        (
            ("priming", "experts", "source"),
            {"kind": "dataset", "folder": "rows", "answer": "reply"},
            "priming.experts.source.answer: expected none here, as it has an effect only with format: answers",
        ),
        (("priming", "gates", "accuracy"), [0.1], "priming.gates.accuracy"),
        (
            ("data", "source"),
            {"kind": "world"},
            "data.priming: expected none, as only the prompts of a source of kind",
        ),
    ],
)
def test_a_problem_is_one_line_at_its_key(root, place, value, message):
    if value is None:
        root.delete(STUDY_FILE, *place)
    else:
        root.set(STUDY_FILE, *place, value=value)
    with pytest.raises(UserError) as caught:
        load_study("small", root.path)
    assert message in str(caught.value)


@pytest.fixture(scope="module")
def validation(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "validation.jsonl"
    write_jsonl(path, world_rows("validation", "validation", (2, 3), 6, 7))
    return path


def test_figures_are_those_of_independent_samples(validation, tmp_path):
    out = tmp_path / "gates.json"
    start_gates.run(SPEC | {"gates": ANY | {"samples": 3}}, BASE, validation, out)
    assert [path.name for path in tmp_path.iterdir()] == ["gates.json"]
    record = read_json(out)
    assert record["inputs"]["model"] == folder_sha256(BASE)

    rows = read_jsonl(validation)
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    engine = HuggingFaceEngine(AutoModelForCausalLM.from_pretrained(BASE), 0, [tokenizer.eos_token_id], 1)
    correct = []
    for row in rows:
        seeds = [derive_seed(7, "start_gates", row["id"], sample) for sample in range(3)]
        samples = engine.generate(encode_prompts(tokenizer, [row]) * 3, seeds, Decoding(**SPEC["decoding"]))
        correct.append([verdict.correct for _, verdict in judge_samples(tokenizer, [row] * 3, samples)])
    accuracy, solved = fmean(map(fmean, correct)), fmean(map(any, correct))
    assert 0 < accuracy < 1
    assert record["gates"]["accuracy"] == pytest.approx(accuracy)
    assert record["gates"]["gap"] == pytest.approx(solved - accuracy)
    assert record["gates"]["parts"]["questions"] == 6


def test_a_missed_gate_ends_the_command_and_other_bounds_need_no_new_samples(validation, tmp_path, monkeypatch):
    out = tmp_path / "gates.json"
    impossible = ANY | {"samples": 2, "accuracy": [0.99, 1.0]}
    with pytest.raises(UserError, match=r"^gate accuracy: 0\.\d+ is outside \[0.99, 1.0\]$"):
        start_gates.run(SPEC | {"gates": impossible}, BASE, validation, out)
    assert not out.exists()
    batches = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("batch-*")}
    assert batches
    with pytest.raises(UserError):
        start_gates.run(SPEC | {"gates": impossible | {"gap": [0.98, 1.0]}}, BASE, validation, out)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("batch-*")} == batches
    monkeypatch.setattr(start_gates, "machine_record", lambda: {"device": "another"})
    with pytest.raises(UserError):
        start_gates.run(SPEC | {"gates": impossible}, BASE, validation, out)
    assert not set(batches.values()) & {path.stat().st_mtime_ns for path in tmp_path.rglob("batch-*")}
    start_gates.run(SPEC | {"gates": impossible | {"enforce": False}}, BASE, validation, out)
    assert len(read_json(out)["missed_gates"]) == 1


def test_bounds_include_their_ends():
    gates = StartGates(accuracy=(0.25, 0.5), gap=(0.2, 1.0))
    assert not missed_gates({"accuracy": 0.25, "gap": 1.0}, gates)
    assert missed_gates({"accuracy": 0.51, "gap": 0.19}, gates) == [
        "gate accuracy: 0.510 is outside [0.25, 0.5]",
        "gate gap: 0.190 is outside [0.2, 1.0]",
    ]
