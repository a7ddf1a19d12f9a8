"""A group within another, as BFCL's categories are within live and non-live."""

from dataclasses import fields

import numpy as np

from chord.analysis.cells.scores import BenchmarkScores


def scores_of(groups: list[str]) -> BenchmarkScores:
    return BenchmarkScores(**{item.name: None for item in fields(BenchmarkScores)} | {"groups": np.array(groups)})


def test_a_group_has_the_questions_of_those_within_it():
    scores = scores_of(["live/simple", "non_live/simple", "live/multiple", "live/simple"])
    assert scores.group_names() == ["all", "live", "live/multiple", "live/simple", "non_live", "non_live/simple"]
    assert scores.members("live").tolist() == [True, False, True, True]
    assert scores.members("live/simple").tolist() == [True, False, False, True]
    assert scores.members("all").all()


def test_a_name_that_only_begins_alike_is_another_group():
    scores = scores_of(["live", "lively", "live/simple"])
    assert scores.members("live").tolist() == [True, False, True]
    assert scores_of(["one", "one"]).group_names() == ["all"]
