"""What `chord check` says of a study that could be read but not run as it is meant, and what it lets pass."""

# ruff: noqa: E501 - a case a line, however long

import copy
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from chord import cli
from chord.io.files import write_jsonl
from chord.study.hardware import find_positions
from tests.helpers.study_files import STUDY_FILE, Root

BASE = Path(__file__).parents[2] / "models/world-base"  # 256 positions
SKILLS, WORLD, DECAY = "config/benchmarks/skills.yaml", "config/benchmarks/world.yaml", "config/methods/decay.yaml"
COLUMNS = {"kind": "columns", "folder": "rows", "files": ["a*"], "task": "math"}
NAMES = {"question": "q", "answer": "a"}
BFCL = {"kind": "bfcl", "folder": "rows", "categories": ["simple", "simple"]}
EXPERT = {"kind": "model", "folder": "models/base", "samples": 4}
SERVER = {"kind": "server", "url": "http://localhost:1/v1", "model": "x", "samples": 4}
GREEDY = {"decoding": {"temperature": 0, "max_response_tokens": 20}}
LONG = {"decoding": {"temperature": 1, "max_response_tokens": 256}}
TOO_LONG = "expected fewer than the model's 256 positions, which prompt and response share, got"
COPIES = "expected 1 at temperature 0, where every sample is the same, got"


def essence(message: str) -> tuple:
    """The parts of a message that must not change: its key, the name that it suggests, and the value that it names."""
    key, _, text = message.partition(": ")
    return key, re.findall(r"did you mean '?([^'?]+)", text), text.partition("got ")[2]


@pytest.fixture
def root(tmp_path):
    """The small study with a model, a dataset and a pretrained-looking expert in folders of its own."""
    root = Root(tmp_path)
    shutil.copytree(BASE, tmp_path / "models/base")
    write_jsonl(tmp_path / "rows/a.jsonl", [{"q": "1 + 1?", "a": "2"}])
    return root


def check(root, capsys) -> list[str]:
    code = cli.main(["check", "small", "--root", str(root.path)])
    out, err = capsys.readouterr()
    assert code == (2 if err else 0)
    assert bool(out) != bool(err)
    return [line.removeprefix("chord: error: ") for line in err.splitlines()]


