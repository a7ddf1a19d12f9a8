"""Settings refuse what they do not know, everywhere by the same class, which is cheap to import."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

import chord
from chord.settings import Needs, Settings, Stated, TimeOnly


class Example(Settings):
    steps: int = 1


class Constant(Settings):
    name: Literal["constant"] = "constant"
    mu: float = 0.0


class Ramp(Settings):
    name: Literal["ramp"] = "ramp"
    start: float = 0.0
    end: float = 1.0
    steps: Annotated[int, Needs("changes", "an end other than start")]

    @property
    def changes(self) -> bool:
        return self.start != self.end


class Job(Settings):
    seed: int
    schedule: Annotated[Constant | Ramp, Field(discriminator="name")] = Constant()
    rows: Annotated[int | None, Needs("uses_experts", "mu above 0")] = None
    weights: Annotated[tuple[Example, ...], Needs("uses_experts", "mu above 0")] = (Example(),)
    top_p: Annotated[float, Stated()] = 1.0
    workers: Annotated[int, TimeOnly()] = 1
    url: Annotated[str, TimeOnly()]

    @property
    def uses_experts(self) -> bool:
        return self.schedule != Constant()


def job(**values) -> Job:
    return Job.model_validate({"seed": 3, "url": "here"} | values)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, {}),
        ({"workers": 4}, {"workers": 4}),
        ({"schedule": {"name": "constant", "mu": 0}, "top_p": 0.5}, {"top_p": 0.5}),
        ({"rows": 8, "weights": [{"steps": 2}]}, {}),
        (
            {"schedule": {"name": "constant", "mu": 0.1}, "rows": 8, "weights": [{"steps": 2}, {"steps": 1}]},
            {"schedule": {"name": "constant", "mu": 0.1}, "rows": 8, "weights": [{"steps": 2}, {}]},
        ),
        (
            {"schedule": {"name": "ramp", "start": 0.5, "end": 0.5, "steps": 9}},
            {"schedule": {"name": "ramp", "start": 0.5, "end": 0.5, "steps": 9}},  # without it, it is no ramp
        ),
    ],
)
def test_a_specification_names_what_has_an_effect_and_is_no_default(given, named):
    found = job(**given).specification()
    assert found == {"seed": 3, "url": "here", "top_p": 1.0} | named
    assert Job.model_validate(found).specification() == found


def test_what_only_changes_the_time_is_no_content():
    assert (
        job(workers=4, url="there").decisive_specification()
        == job().decisive_specification()
        == {"seed": 3, "top_p": 1.0}
    )


def test_settings_without_effect_are_named_wherever_they_stand():
    ramp = {"name": "ramp", "start": 0.5, "end": 0.5, "steps": 9}
    assert dict(job(rows=8).without_effect()).keys() == {("rows",), ("weights",)}
    assert dict(job(schedule=ramp, rows=8).without_effect()) == {("schedule", "steps"): "an end other than start"}
    assert not dict(job(schedule=ramp | {"end": 1.0}, rows=8).without_effect())


def test_unknown_keys_and_later_changes_are_refused():
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Example(step=2)
    with pytest.raises(ValidationError, match="frozen"):
        Example().steps = 2


def test_no_other_module_says_it_again():
    package = Path(chord.__file__).parent
    found = {str(path.relative_to(package)) for path in package.rglob("*.py") if 'extra="forbid"' in path.read_text()}
    assert found == {"settings.py"}


def test_the_module_needs_pydantic_only():
    code = "import sys, chord.settings; print(sorted(name for name in sys.modules if name.startswith('chord')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['chord', 'chord.settings']"
