"""The conda environments: files that conda reads, with the pins of the package."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from rattler import MatchSpec

import chord

ROOT = Path(__file__).parents[2]
FILES = ("environment.yml", "workflow/envs/gpu.yml")
# What the environment for GPUs has otherwise, and why: workflow/envs/gpu.yml.
GPU = {"numpy": "2.3.5", "vllm": "0.31.0"}


def read(file: str) -> tuple[list[str], list[str], dict[str, str]]:
    """Channels, match specifications of conda's own packages, and the pip section as name -> version."""
    environment = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
    assert set(environment) == {"name", "channels", "dependencies"}
    own = [item for item in environment["dependencies"] if isinstance(item, str)]
    (pins,) = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in pins)
    assert pins == sorted(pins)
    return environment["channels"], own, dict(pin.split("==") for pin in pins)


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_pins_are_those_of_the_package(project):
    pinned, adapters = (
        dict(pin.split("==") for pin in pins)
        for pins in (project["dependencies"], project["optional-dependencies"]["lora"])
    )
    assert read("environment.yml")[2] == pinned
    assert read("workflow/envs/gpu.yml")[2] == pinned | adapters | GPU


def test_adapters_are_tested_wherever_tests_run(project):
    extras = project["optional-dependencies"]
    assert set(extras["lora"]) < set(extras["dev"])


def test_version_is_the_same_everywhere(project):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {project["version"], citation["version"]} == {chord.__version__}
    assert f"## [{chord.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES)
def test_conda_reads_every_specification(file):
    channels, own, _ = read(file)
    assert channels == ["conda-forge", "nodefaults"]
    assert [str(MatchSpec(text, strict=True)) for text in own] == ["python 3.11.*", "pip"]
