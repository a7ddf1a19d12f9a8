"""Rows of reasoning_gym and their verdicts: its partial scores, and texts that its verifiers cannot read."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from chord.data import benchmark, prepare
from chord.data.reasoning_gym_rows import mixed_rows, side_of
from chord.data.rows_spec import GymPromptsSource, GymSource
from chord.errors import GraderError, UserError
from chord.io.files import read_jsonl
from chord.plan.work import questions
from chord.study import load_study
from chord.tasks import grading_record, reasoning_gym, verdict
from tests.helpers.study_files import STUDY_FILE, Root

ROOT = Path(__file__).parents[2]
installed = pytest.mark.skipif(
    find_spec("reasoning_gym") is None,
    reason="the optional package reasoning-gym is not installed (extra reasoning-gym)",
)
TRAPS = ("base_conversion", "chain_sum", "countdown", "prime_factorization")


def a_row(name: str, reward: str = "exact", **config) -> dict:
    (row,) = mixed_rows("rl", GymPromptsSource(datasets={name: config}, reward=reward), 1, seed=3)
    return row


def answered(row: dict, answer: str) -> tuple:
    return tuple(verdict(row, f"<think>Hm: <answer>no</answer></think>It is <answer> {answer}\n</answer>.", False))


@installed
@pytest.mark.parametrize("name", TRAPS)
@pytest.mark.parametrize("reward", ["exact", "score"])
def test_the_reference_answer_is_right(name, reward):
    row = a_row(name, reward)
    assert answered(row, row["gold"]) == (1.0, True, True, "correct")
    assert verdict(row, row["gold"], False) == (0.0, False, False, "unparsed")  # without its tags


@installed
def test_a_sentence_around_a_sum_is_partly_right_by_its_score_only():
    """reasoning_gym: the share of the reference's characters among those of the answer."""
    row = a_row("chain_sum", "score")
    text = f"The answer is {row['gold']}"
    share = len(row["gold"]) / len(text)
    assert 0 < share < 0.5
    assert answered(row, text) == (pytest.approx(share), False, True, "partial")
    assert answered(a_row("chain_sum"), text) == (0.0, False, True, "wrong")


@installed
def test_nothing_at_all_is_worth_nothing():
    """reasoning_gym gives 0.01 for it in countdown, and it gives that for every wrong answer."""
    row = a_row("countdown", "score")
    assert reasoning_gym._score(row, None) == 0.01
    for text in ("", "No idea.", "<answer></answer>", "<answer>1 + 1", "<think><answer>1 + 1</answer>"):
        assert verdict(row, text, False) == (0.0, False, False, "unparsed")
    assert verdict(row, "<answer>1 +", True) == (0.0, False, False, "truncated")
    assert answered(row, "1 + 1") == (0.05, False, True, "partial")
    assert answered(a_row("countdown"), "1 + 1") == (0.0, False, True, "wrong")


@installed
def test_blanks_cost_nothing_and_are_no_answer():
    """reasoning_gym counts them as wrong characters."""
    row = a_row("base_conversion", "score")
    blanks = " " * len(row["gold"])
    assert reasoning_gym._score(row, row["gold"] + blanks) == 0.5
    assert verdict(row, f"<answer>{row['gold']}{blanks}</answer>", False) == (1.0, True, True, "correct")
    assert verdict(row, "<answer> \n </answer>", False) == (0.0, False, False, "unparsed")


@installed
@pytest.mark.parametrize("answer", ["word", "The answer is 2 × 3", "2 x 3", "1/0", "9" * 5000])
def test_a_verifier_that_fails_on_an_answer_only_says_wrong(answer):
    row = a_row("prime_factorization", "score")
    dataset, entry = reasoning_gym._entry(row)
    with pytest.raises(ValueError, match="int"):
        dataset.score_answer(answer, entry)
    assert answered(row, answer) == (0.0, False, True, "unreadable")


