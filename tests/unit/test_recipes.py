"""The paper's recipes: who may be in a split, seeded draws, splits apart from each other and from the benchmarks."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from chord.data import benchmark, prepare
from chord.data.contamination import words
from chord.data.rows_spec import PrepareSpec
from chord.errors import UserError
from chord.io.files import read_json, read_jsonl, write_jsonl
from chord.io.provenance import file_sha256
from tests.helpers.dataset_rows import openr1, toolace, write

THEMES = "apples boats cats doors eggs forks goats hats inks jars kites lamps mugs nuts oars pens quilts rugs".split()


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> Path:
    """A folder with a tokenizer of words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({"<unk>": 0, "<end>": 1}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder = tmp_path_factory.mktemp("policy")
    PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", eos_token="<end>").save_pretrained(folder)
    return folder


def problem(number: int) -> str:
    return f"Ann has {number} {THEMES[number % len(THEMES)]} and buys {number // len(THEMES)} more. How many?"


def good(number: int, answer: str | None = None, count: int = 2) -> dict:
    return openr1(f"u{number}", problem(number), answer or str(number), *[("the right one", True)] * count)


def spec(folder: Path, source: dict | None = None, **changes) -> dict:
    source = {"kind": "openr1", "files": ["data/train-*"], "max_generation_tokens": 6} | (source or {})
    return {"seed": 3, "source": source | {"folder": str(folder)}, "sft": 4, "rl": 8, "validation": 3} | changes


def test_who_may_be_in_the_openr1_pool(policy, tmp_path):
    rows = [
        good(0),
        good(1, "\\frac{1}{2}"),  # no integer: SFT only
        good(2, count=1),  # one generation: SFT only
        openr1("u3", problem(3), "3", ("right", True), ("wrong", False)),  # one of two is verified: SFT only
        openr1("u4", problem(4), "4", ("wrong", False)),
        openr1("u5", problem(5), "5", ("far too many words in this one", True)),  # 7 words and the end
        openr1("u6", problem(6), "6", ("five words and the end", True), ("five words and the end", True)),
        good(7) | {"problem": "多少?"},
        good(8) | {"problem": problem(0).upper()},  # the same question as u0
        good(9),
        good(10),
        good(11, " 11 "),
        good(12, " "),
    ]
    folder = write(tmp_path / "rows", {"data/train-0.jsonl": rows, "extended/train-0.jsonl": [{"other": "rows"}]})
    given = spec(folder, sft=3, rl=1, validation=1)
    manifest = prepare.run(given, tmp_path / "data", policy=policy)
    assert manifest["sources"]["openr1"] == {
        "read": 13,
        "dropped": {
            "chinese": 1,
            "no_verified_generation": 1,
            "generations_too_long": 1,
            "repeated": 1,
            "empty": 1,
        },
    }
    # u0, u6, u9, u10, u11 have integer answers and two generations; u1, u2 and u3 are left to SFT besides.
    assert manifest["drawn_from"]["validation"] == 5
    assert manifest["drawn_from"]["sft"] == 7
    for split, names in (("rl", {0, 6, 9, 10, 11}), ("validation", {0, 6, 9, 10, 11}), ("sft", {*range(12)})):
        rows = read_jsonl(tmp_path / "data" / f"{split}.jsonl")
        assert {row["id"] for row in rows} <= {f"openr1-u{name}" for name in names}
        for row in rows:
            assert row["task"] == "math"
            assert row["messages"][-1] == {"role": "user", "content": row["meta"]["question"]}
            assert row["gold"] == row["gold"].strip() != ""
    assert set(manifest["inputs"]) == {"data/train-0.jsonl", "tokenizer"}
    with pytest.raises(UserError, match=r"rl: expected 5 rows, but only \d are left of 13 \(dropped: chinese 1,"):
        prepare.run(given | {"rl": 5}, tmp_path / "data", policy=policy)


def splits(out: Path) -> dict[str, list[str]]:
    return {name: [row["id"] for row in read_jsonl(out / f"{name}.jsonl")] for name in prepare.SPLITS}


def test_draws(policy, tmp_path):
    """Validation is the same in every draw, the seed changes all, and more rows keep the first ones."""
    rows = [good(number) for number in range(200)]
    folder = write(tmp_path / "rows", {"data/train-0.jsonl": rows[:120], "data/train-1.jsonl": rows[120:]})

    def drawn(name: str, draw: int = 0, place: Path = folder, **changes) -> dict[str, list[str]]:
        prepare.run(spec(place, {"draw": draw}, **changes), tmp_path / name, policy=policy)
        return splits(tmp_path / name)

    first, second = drawn("first"), drawn("second", draw=1)
    assert first == drawn("again")
    assert first["validation"] == second["validation"]
    assert set(first["rl"]) != set(second["rl"])
    assert set(first["sft"]) != set(second["sft"])
    assert set(drawn("other", seed=4)["validation"]) != set(first["validation"])
    assert drawn("more", sft=9)["sft"][:4] == first["sft"]
    assert drawn("more", rl=20)["rl"][:8] == first["rl"]
    for found in (first, second):
        every = [row_id for names in found.values() for row_id in names]
        assert len(every) == len(set(every)) == 15
    turned = write(tmp_path / "turned", {"data/train-0.jsonl": rows[::-1]})
    assert drawn("turned", place=turned) == first


def test_nothing_of_a_benchmark_gets_into_a_split(policy, tmp_path):
    rows = [good(number) for number in range(40)]
    long = "A train leaves at noon and another at one; the second is twice as fast. When do they meet on the line?"
    rows += [
        good(100) | {"problem": long.upper()},
        good(101) | {"problem": f"{long.replace('noon', 'nine')} Answer in hours."},
        good(102) | {"problem": "When do they meet?"},
    ]
    folder = write(tmp_path / "rows", {"data/train-0.jsonl": rows})
    rest = {"gold": "", "task": "math", "group": "g"}
    tests = {
        "trains": [("t0", long), ("t1", "Never asked.")],
        "short": [("s0", problem(7)), ("s1", "When do they meet")],
        "clean": [("c0", "What is asked nowhere else?")],
    }
    for name, questions in tests.items():
        write_jsonl(
            tmp_path / f"{name}.jsonl",
            [
                {"id": row_id, "messages": [{"role": "user", "content": text}], "meta": {"question": text}} | rest
                for row_id, text in questions
            ],
        )
    files = [tmp_path / f"{name}.jsonl" for name in tests]
    manifest = prepare.run(spec(folder, sft=5, rl=25, validation=9), tmp_path / "data", files, policy)
    assert manifest["contamination"] == {
        "trains": {"exact": 1, "near": 1},
        "short": {"exact": 2, "near": 0},
        "clean": {"exact": 0, "near": 0},
        "validation": {"exact": 0, "near": 0},
    }
    assert manifest["sources"]["openr1"]["dropped"]["contaminated"] == 4
    report = read_json(tmp_path / "data/contamination.json")
    assert report["dropped"] == manifest["contamination"]
    assert [(pair["row"], pair["benchmark"], pair["question"]) for pair in report["rows"]] == [
        ("openr1-u7", "short", "s0"),
        ("openr1-u100", "trains", "t0"),
        ("openr1-u101", "trains", "t0"),
        ("openr1-u102", "short", "s1"),
    ]
    assert manifest["files"]["contamination.json"] == file_sha256(tmp_path / "data/contamination.json")
    assert {"trains.jsonl", "short.jsonl", "clean.jsonl"} <= set(manifest["inputs"])
    asked = [
        words(row["meta"]["question"]) for name in prepare.SPLITS for row in read_jsonl(tmp_path / f"data/{name}.jsonl")
    ]
    assert len(asked) == 39
    for text in [text for questions in tests.values() for _, text in questions]:
        assert words(text) not in asked


def test_near_duplicates_of_validation_are_kept_out_of_training(policy, tmp_path):
    """Every problem has a twin that differs in one word: whichever is in validation, its twin is nowhere."""
    stem = "a farmer counts the {} in the first barn and then all of them in the second barn on day {}"
    rows = []
    for number in range(30):
        text = " ".join(f"{word}{number}" for word in stem.format("hens", "one").split())
        rows += [good(2 * number) | {"problem": text}, good(2 * number + 1) | {"problem": f"{text} again"}]
    folder = write(tmp_path / "rows", {"data/train-0.jsonl": rows})
    manifest = prepare.run(spec(folder), tmp_path / "data", policy=policy)
    found = {name: {int(row_id[8:]) // 2 for row_id in ids} for name, ids in splits(tmp_path / "data").items()}
    assert not found["validation"] & (found["sft"] | found["rl"])
    dropped = manifest["contamination"]["validation"]
    assert dropped["exact"] + dropped["near"] > 0


def test_toolace(tmp_path):
    rows = [toolace(problem(number), f'[weather(city="{number}")]') for number in range(20)]
    rows += [toolace("Hello?", "Hello!"), toolace("Rain?", '[climate(city="Rome")]')]
    folder = write(tmp_path / "rows", {"data/train-0.jsonl": rows})
    source = {"kind": "toolace", "folder": str(folder), "files": ["data/*"]}
    manifest = prepare.run(spec(folder) | {"source": source}, tmp_path / "data")
    assert manifest["sources"]["toolace"] == {"read": 22, "dropped": {"no_call": 1, "call_not_offered": 1}}
    for row in read_jsonl(tmp_path / "data/rl.jsonl"):
        number = int(row["id"][-6:])
        assert json.loads(row["gold"]) == [{"name": "weather", "arguments": {"city": str(number)}}]
        assert row["meta"]["question"] == problem(number) == row["messages"][-1]["content"]
        assert "weather" in row["messages"][0]["content"]


def test_splits_that_others_made(tmp_path):
    """The column names of the authors' released tool-use data are not known; a map of the columns says them."""

    def messages(number: int, answer: bool) -> list[dict]:
        prompt = [{"role": "system", "content": "Tools."}, {"role": "user", "content": problem(number)}]
        return prompt + ([{"role": "assistant", "content": "done"}] if answer else [])

    calls = [{"name": "f", "arguments": {"x": 1}}]
    sft = [{"chat": messages(number, True)} for number in range(8)]
    rl = [{"prompt": messages(number, False), "calls": calls, "key": f"k{number}"} for number in range(5, 30)]
    folder = write(tmp_path / "rows", {"sft/train.jsonl": sft, "rl/train.jsonl": rl})
    source = {
        "kind": "splits",
        "sft": {"folder": str(folder / "sft"), "files": ["*"], "task": "tool_call", "columns": {"messages": "chat"}},
        "rl": {
            "folder": str(folder / "rl"),
            "files": ["*"],
            "task": "tool_call",
            "columns": {"messages": "prompt", "answer": "calls", "id": "key"},
        },
    }
    given = {"seed": 3, "source": source, "sft": 5, "rl": 8, "validation": 3}
    manifest = prepare.run(given, tmp_path / "data")
    assert {name: found["read"] for name, found in manifest["sources"].items()} == {"sft": 8, "rl": 25}
    assert set(manifest["inputs"]) == {"sft/train.jsonl", "rl/train.jsonl"}
    found = {name: read_jsonl(tmp_path / f"data/{name}.jsonl") for name in prepare.SPLITS}
    assert all(row["messages"][-1]["role"] == "user" and len(row["messages"]) == 2 for row in found["sft"])
    assert {row["gold"] for row in found["sft"]} == {""}
    assert json.loads(found["rl"][0]["gold"]) == calls
    asked = [row["meta"]["question"] for rows in found.values() for row in rows]
    assert len(asked) == len(set(asked)) == 16  # what stands in both files is used once
    with pytest.raises(ValidationError, match="rl: expected a column for answer"):
        PrepareSpec.model_validate(given | {"source": source | {"rl": source["sft"]}})


def test_any_questions_by_a_map_of_the_columns(tmp_path):
    rows = [{"ask": problem(number), "result": float(number)} for number in range(30)]
    folder = write(tmp_path / "rows", {"mine.jsonl": rows})
    source = {
        "kind": "columns",
        "folder": str(folder),
        "files": ["mine.jsonl"],
        "task": "math",
        "columns": {"question": "ask", "answer": "result"},
        "answers": "integer",
    }
    given = {"seed": 3, "source": source, "sft": 5, "rl": 8, "validation": 3}
    prepare.run(given, tmp_path / "data")
    for row in read_jsonl(tmp_path / "data/rl.jsonl"):
        assert row["meta"]["question"] == problem(int(row["gold"]))
    with pytest.raises(ValidationError, match="expected a column for answer"):
        PrepareSpec.model_validate(given | {"source": source | {"columns": {"question": "ask"}}})
    with pytest.raises(ValidationError, match="either a column for question or one for messages"):
        PrepareSpec.model_validate(given | {"source": source | {"columns": {"answer": "result"}}})


def test_a_training_row_whose_answer_no_grader_can_use_is_dropped_and_counted(tmp_path):
    rows = [{"ask": problem(number), "result": str(number)} for number in range(20)]
    rows[4]["result"] = "\\frac{2 k n}{n+k-1}-2 \\frac{k!n!}{(k+n-1)!"  # a row of DeepScaleR
    source = {
        "kind": "columns",
        "folder": str(write(tmp_path / "rows", {"mine.jsonl": rows})),
        "files": ["mine.jsonl"],
        "task": "math",
        "columns": {"question": "ask", "answer": "result"},
    }
    given = {"seed": 3, "source": source, "sft": 5, "rl": 11, "validation": 3}
    manifest = prepare.run(given, tmp_path / "data")
    assert manifest["sources"]["columns"] == {"read": 20, "dropped": {"unusable_answer": 1}}
    with pytest.raises(UserError, match=r"^mine\.jsonl: 1 rows by which no answer could be judged; row 'mine-000004'"):
        benchmark.run({"seed": 3, "name": "mine", "source": source}, tmp_path / "mine.jsonl")


def test_rubrics_from_a_column(tmp_path):
    """Criteria as RaR-Medicine has them, with a key that the judge does not need."""
    criterion = {"title": "Rest", "description": "names rest", "weight": 5}
    rows = [{"question": problem(number), "rubric": [criterion]} for number in range(20)]
    rows[3]["rubric"] = []  # nothing to judge by
    source = {
        "kind": "columns",
        "folder": str(write(tmp_path / "rows", {"mine.jsonl": rows})),
        "files": ["mine.jsonl"],
        "task": "rubric",
        "columns": {"question": "question", "rubric": "rubric"},
    }
    manifest = prepare.run({"seed": 3, "source": source, "sft": 5, "rl": 11, "validation": 3}, tmp_path / "data")
    assert manifest["sources"]["columns"] == {"read": 20, "dropped": {"unusable_answer": 1}}
    row = read_jsonl(tmp_path / "data/rl.jsonl")[0]
    assert row["meta"]["rubric"] == [{"description": "names rest", "weight": 5}]
    assert row["messages"] == [{"role": "user", "content": row["meta"]["question"]}]
    rows[3]["rubric"] = [{"description": "names rest", "weight": "5"}]
    write(tmp_path / "rows", {"mine.jsonl": rows})
    with pytest.raises(UserError, match=r"mine\.jsonl:4: column rubric: expected a list of \{description: text"):
        benchmark.run({"seed": 3, "name": "mine", "source": source}, tmp_path / "mine.jsonl")


def test_what_is_missing_is_told(policy, tmp_path):
    given = spec(write(tmp_path / "rows", {"data/train-0.jsonl": [good(1)]}))
    with pytest.raises(UserError, match="--policy: missing; the OpenR1 recipe counts tokens"):
        prepare.run(given, tmp_path / "data")
    with pytest.raises(UserError, match=r"tokenizer\.json: no such file"):
        prepare.run(given, tmp_path / "data", policy=tmp_path)
    given["source"] |= {"folder": None, "dataset": "open-r1/OpenR1-Math-220k"}
    with pytest.raises(UserError, match="expected where `chord fetch` put open-r1/OpenR1-Math-220k"):
        prepare.run(given, tmp_path / "data", policy=policy)
    with pytest.raises(ValidationError, match="expected a hub id, or a local folder"):
        PrepareSpec.model_validate(given | {"source": given["source"] | {"dataset": None}})


def test_recipes_on_rows_in_the_real_formats(benchmark_data, policy, tmp_path):
    """Stand-ins with the schema of OpenR1-Math-220k and ToolACE, against real test questions."""
    from chord.data import benchmark
    from tests.helpers.shipped_benchmarks import REAL, shipped

    files = []
    for name in ("aime24", "amc83", "math500", "gsm8k"):
        files.append(tmp_path / f"{name}.jsonl")
        benchmark.run(shipped(name, benchmark_data / REAL[name]), files[-1])
    source = {"min_generations_rl": 1, "files": ["train_*"], "max_generation_tokens": 8196}  # the stand-in has only one
    given = spec(benchmark_data / "openr1_math_220k_standin", source, sft=100, rl=200, validation=50)
    manifest = prepare.run(given, tmp_path / "math", files, policy)
    assert manifest["rows"] == {"sft": 100, "rl": 200, "validation": 50}
    assert manifest["sources"]["openr1"]["read"] > 1500
    # Problems of MATH that vary one of the test questions, such as another word whose letters are to be arranged.
    assert 0 < manifest["contamination"]["math500"]["near"] < 20
    assert manifest["contamination"]["aime24"] == {"exact": 0, "near": 0}
    for row in read_jsonl(tmp_path / "math/rl.jsonl"):
        int(row["gold"])
    source = {"kind": "toolace", "folder": str(benchmark_data / "toolace_standin"), "files": ["*train*"]}
    given = {"seed": 3, "source": source, "sft": 50, "rl": 100, "validation": 20}
    manifest = prepare.run(given, tmp_path / "tools", files)
    found = manifest["sources"]["toolace"]
    assert found["read"] - sum(found["dropped"].values()) > 200
    for row in read_jsonl(tmp_path / "tools/rl.jsonl"):
        assert all({"name", "arguments"} == set(call) for call in json.loads(row["gold"]))
