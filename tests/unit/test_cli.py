"""The command line: one line for each problem and exit code 2, never a traceback; what it hands to the rooms."""

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from chord import cli
from chord.analysis.catalogue import TABLES
from chord.objectives import AnySchedule
from chord.study.study_file import FILES
from chord.training.train_spec import HybridStage
from tests.helpers.study_files import CLAIMS_FILE, STUDY_FILE, Root

# A further setting or schedule needs no edit here.
HYBRID_KEYS = ", ".join(sorted(HybridStage.model_fields))
SCHEDULES = ", ".join(
    sorted(get_args(part.model_fields["name"].annotation)[0] for part in get_args(get_args(AnySchedule)[0]))
)
DECAY = "config/methods/decay.yaml"
SFT = "config/methods/sft.yaml"
SKILLS = "config/benchmarks/skills.yaml"
WORLD = "config/benchmarks/world.yaml"


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path)


def check(root, capsys) -> list[str]:
    """The lines of `chord check`, which must fail."""
    assert cli.main(["check", "small", "--root", str(root.path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert all(line.startswith("chord: error: ") for line in err.splitlines())
    return [line.removeprefix("chord: error: ") for line in err.splitlines()]


@pytest.mark.parametrize(
    ("file", "keys", "value", "message"),
    [
        # a misspelt key
        (
            DECAY,
            "stage.schedule.peek",
            0.3,
            f"{DECAY}: stage.schedule.peek: unknown key; expected one of decay, name, peak, valley, warmup"
            " (did you mean 'peak'?)",
        ),
        (
            STUDY_FILE,
            "training.hybrid.stepz",
            3,
            f"{STUDY_FILE}: training.hybrid.stepz: unknown key; expected one of {HYBRID_KEYS} (did you mean 'steps'?)",
        ),
        (
            DECAY,
            "sttage",
            {},
            f"{DECAY}: sttage: unknown key; expected one of paper, stage, start_from, teacher_from, title "
            "(did you mean 'stage'?)",
        ),
        (
            STUDY_FILE,
            "experts.source",
            {"kind": "solver", "model": "x"},
            f"{STUDY_FILE}: experts.source.model: unknown key; expected one of kind",
        ),
        (STUDY_FILE, "data.seed", 3, f"{STUDY_FILE}: data.seed: unknown key here; the value comes from the study"),
        (
            STUDY_FILE,
            "resources.trian",
            {"mem_mb": 1, "minutes": 1},
            f"{STUDY_FILE}: resources.trian: unknown value 'trian'; expected one of benchmark, cells, claims, default,"
            " experts, figure, generate, prepare, pretrain, report, score, table, train (did you mean 'train'?)",
        ),
        # a wrong type or value
        (DECAY, "stage.schedule.peak", "0.3", f'{DECAY}: stage.schedule.peak: expected a number, got "0.3"'),
        (
            DECAY,
            "stage.schedule.peak",
            1.3,
            f"{DECAY}: stage.schedule.peak: expected a value less than or equal to 1, got 1.3",
        ),
        (
            STUDY_FILE,
            "methods.decay.stage.schedule.decay",
            True,
            f"{STUDY_FILE}: methods.decay.stage.schedule.decay: expected a whole number, got true",
        ),
        (
            STUDY_FILE,
            "training.hybrid.steps",
            0,
            f"{STUDY_FILE}: training.hybrid.steps: expected a value greater than 0, got 0",
        ),
        (STUDY_FILE, "seed", -1, f"{STUDY_FILE}: seed: expected a value greater than or equal to 0, got -1"),
        (STUDY_FILE, "data", [1], f"{STUDY_FILE}: data: expected keys and values, got [1]"),
        (STUDY_FILE, "methods.rl", None, f"{STUDY_FILE}: methods.rl: expected keys and values, got null"),
        (STUDY_FILE, "question", " ", f'{STUDY_FILE}: question: expected at least 1 character, got " "'),
        (SKILLS, "columns", {}, f"{SKILLS}: columns: expected at least 1 item, got {{}}"),
        (
            DECAY,
            "stage.schedule.name",
            "cosin",
            f"{DECAY}: stage.schedule.name: unknown name 'cosin'; expected one of {SCHEDULES} (did you mean 'cosine'?)",
        ),
        (DECAY, "stage.kind", "rl", f"{DECAY}: stage.kind: unknown kind 'rl'; expected one of hybrid, sft"),
        (
            DECAY,
            "stage.token_weight",
            {"a": 1},
            f"{DECAY}: stage.token_weight: missing key name, which says what kind of part this is",
        ),
        # names that do not exist
        (
            STUDY_FILE,
            "methods.dekay",
            {},
            f"{STUDY_FILE}: methods: unknown method 'dekay'; expected one of decay, original, rl, sft, sft_rl"
            " (did you mean 'decay'?)",
        ),
        (
            STUDY_FILE,
            "benchmarks.wrld",
            {},
            f"{STUDY_FILE}: benchmarks: unknown benchmark 'wrld'; expected one of skills, world"
            " (did you mean 'world'?)",
        ),
        (
            SFT,
            "start_from",
            "stf",
            f"{SFT}: start_from: unknown method 'stf'; expected one of decay, original, rl, sft, sft_rl"
            " (did you mean 'sft'?)",
        ),
        (
            STUDY_FILE,
            "comparisons.main.methods",
            ["rl", "decya"],
            f"{STUDY_FILE}: comparisons.main.methods: unknown method of this study 'decya'; expected one of decay,"
            " original, rl, sft_rl (did you mean 'decay'?)",
        ),
        (
            STUDY_FILE,
            "comparisons.main.references",
            ["sft"],
            f"{STUDY_FILE}: comparisons.main.references: unknown method of this comparison 'sft'; expected one of"
            " decay, original, rl, sft_rl (did you mean 'sft_rl'?)",
        ),
        (
            STUDY_FILE,
            "comparisons.main.tables",
            ["tabel1"],
            f"{STUDY_FILE}: comparisons.main.tables.0: unknown value 'tabel1'; expected one of "
            f"{', '.join(sorted(TABLES))} (did you mean 'table1'?)",
        ),
        (
            STUDY_FILE,
            "comparisons.main.figures",
            ["fig4"],
            f"{STUDY_FILE}: comparisons.main.figures: fig4 shows chord_mu, which is not among the methods of this"
            " comparison",
        ),
        # a benchmark without data
        (
            STUDY_FILE,
            "benchmarks.skills.data",
            {"source": {"kind": "skils"}},
            f"{STUDY_FILE}: benchmarks.skills.data.source.kind: unknown kind 'skils'; expected one of bfcl, columns,"
            " reasoning_gym, skills, world"
            " (did you mean 'skills'?)",
        ),
        # decodings: chosen by name, never changed under their name
        (
            STUDY_FILE,
            "benchmarks.world.decoding",
            "feild",
            f"{STUDY_FILE}: benchmarks.world.decoding: unknown decoding of this benchmark 'feild'; expected one of"
            " field, paper (did you mean 'field'?)",
        ),
        (
            STUDY_FILE,
            "benchmarks.world.decodings",
            {"paper": {"k": 2, "temperature": 1.0, "max_response_tokens": 20}},
            f"{STUDY_FILE}: benchmarks.world.decodings.paper: {WORLD}: decodings.paper: defined already; give yours"
            " another name",
        ),
        (
            WORLD,
            "decodings.paper.k",
            0,
            f"{WORLD}: decodings.paper.k: expected a value greater than 0, got 0",
        ),
        (
            WORLD,
            "decodings",
            [{"k": 1}],
            f'{WORLD}: decodings: expected keys and values, got [{{"k": 1}}]',
        ),
        (
            STUDY_FILE,
            "benchmarks.twin",
            {"benchmark": "wrld", "decoding": "field"},
            f"{STUDY_FILE}: benchmarks.twin.benchmark: unknown benchmark of this study 'wrld'; expected one of skills,"
            " twin, world (did you mean 'world'?)",
        ),
        (
            STUDY_FILE,
            "benchmarks",
            {
                "world": {},
                "twin": {"benchmark": "world", "decoding": "field"},
                "third": {"benchmark": "twin", "decoding": "field"},
            },
            f"{STUDY_FILE}: benchmarks.third.benchmark: twin has the questions of world; name that one",
        ),
        (
            STUDY_FILE,
            "benchmarks.twin",
            {"benchmark": "world"},
            f"{STUDY_FILE}: benchmarks.twin.benchmark: expected a key decoding too, as nothing else differs from world",
        ),
        (
            STUDY_FILE,
            "benchmarks.twin",
            {"benchmark": "world", "decoding": "field", "data": {"rows_per_group": 2}},
            f"{STUDY_FILE}: benchmarks.twin.data: expected none, as its questions are those of world",
        ),
        # values that do not go together
        (
            STUDY_FILE,
            "methods.decay.stage.schedule.decay",
            0,
            f"{STUDY_FILE}: methods.decay.stage.schedule: warmup 0 and decay 0 would ignore peak 1.0 and use valley 0.0"
            " from the first step; expected warmup + decay above 1, or {name: constant}",
        ),
        (
            SFT,
            "start_from",
            "sft_rl",
            "config/methods/sft_rl.yaml: start_from: sft_rl -> sft -> sft_rl is a circle; expected a chain that ends at"
            " base",
        ),
        (
            "config/methods/original.yaml",
            "start_from",
            "rl",
            "config/methods/original.yaml: stage: missing; expected a stage, which only a start model itself lacks",
        ),
        (
            STUDY_FILE,
            "tuning.seed_index",
            1,
            f"{STUDY_FILE}: tuning.seed_index: 1 is one of the reported seeds; expected 2 or more",
        ),
        (
            STUDY_FILE,
            "tuning.search.rl.values",
            [0.001],
            f"{STUDY_FILE}: tuning.search: expected the same number of values for each method, got rl 1, decay 2",
        ),
        (
            STUDY_FILE,
            "tuning.search.original",
            {"setting": "optimizer.lr", "values": [0.001, 0.002]},
            f"{STUDY_FILE}: tuning.search: unknown trained method of this study 'original'; expected one of"
            " decay, rl, sft_rl",
        ),
        (
            STUDY_FILE,
            "resources",
            {"train": {"mem_mb": 1, "minutes": 1}},
            f"{STUDY_FILE}: resources: missing key default; expected resources for all other jobs",
        ),
        (
            STUDY_FILE,
            "claims",
            "smal",
            f"{STUDY_FILE}: claims: unknown claims 'smal'; expected one of small (did you mean 'small'?)",
        ),
        (
            CLAIMS_FILE,
            "claims.decay_above_rl.sentense",
            "Misspelt.",
            f"{CLAIMS_FILE}: claims.decay_above_rl.sentense: unknown key; expected one of paper, sentence, tests"
            " (did you mean 'sentence'?)",
        ),
        (
            CLAIMS_FILE,
            "claims.decay_above_rl.tests",
            [{"statistic": {"kind": "ratio"}, "rule": "above", "margin": 0, "why": "an order"}],
            f"{CLAIMS_FILE}: claims.decay_above_rl.tests.0.statistic.kind: unknown kind 'ratio'; expected one of"
            " change, difference, position",
        ),
        (
            CLAIMS_FILE,
            "claims.decay_above_rl.tests",
            [
                {
                    "statistic": {"kind": "difference", "method": "decay", "reference": "rl", "role": "targt"},
                    "rule": "above",
                    "margin": 0,
                    "why": "an order",
                }
            ],
            f"{CLAIMS_FILE}: claims.decay_above_rl.tests.0.statistic.role: unknown value 'targt'; expected one of"
            " target, unrelated (did you mean 'target'?)",
        ),
        (
            SKILLS,
            "role",
            "targt",
            f"{SKILLS}: role: unknown value 'targt'; expected one of target, unrelated (did you mean 'target'?)",
        ),
    ],
)
def test_a_bad_value_is_one_line(root, capsys, file, keys, value, message):
    root.set(file, *keys.split("."), value=value)
    assert check(root, capsys) == [message]


def test_for_a_program_the_answer_is_one_json_object(root, capsys):
    call = ["small", "--root", str(root.path), "--json"]
    assert cli.main(["check", *call]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["study"], found["seeds"], found["problems"]) == ("small", 2, [])
    assert "decay" in found["methods"]
    assert cli.main(["plan", *call]) == 0
    assert json.loads(capsys.readouterr().out)["study"] == "small"
    root.set(SFT, "titel", value="x")
    root.set(STUDY_FILE, "data", "rl", value=0)
    assert cli.main(["check", *call]) == 2
    out, err = capsys.readouterr()
    problems = json.loads(out)["problems"]
    assert [line.split(":")[0] for line in problems] == [SFT, STUDY_FILE]
    assert err.splitlines() == [f"chord: error: {line}" for line in problems]


@pytest.mark.parametrize(
    ("file", "keys", "message"),
    [
        (
            SKILLS,
            "data",
            f"{SKILLS}: data: missing; expected the source of the rows and their number"
            f" (or give it in {STUDY_FILE}: benchmarks.skills.data)",
        ),
        (
            SKILLS,
            "data.source",
            f"{SKILLS}: data.source: missing; expected a part that is one of bfcl, columns, "
            "reasoning_gym, skills, world",
        ),
        (
            DECAY,
            "stage.schedule.peak",
            f"{DECAY}: stage.schedule.peak: missing; expected a number"
            f" (or give it in {STUDY_FILE}: methods.decay.stage.schedule.peak)",
        ),
        (
            STUDY_FILE,
            "data.sft",
            f"{STUDY_FILE}: data.sft: missing; expected prompts for which expert trajectories are made",
        ),
        (
            STUDY_FILE,
            "validation.decoding.max_response_tokens",
            f"{STUDY_FILE}: validation.decoding.max_response_tokens: missing; expected limit of a response, its end"
            " token included",
        ),
    ],
)
def test_a_missing_value_is_one_line(root, capsys, file, keys, message):
    root.delete(file, *keys.split("."))
    assert check(root, capsys) == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"{DECAY}: expected keys and values, got an empty file"),
        ("- 1\n", f"{DECAY}: expected keys and values, got a list"),
        ("title: a\ntitle: b\n", f"{DECAY}:2: the key 'title' appears twice"),
        ("title: a: b\n", f"{DECAY}:1: mapping values are not allowed"),  # libyaml and PyYAML end it differently
        (
            "title: !!python/object/apply:os.getcwd []\n",
            f"{DECAY}:1: could not determine a constructor for the tag"
            " 'tag:yaml.org,2002:python/object/apply:os.getcwd'",
        ),
    ],
)
def test_a_file_that_is_no_mapping_is_one_line(root, capsys, text, message):
    root.write(DECAY, text)
    (line,) = check(root, capsys)
    assert line.startswith(message)


