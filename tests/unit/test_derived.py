"""Files that are derived from others are current, and what cannot be derived agrees with its source."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from chord.derived import FILES, containers
from chord.jobs import JOBS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_what_is_derived(name):
    assert (ROOT / name).read_text(encoding="utf-8") == FILES[name](ROOT), "run: chord derived"


def test_the_page_of_commands_has_every_argument():
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### `chord (\w+)`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    assert {*JOBS} < {*sections}
    for name, job in JOBS.items():
        options = {*job.inputs, *job.optional, *job.also, *job.flags, "out", *(["spec"] if job.has_spec else [])}
        assert {option.replace("-", "_") for option in re.findall(r"`--([\w-]+)", sections[name])} == options


@pytest.mark.parametrize("name", ["Dockerfile", "apptainer.def"])
def test_an_image_has_the_pins_and_what_the_workflow_reads(name, project):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.findall(r"^ +([\w-]+==[\w.]+)", text, re.MULTILINE) == project["dependencies"]
    assert re.search(r"^f?from:? python:3\.11-slim$", text, re.MULTILINE | re.IGNORECASE)
    for part in (*containers.FILES, *containers.FOLDERS):
        assert (ROOT / part).exists()
        assert re.search(rf"^(COPY| ).*\b{re.escape(part)} .*/chord/", text, re.MULTILINE)


def test_citation_and_package_say_the_same(project):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert citation["title"].startswith(f"{project['name']}:")
    paper = citation["references"][0]
    readme = re.sub(r"\n {4}", " ", (ROOT / "README.md").read_text(encoding="utf-8"))
    entries = dict(re.findall(r"^@(\w+)\{(?:.*?)\n(.*?)^\}", readme, re.MULTILINE | re.DOTALL))
    assert f"version = {{{project['version']}}}" in entries["software"]
    (family_names,) = re.findall(r"author = \{(.*)\}", entries["inproceedings"])
    assert family_names == " and ".join(f"{one['family-names']}, {one['given-names']}" for one in paper["authors"])
    (title,) = re.findall(r"title = \{\{(.*)\}\}", entries["inproceedings"])
    assert title == paper["title"]
    assert str(paper["year"]) in entries["inproceedings"]


def test_codemeta_is_of_version_3(project):
    described = json.loads((ROOT / "codemeta.json").read_text(encoding="utf-8"))
    assert described["@context"] == "https://w3id.org/codemeta/3.0"
    assert described["version"] == project["version"]
    assert described["referencePublication"]["identifier"] == "arXiv:2508.11408"
