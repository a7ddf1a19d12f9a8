"""Whether every trial of a study's search is a stage that could run."""

from collections.abc import Callable, Mapping
from typing import Any

from chord.study.problems import Keys, Layer, Problems, validate, without_effect
from chord.study.reading import merge, nested
from chord.study.settings import StudyFile
from chord.study.study import Method


def trial_problems(
    settings: StudyFile, methods: Mapping[str, Method], layer_of: Callable[[Any, Keys], Layer]
) -> list[str]:
    """A line for each value of the search that its setting does not take, or setting that the stage does not use.

    layer_of: a value of the study with the place where it stands.
    """
    lines = []
    for name, search in settings.tuning.search.items() if settings.tuning else ():
        stage = methods[name].stage if name in methods else None
        for value in search.values if stage else ():
            tried = nested(search.setting, int(value) if value.is_integer() else value)  # of epochs 2.0 is 2
            try:
                layer = layer_of(tried, ("tuning", "search", name))
                trial = validate(type(stage), merge(stage.model_dump(mode="json"), tried), [layer])
                lines += without_effect(trial, [layer])
            except Problems as problems:
                lines += problems.lines
    return list(dict.fromkeys(lines))