def test_a_fault_in_the_training_defaults_is_told_once_and_where_it_stands(root, capsys):
    root.set(STUDY_FILE, "training", "hybrid", "decoding", "temperature", value=0.6)
    assert check(root, capsys) == [
        f"{STUDY_FILE}: training.hybrid.decoding: expected temperature 1 and top_p 1, so that rollouts are samples of"
        " the updated policy (strict on-policy; paper, section 4.1)"
    ]


def test_all_problems_of_all_files_are_told_one_line_each(root, capsys):
    root.set(DECAY, "stage", "schedule", "peek", value=1)
    root.set(DECAY, "stage", "clip", value="wide")
    root.set(SFT, "titel", value="x")
    root.set(SKILLS, "data", "rows_per_group", value=0)
    root.set(STUDY_FILE, "data", "rl", value=0)
    places = [line.split(": ")[:2] for line in check(root, capsys)]
    assert places == [
        [DECAY, "stage.schedule.peek"],
        [DECAY, "stage.clip"],
        [SFT, "titel"],
        [SKILLS, "data.rows_per_group"],
        [STUDY_FILE, "data.rl"],
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("1.5e+2", 150.0), (".5", 0.5), ("3", 3), ("true", True), ("null", None)]
    + [(text, text) for text in ("on", "no", "yes", "010", "2020-01-01", "1:30", "0x10", ".nan", "1_000", "True")],
)
def test_yaml_values_are_what_they_look_like(tmp_path, text, value):
    from chord.study.yaml_files import read_yaml

    (tmp_path / "a.yaml").write_text(f"key: {text}\n")
    assert read_yaml(tmp_path / "a.yaml", "a.yaml") == {"key": value}