@installed
def test_a_verifier_that_fails_on_its_own_reference_is_an_error(monkeypatch):
    row = a_row("prime_factorization")
    entry = reasoning_gym._entry(row)[1]
    monkeypatch.setitem(entry, "answer", "two times three")
    with pytest.raises(GraderError, match=rf"^row '{row['id']}': reasoning_gym's verifier of 'prime_factorization'"):
        answered(row, "word")
    monkeypatch.delitem(entry, "answer")
    monkeypatch.delitem(entry, "metadata")
    with pytest.raises(GraderError, match=row["id"]):
        answered(row, "word")


@installed
@pytest.mark.parametrize("answer", ["len([1])", "2**3", "2* *3", "x", "1" * 201])
def test_only_plain_arithmetic_reaches_a_verifier_that_computes_the_answer(answer):
    assert answered(a_row("countdown", "score"), answer) == (0.0, False, True, "unreadable")


@installed
def test_an_entry_of_another_version_is_an_error():
    row = a_row("chain_sum")
    row["meta"] = row["meta"] | {"question": "1 + 1 ="}
    with pytest.raises(UserError, match=rf"row '{row['id']}': reasoning-gym 0.1.25 makes another question"):
        answered(row, "2")


@installed
def test_mixtures_have_their_weights_and_their_sides():
    source = GymPromptsSource(datasets={"chain_sum": {"max_terms": 3}, "leg_counting": {}}, weights={"chain_sum": 3})
    rows = mixed_rows("sft", source, 200, seed=1)
    sums = [row for row in rows if row["group"] == "chain_sum"]
    assert 130 <= len(sums) <= 170  # 150 are expected, with a standard deviation of 6
    assert all(row["meta"]["question"].count("+") + row["meta"]["question"].count(" - ") <= 2 for row in sums)
    assert mixed_rows("sft", source, 20, seed=1) == rows[:20]
    texts = {row["meta"]["question"] for row in rows}
    assert len(texts) == 200
    assert {side_of(question) for question in texts} == {"sft"}
    assert not texts & {row["meta"]["question"] for row in mixed_rows("rl", source, 200, seed=1)}
    assert mixed_rows("sft", source, 20, seed=2) != rows[:20]


@installed
def test_a_study_trains_and_tests_on_them(tmp_path):
    source = {"kind": "reasoning_gym", "datasets": {"chain_sum": {}, "prime_factorization": {}}}
    record = prepare.run({"seed": 4, "source": source, "sft": 8, "rl": 6, "validation": 4}, tmp_path)
    assert record["rows"] == {"sft": 8, "rl": 6, "validation": 4}
    spec = {"seed": 4, "name": "gym", "source": source | {"reward": "score"}, "rows_per_group": 3}
    record = benchmark.run(spec, tmp_path / "gym.jsonl")
    assert record["groups"] == {"chain_sum": 3, "prime_factorization": 3}
    assert all(answered(row, row["gold"])[1] for row in read_jsonl(tmp_path / "gym.jsonl"))
    assert grading_record(["reasoning_gym"]) == {"reasoning_gym": {"reasoning_gym": "0.1.25"}}


@installed
def test_every_question_follows_the_same_solved_examples_of_its_data_set(tmp_path):
    spec = {"seed": 4, "name": "gym", "rows_per_group": 3}
    source = {"kind": "reasoning_gym", "datasets": {"chain_sum": {}, "leg_counting": {}}}
    plain, shown = (tmp_path / name for name in ("plain.jsonl", "shown.jsonl"))
    benchmark.run(spec | {"source": source}, plain)
    benchmark.run(spec | {"source": source | {"examples": 2}}, shown)
    turns = {}
    for row, with_examples in zip(read_jsonl(plain), read_jsonl(shown), strict=True):
        messages = with_examples.pop("messages")
        system, asked = row.pop("messages")
        assert (messages[0], messages[-1], with_examples) == (system, asked, row)
        assert [message["role"] for message in messages[1:-1]] == ["user", "assistant"] * 2
        assert {side_of(message["content"]) for message in messages[1:-1:2]} == {"sft"}
        assert turns.setdefault(row["group"], messages[1:-1]) == messages[1:-1]
        assert verdict(row | {"gold": "?"}, messages[2]["content"], False).parsed
    assert turns["chain_sum"] != turns["leg_counting"]


