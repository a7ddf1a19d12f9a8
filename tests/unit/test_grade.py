"""`chord grade`: every pair gets a verdict or a line that says why not."""

import json

import pytest

from chord import cli


@pytest.fixture
def grade(tmp_path, capsys):
    """(task, lines) -> (exit code, graded lines, error lines without the path)"""

    def run(task: str, lines: list) -> tuple[int, list[dict], list[str]]:
        given, out = tmp_path / "pairs.jsonl", tmp_path / "verdicts.jsonl"
        given.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        code = cli.main(["grade", "--task", task, "--input", str(given), "--output", str(out)])
        errors = [line.removeprefix(f"chord: error: {given}:") for line in capsys.readouterr().err.splitlines()]
        return code, [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()], errors

    return run


def test_math(grade):
    code, graded, errors = grade(
        "math",
        [
            {"gold": "025", "prediction": "so \\boxed{25}", "id": "é"},
            {"gold": 27.0, "prediction": 27},
            {"gold": "\\sqrt{8}", "prediction": "The answer is $2\\sqrt{2}$."},
            {"gold": "5", "prediction": "\\boxed{6}"},
            {"gold": "5", "prediction": "no \ud800 idea"},
        ],
    )
    assert (code, errors) == (0, [])
    assert [line["reason"] for line in graded] == ["correct", "correct", "correct", "wrong", "unparsed"]
    assert graded[0] == {
        "gold": "025",
        "prediction": "so \\boxed{25}",
        "id": "é",
        "correct": True,
        "extracted": "25",
        "reason": "correct",
    }
    assert graded[4]["prediction"] == "no \ud800 idea"


def test_malformed_lines_are_named_and_the_others_graded(grade):
    code, graded, errors = grade(
        "math",
        [
            {"gold": "5", "prediction": "5"},
            "no json",
            "",
            "[1]",
            {"gold": "5"},
            {"gold": None, "prediction": "5"},
            {"gold": "", "prediction": "5"},
            {"gold": "\\frac{1", "prediction": "5"},
            '{"gold": NaN, "prediction": "5"}',
            '{"gold": 1e999, "prediction": "5"}',
            {"gold": "\\int_0^1 \\binom{10^9}{10^8} dx", "prediction": "5"},
            {"gold": "6", "prediction": "5"},
        ],
    )
    assert code == 2
    assert [line["correct"] for line in graded] == [True, False]
    assert [error.partition(":")[0] for error in errors[:-1]] == ["2", "4", "5", "6", "7", "8", "9", "10", "11"]
    assert "expected a JSON object, got list" in errors[1]
    assert "missing key 'prediction'" in errors[2]
    assert "gold: expected a text or a number, got null" in errors[3]
    assert "cannot be computed in time" in errors[8]
    assert "2 pairs graded, 9 lines not" in errors[-1]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ({"gold": "E", "options": ["a", "b"], "prediction": "A"}, "gold: expected a letter from A to B or an index"),
        ({"gold": 2, "options": ["a", "b"], "prediction": "A"}, "gold: expected a letter from A to B or an index"),
        ({"gold": "A", "options": [], "prediction": "A"}, "options: expected a list of texts"),
        ({"gold": "A", "options": [1], "prediction": "A"}, "options: expected a list of texts"),
        ({"gold": "A", "options": ["a"]}, "missing key 'prediction'"),
    ],
)
def test_choice_checks_its_input(grade, pair, message):
    code, graded, errors = grade("choice", [pair])
    assert (code, graded) == (2, [])
    assert message in errors[0]


def test_choice_by_letter_or_index_alone(grade):
    options = ["one", "two", "three"]
    pairs = [(1, "B"), ("B", "(b)"), ("C", "so \\boxed{C}"), ("2", "\\boxed{2}"), (0, "B")]
    code, graded, _ = grade("choice", [{"gold": gold, "options": options, "prediction": text} for gold, text in pairs])
    assert code == 0
    assert [(line["correct"], line["extracted"]) for line in graded] == [
        (True, 1),
        (True, 1),
        (True, 2),
        (True, 2),
        (False, 1),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"function": 3}, "function: expected a function document"),
        ({"ground_truth": {}}, "ground_truth: expected a list"),
        ({"ground_truth": ["f"]}, "ground_truth: expected objects"),
        ({"prediction": 3}, "prediction: expected a list of {name, arguments}, or its JSON text"),
    ],
)
def test_bfcl_checks_its_input(grade, change, message):
    pair = {"question": "q", "function": [], "ground_truth": [], "prediction": []} | change
    code, graded, errors = grade("bfcl", [pair])
    assert (code, graded) == (2, [])
    assert message in errors[0]


def test_a_missing_file_is_one_line(tmp_path, capsys):
    arguments = ["--input", str(tmp_path / "no.jsonl"), "--output", str(tmp_path / "out.jsonl")]
    assert cli.main(["grade", "--task", "math", *arguments]) == 2
    assert "no such file" in capsys.readouterr().err