def test_an_unknown_study_lists_those_there_are(root, capsys):
    assert cli.main(["check", "smal", "--root", str(root.path)]) == 2
    assert (
        capsys.readouterr().err == "chord: error: unknown study 'smal'; expected one of small (did you mean 'small'?)\n"
    )


def test_a_study_can_be_given_by_its_path(root, tmp_path):
    assert cli.main(["check", str(root.path / STUDY_FILE), "--root", str(root.path)]) == 0
    assert cli.main(["check", str(tmp_path / "nowhere.yaml"), "--root", str(root.path)]) == 2


def test_in_a_process_of_its_own_an_error_is_one_line_and_code_2(root):
    root.set(DECAY, "stage", "schedule", "peek", value=1)
    command = [sys.executable, "-m", "chord", "plan", "small", "--root", str(root.path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"chord: error: {DECAY}: stage.schedule.peek: unknown key; expected one of decay, name, peak, valley, warmup"
        " (did you mean 'peak'?)\n"
    )


def test_a_reader_that_stops_early_is_no_error(root):
    command = f"{sys.executable} -m chord spec small report --root {root.path} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "{\n0\n"
    assert done.stderr == ""


def test_spec_prints_what_the_workflow_passes(root, capsys):
    from chord.study import load_study

    assert cli.main(["spec", "small", "train", "rl", "1", "--root", str(root.path)]) == 0
    assert json.loads(capsys.readouterr().out) == load_study("small", root.path).train_spec("rl", 1)


@pytest.fixture
def files(tmp_path):
    """A pretraining specification, in a file and as text, and a place for results."""
    (tmp_path / "spec.json").write_text('{"seed": 1}')
    return tmp_path


def fake_room(monkeypatch, module: str) -> list:
    """Replace the module of a command; returns the calls of its `run`."""
    calls = []

    class Room:
        @staticmethod
        def run(*arguments, **named):
            calls.append((arguments, named))

    monkeypatch.setitem(sys.modules, module, Room)
    return calls


def test_a_job_gets_its_specification_inputs_and_output(monkeypatch, files):
    calls = fake_room(monkeypatch, "chord.training.run")
    needed, more = ({name: files / name for name in names} for names in (("start", "validation"), ("experts",)))
    paths = needed | more
    for path in paths.values():
        path.touch()
    options = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
    assert cli.main(["train", "--spec", '{"seed": 1}', *options, "--out", str(files / "run")]) == 0
    assert cli.main(["train", "--spec", str(files / "spec.json"), *options, "--out", str(files / "run")]) == 0
    assert calls == [(({"seed": 1}, *needed.values(), files / "run"), more)] * 2


def test_lists_of_files_and_optional_files(monkeypatch, files):
    for name in ("a", "b"):
        (files / name).touch()
    a, b = str(files / "a"), str(files / "b")
    calls = fake_room(monkeypatch, "chord.analysis.cells.estimates")
    assert cli.main(["cells", "--spec", "{}", "--scores", a, b, "--out", str(files)]) == 0
    assert calls == [(({}, [files / "a", files / "b"], files), {})]
    calls = fake_room(monkeypatch, "chord.analysis.tables.tabulate")
    table = ["table", "--spec", "{}", "--out", str(files)]
    assert cli.main([*table, "--cells", a, "--differences", b]) == 0
    assert cli.main([*table, "--runs", a, b]) == 0
    assert [named for _, named in calls] == [
        {"cells": files / "a", "differences": files / "b"},
        {"runs": [files / "a", files / "b"]},
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{", "--spec: not valid JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
        ("nowhere.json", "nowhere.json: no such file; expected JSON text or a file with it"),
        ('{"seed": "x"}', "PretrainSpec: seed: Input should be a valid integer, unable to parse string as an integer"),
        ('{"seed": 1, "stepz": 1}', "PretrainSpec: stepz: Extra inputs are not permitted"),
    ],
)
def test_a_bad_specification_is_one_line(monkeypatch, capsys, tmp_path, spec, message):
    from chord.world.pretrain_spec import PretrainSpec

    class Room:
        @staticmethod
        def run(spec, out):
            PretrainSpec.model_validate(spec)

    monkeypatch.setitem(sys.modules, "chord.world.pretrain", Room)
    assert cli.main(["pretrain", "--spec", spec, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"chord: error: {message}\n"


def test_a_missing_input_is_one_line(capsys, tmp_path):
    gone = str(tmp_path / "gone.parquet")
    assert cli.main(["cells", "--spec", "{}", "--scores", gone, "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"chord: error: {gone}: no such file or folder\n"


def test_an_input_that_is_deleted_meanwhile_is_one_line(monkeypatch, capsys, tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()

    class Room:
        @staticmethod
        def run(spec, out, runs):
            Path(spec.get("reads", runs[0] / "curves.csv")).read_text()

    monkeypatch.setitem(sys.modules, "chord.analysis.figures.plot", Room)
    call = ["figure", "--runs", str(folder), "--out", str(tmp_path / "out"), "--spec"]
    assert cli.main([*call, "{}"]) == 2
    assert capsys.readouterr().err.startswith(f"chord: error: {folder / 'curves.csv'}: missing; ")
    with pytest.raises(FileNotFoundError):  # a file that nobody gave is our fault
        cli.main([*call, json.dumps({"reads": str(tmp_path / "own")})])


@pytest.mark.parametrize("arguments", [[], ["trian"], ["train"], ["train", "--specc", "x"], ["plan"]])
def test_wrong_options_end_with_usage_and_code_2(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: chord" in capsys.readouterr().err


def test_schema_writes_one_file_for_each_kind(tmp_path):
    assert cli.main(["schema", "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {f"{kind}.schema.json" for kind in FILES}
