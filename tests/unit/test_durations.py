"""Time limits as people write them."""

import pytest

from chord import cli
from chord.study import load_study
from chord.study.yaml_values import whole_minutes
from tests.helpers.study_files import STUDY_FILE, Root


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("1h30m", 90), ("1h 30m", 90), ("90m", 90), ("1.5h", 90), ("90 min", 90), ("1 hour 30 minutes", 90),
        ("1 hour, 30 minutes", 90), ("2d", 2880), ("1d12h", 2160), ("1D12H", 2160), ("1w", 10080), ("45s", 1),
        ("61s", 2), ("1h0m1s", 61), (" 20m ", 20), ("0.3333333333h", 20), (90, 90), (1.5, 1.5), (None, None),
    ],
)  # fmt: skip
def test_a_time_in_minutes(text, minutes):
    assert whole_minutes(text) == minutes


@pytest.mark.parametrize(
    "text",
    ["", "soon", "90", "1h30", "30m1h", "1h1h", "-1h", "0m", "1 fortnight", "1:30", "1h30m!", "1e2m", "h", "1,5h"],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="expected minutes, or a time such as 90m"):
        whole_minutes(text)


@pytest.mark.parametrize("key", ["minutes", "runtime"])
def test_resources_take_it_under_either_name(tmp_path, capsys, key):
    root = Root(tmp_path)
    root.set(STUDY_FILE, "resources", "train", value={"mem_mb": 1000, key: "1h30m"})
    assert load_study("small", root.path).resources("train").minutes == 90
    root.set(STUDY_FILE, "resources", "train", value={"mem_mb": 1000, key: "a while"})
    assert cli.main(["check", "small", "--root", str(root.path)]) == 2
    assert capsys.readouterr().err == (
        f"chord: error: {STUDY_FILE}: resources.train.{key}: expected minutes, or a time such as 90m, 1.5h, 1h30m or"
        " 2d; got 'a while'\n"
    )


def test_one_limit_not_two(tmp_path, capsys):
    root = Root(tmp_path)
    root.set(STUDY_FILE, "resources", "train", "runtime", value=5)
    assert cli.main(["check", "small", "--root", str(root.path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"chord: error: {STUDY_FILE}: resources.train.minutes: expected no runtime")