@pytest.mark.parametrize(
    ("file", "keys", "value", "message"),
    [
        # folders
        (STUDY_FILE, "model", "models/bsae", "model: models/bsae: no such folder (did you mean models/base?); expected a model folder"),
        (STUDY_FILE, "model", "base", "model: base: no such folder; expected a model folder"),
        (STUDY_FILE, "model", "models/base/config.json", "model: models/base/config.json: is a file; expected a model folder"),
        (STUDY_FILE, "model", "rows", "model: rows: has no config.json; expected a model folder"),
        (STUDY_FILE, "experts.source", EXPERT | LONG | {"folder": "nowhere"}, "experts.source.folder: nowhere: no such folder; expected a model folder"),
        (STUDY_FILE, "experts.source", {"kind": "dataset", "folder": "rowz"}, "experts.source.folder: rowz: no such folder (did you mean rows?); expected a folder of .jsonl or .parquet files"),
        (STUDY_FILE, "benchmarks.skills.data.source", COLUMNS | {"columns": NAMES, "folder": "rows/a.jsonl"}, "benchmarks.skills.data.source.folder: rows/a.jsonl: is a file; expected a folder of .jsonl or .parquet files"),
        # samples that are all the same
        (SKILLS, "decodings.greedy.k", 2, f"decodings.greedy.k: {COPIES} 2"),
        (STUDY_FILE, "validation.decoding.temperature", 0, f"validation.k: {COPIES} 2"),
        (STUDY_FILE, "experts.source", EXPERT | GREEDY, f"experts.source.samples: {COPIES} 4"),
        (STUDY_FILE, "experts.source", SERVER | GREEDY, f"experts.source.samples: {COPIES} 4"),
        # something twice
        (STUDY_FILE, "comparisons.main.methods", ["rl", "decay", "rl"], "comparisons.main.methods: expected each one once, got 'rl' twice"),
        (STUDY_FILE, "comparisons.main.references", ["rl", "rl"], "comparisons.main.references: expected each one once, got 'rl' twice"),
        (STUDY_FILE, "comparisons.main.tables", ["table1", "table1"], "comparisons.main.tables: expected each one once, got 'table1' twice"),
        (STUDY_FILE, "tuning.search.rl.values", [0.1, 0.1], "tuning.search.rl.values: expected each one once, got 0.1 twice"),
        (STUDY_FILE, "benchmarks.twin", {"benchmark": "world", "decoding": "paper"}, "benchmarks.twin.decoding: world already has the questions of world with paper"),
        (SKILLS, "data.source.groups", ["next", "next"], "data.source.groups: expected each one once, got 'next' twice"),
        (SKILLS, "data.source", BFCL, "data.source.categories: expected each one once, got 'simple' twice"),
        # numbers of an optimizer
        (STUDY_FILE, "training.hybrid.optimizer.betas", [0.9, 1], "training.hybrid.optimizer.betas.1: expected a value less than 1, got 1"),
        (STUDY_FILE, "training.sft.optimizer.betas", [1.0, 0.9], "training.sft.optimizer.betas.0: expected a value less than 1, got 1.0"),
        (STUDY_FILE, "training.sft.optimizer.betas", [-0.1, 0.9], "training.sft.optimizer.betas.0: expected a value greater than or equal to 0, got -0.1"),
        (STUDY_FILE, "training.hybrid.optimizer.lr", -0.001, "training.hybrid.optimizer.lr: expected a value greater than 0, got -0.001"),
        # warm-up
        (STUDY_FILE, "training.hybrid.optimizer.warmup_steps", 11, "training.hybrid.optimizer.warmup_steps: expected at most the 10 steps of the stage, got 11 (rl, sft_rl, decay)"),
        (STUDY_FILE, "training.sft.optimizer.warmup_steps", 11, "training.sft.optimizer.warmup_steps: expected at most the 10 steps of the stage, got 11 (sft)"),
        (DECAY, "stage.schedule.warmup", 11, "methods.decay.stage.schedule.warmup: expected at most the 10 steps of the stage, got 11 (decay)"),
        # rows
        (STUDY_FILE, "training.hybrid.prompts_per_step", 21, "training.hybrid.prompts_per_step: expected at most the 20 prompts of data.rl, got 21 (rl, sft_rl, decay)"),
        (STUDY_FILE, "methods.rl.stage.prompts_per_step", 99, "methods.rl.stage.prompts_per_step: expected at most the 20 prompts of data.rl, got 99 (rl)"),
        (STUDY_FILE, "training.hybrid.expert_rows_per_step", 41, "training.hybrid.expert_rows_per_step: expected at most the 40 rows of data.sft, got 41 (decay)"),
        (STUDY_FILE, "training.sft.expert_rows_per_step", 48, "training.sft.expert_rows_per_step: expected at most the 40 rows of data.sft, got 48 (sft)"),
        (STUDY_FILE, "training.sft.expert_set", 7, "training.sft.expert_rows_per_step: expected at most the 7 rows of expert_set, got 8 (sft)"),
        (STUDY_FILE, "training.sft.expert_set", 41, "training.sft.expert_set: expected at most the 40 prompts of data.sft, got 41 (sft)"),
        # positions
        (STUDY_FILE, "training.hybrid.decoding.max_response_tokens", 256, f"training.hybrid.decoding.max_response_tokens: {TOO_LONG} 256 (rl, sft_rl, decay)"),
        (STUDY_FILE, "validation.decoding.max_response_tokens", 300, f"validation.decoding.max_response_tokens: {TOO_LONG} 300"),
        (WORLD, "decodings.paper.max_response_tokens", 300, f"benchmarks.world.decodings.paper.max_response_tokens: {TOO_LONG} 300"),
        (STUDY_FILE, "experts.max_response_tokens", 300, f"experts.max_response_tokens: {TOO_LONG} 300"),
        (STUDY_FILE, "experts.source", EXPERT | LONG, f"experts.source.decoding.max_response_tokens: {TOO_LONG} 256"),
        # a search
        (STUDY_FILE, "tuning.search.rl.setting", "optimizer.lrr", "tuning.search.rl.optimizer.lrr: unknown key; expected one of betas, lr, max_grad_norm, warmup_steps, weight_decay (did you mean 'lr'?)"),
        (STUDY_FILE, "tuning.search.decay.values", [0.5, 1.5], "tuning.search.decay.schedule.peak: expected a value less than or equal to 1, got 1.5"),
        # a misspelt key below a part whose kind is called as one of its keys
        (SKILLS, "data.source", COLUMNS | {"columns": NAMES | {"questoin": "q"}}, "data.source.columns.questoin: unknown key; expected one of answer, group, id, messages, options, question, rubric (did you mean 'question'?)"),
        (SKILLS, "data.source", COLUMNS | {"columns": {"question": 3, "answer": "a"}}, "data.source.columns.question: expected text, got 3"),
        (SKILLS, "data.source", COLUMNS | {"columns": {"question": "q"}}, "data.source.columns: expected a column for answer, or for rubric"),
        (SKILLS, "data.source", COLUMNS | {"colums": {}, "columns": NAMES}, "data.source.colums: unknown key; expected one of answers, columns, dataset, files, folder, kind, revision, task (did you mean 'columns'?)"),
        (SKILLS, "data.source", {"kind": []}, "data.source.kind: unknown kind '[]'; expected one of bfcl, columns, skills, world"),
        (STUDY_FILE, "experts", {}, "experts.max_response_tokens: missing; expected longer ones are rejected; with the end token, in the policy's tokenizer (paper, maths: 8,196)"),
        (SKILLS, "data.source", COLUMNS, "data.source.columns: missing; expected keys question, options, messages, answer, rubric, id, group"),
        (STUDY_FILE, "data.source", COLUMNS | {"columns": {"question": "q", "anser": "a"}}, "data.source.columns.anser: unknown key; expected one of answer, group, id, messages, options, question, rubric (did you mean 'answer'?)"),
    ],
)  # fmt: skip
def test_what_could_not_run_is_one_line(root, capsys, file, keys, value, message):
    root.set(file, *keys.split("."), value=value)
    lines = check(root, capsys)
    assert len(lines) == 1
    _, _, said = lines[0].partition(": ")
    assert essence(said) == essence(message)