@installed
def test_the_shipped_questions_can_be_answered(tmp_path):
    data = yaml.safe_load((ROOT / "config/benchmarks/reasoning_gym_easy.yaml").read_text(encoding="utf-8"))["data"]
    spec = data | {"seed": 1, "name": "easy", "rows_per_group": 5}
    record = benchmark.run(spec, tmp_path / "easy.jsonl")
    assert set(record["groups"].values()) == {5}
    rows = read_jsonl(tmp_path / "easy.jsonl")
    assert all(answered(row, row["gold"])[1] for row in rows)
    assert not any(answered(row, f"{row['gold']}, or not")[1] for row in rows)


def test_the_questions_of_a_comparison_on_demand_are_in_nothing_else():
    """Without the package all other jobs of the study run."""
    study = load_study("smol-tool", ROOT)
    assert study.benchmarks_of("forgetting") == ["reasoning_gym_easy"]
    assert study.published_benchmarks == ["bfcl_held_out"]  # which `prepare` compares prompts with
    assert [row["name"] for row in study.claims_spec("all")["benchmarks"]] == ["bfcl_held_out"]
    for comparison in study.regular:
        assert set(study.cells_spec(comparison)["decodings"]) == {"bfcl_held_out"}


@installed
def test_rows_are_the_same_in_every_process():
    code = (
        "from chord.data.reasoning_gym_rows import mixed_rows; from chord.data.rows_spec import GymPromptsSource as S;"
        f"print(mixed_rows('rl', S(datasets={{name: {{}} for name in {TRAPS}}}), 12, 5))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@installed
@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({"chain_sums": {}}, "reasoning_gym has no data set 'chain_sums'; it has"),
        ({"chain_sum": {"terms": 3}}, "data set 'chain_sum' refuses its configuration {'terms': 3}"),
        ({"chain_sum": {"max_terms": 0}}, "data set 'chain_sum' refuses its configuration {'max_terms': 0}"),
        (
            {"chain_sum": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}},
            "data set 'chain_sum' has no new question after",
        ),
    ],
)
def test_what_cannot_be_made_is_one_line(datasets, message):
    with pytest.raises(UserError) as caught:
        mixed_rows("rl", GymPromptsSource(datasets=datasets), 500, seed=1)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"datasets": {}}, "at least 1"),
        ({"datasets": {"chain_sum": {"seed": 1}}}, "expected no seed, which comes from the study"),
        ({"datasets": {"n_queens": {}}}, "'n_queens' is refused: its verifier runs the answer as Python code"),
        ({"datasets": {"word_ladder": {}}}, "'word_ladder' is refused: other processes make other entries"),
        (
            {"datasets": {"chain_sum": {}}, "weights": {"leg_counting": 2}},
            "weights: leg_counting: expected one of chain_sum",
        ),
    ],
)
def test_refused_settings(source, message):
    with pytest.raises(ValueError, match=message):
        GymPromptsSource(**source)


def test_a_study_says_so_in_its_data_and_in_a_benchmark(tmp_path):
    root = Root(tmp_path)
    (tmp_path / "models/base").mkdir(parents=True)
    source = {"kind": "reasoning_gym", "datasets": {"chain_sum": {"max_terms": 3}, "leg_counting": {}}}
    root.set(STUDY_FILE, "data", "source", value=source | {"weights": {"chain_sum": 2}})
    root.set("config/benchmarks/world.yaml", "data", value={"source": source, "rows_per_group": 20})
    study = load_study("small", tmp_path)
    assert study.data.specification()["source"] == source | {"weights": {"chain_sum": 2.0}}
    assert questions(study.benchmarks["world"]) == 40
    root.set(STUDY_FILE, "data", "source", value=source | {"datasets": {"n_queens": {}}})
    with pytest.raises(UserError, match=r"n_queens: data set 'n_queens' is refused: its verifier"):
        load_study("small", tmp_path)


def test_without_the_package_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)  # as if it were not installed
    spec = {"seed": 4, "name": "gym", "source": GymSource(datasets={"chain_sum": {}}).specification()}
    with pytest.raises(UserError, match=r"^reasoning_gym cannot be imported .*; install it: pip install -e '.\[reas"):
        benchmark.run(spec | {"rows_per_group": 3}, tmp_path / "gym.jsonl")