@pytest.mark.parametrize(
    ("file", "keys", "value"),
    [
        (STUDY_FILE, "model", "owner/name"),  # on the hub
        (STUDY_FILE, "experts.source", EXPERT | GREEDY | {"samples": 1}),
        (SKILLS, "data.source", COLUMNS | {"columns": NAMES}),
        (STUDY_FILE, "benchmarks.twin", {"benchmark": "world", "decoding": "field"}),
        (STUDY_FILE, "comparisons.main.references", []),
        (STUDY_FILE, "training.hybrid.optimizer.betas", [0, 0.9999]),
        (STUDY_FILE, "training.hybrid.optimizer.warmup_steps", 10),
        (STUDY_FILE, "training.hybrid.prompts_per_step", 20),
        (STUDY_FILE, "training.hybrid.expert_rows_per_step", 40),
        (STUDY_FILE, "training.sft.expert_set", 8),
        (STUDY_FILE, "training.hybrid.decoding.max_response_tokens", 255),
        (WORLD, "decodings.field.max_response_tokens", 300),  # not the one that is used
        (STUDY_FILE, "tuning.search", {"sft_rl": {"setting": "steps", "values": [5, 10]}}),
    ],
)
def test_what_can_run_has_no_problems(root, capsys, file, keys, value):
    root.set(file, *keys.split("."), value=value)
    assert check(root, capsys) == []


def test_a_model_that_the_study_trains_itself_need_not_be_there(root, capsys):
    root.set(STUDY_FILE, "model", value="models/later")
    root.set(STUDY_FILE, "base_model", value={"steps": 10})
    assert check(root, capsys) == []
    root.set(STUDY_FILE, "validation", "decoding", "max_response_tokens", value=256)  # it will have 256 positions
    assert len(check(root, capsys)) == 1


def test_a_broken_configuration_of_the_model_is_one_line(root, capsys):
    config = root.path / "models/base/config.json"
    config.write_text("{")
    (line,) = check(root, capsys)
    assert "models/base/config.json: not valid JSON" in line
    config.write_text("[]")
    (line,) = check(root, capsys)
    assert line.endswith("models/base/config.json: expected the configuration of a model, got a list")


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"max_position_embeddings": 4096}, 4096),
        ({"n_positions": 1024}, 1024),
        ({"text_config": {"max_position_embeddings": 8192}}, 8192),
        ({"max_position_embeddings": 32768, "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}, 131072),
        ({"max_position_embeddings": 131072, "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "original_max_position_embeddings": 8192}}, 131072),
        ({"max_position_embeddings": 2048, "rope_parameters": {"rope_type": "linear", "factor": 2.0}}, 4096),
        ({"max_position_embeddings": 2048, "rope_parameters": {"rope_type": "default"}}, 2048),
        ({"model_type": "mamba"}, None),
    ],
)  # fmt: skip
def test_positions_by_the_configuration(tmp_path, config, positions):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert find_positions(tmp_path, "x", [tmp_path / "none", tmp_path]) == positions


def test_methods_of_a_grid_are_told_with_the_others(tmp_path, capsys):
    """They are called method@base-mu, which is no protocol."""
    study = tmp_path / "long.yaml"
    study.write_text("base: smoke\ntraining: {hybrid: {decoding: {max_response_tokens: 256}}}\n")
    assert cli.main(["check", str(study), "--root", str(BASE.parents[1])]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"training.hybrid.decoding.max_response_tokens: {TOO_LONG} 256 (" in line
    assert "chord_phi@x0.06-mu0.1" in line


def keys_of(value: object, place: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where every key of nested mappings stands."""
    if not isinstance(value, dict):
        return []
    return [found for key, item in value.items() for found in [(*place, key), *keys_of(item, (*place, key))]]


@pytest.mark.parametrize("file", [STUDY_FILE, SKILLS, WORLD, DECAY])
def test_a_misspelt_key_anywhere_is_a_line(root, capsys, file):
    root.set(SKILLS, "data", "source", value=COLUMNS | {"columns": NAMES})
    content = yaml.safe_load((root.path / file).read_text(encoding="utf-8"))
    for place in keys_of(content):
        changed = copy.deepcopy(content)
        parent = changed
        for key in place[:-1]:
            parent = parent[key]
        parent[f"{place[-1]}x"] = parent.pop(place[-1])
        root.write(file, changed)
        lines = check(root, capsys)
        # The groups of a benchmark's columns, and names of comparisons and decodings, are anybody's.
        free = place[:-1] in (("columns",), ("comparisons",), ("decodings",)) and file != DECAY
        assert free or lines, place
        assert all(line.startswith("config/") for line in lines), lines
