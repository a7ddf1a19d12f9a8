"""Snakemake's own way with conda, through a stand-in for `conda` (tests/conda): which environment a rule gets, that
Snakemake makes it from the file's pip section and activates it, and that jobs in it run the checkout's code."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

from chord.io.files import read_json
from tests.helpers.workflow import ROOT, copy_checkout, snakemake

SMOKE = ("--config", "study=smoke")


@pytest.fixture(scope="module")
def conda(tmp_path_factory) -> dict[str, str]:
    """Environment variables with the stand-in installed."""
    programs = tmp_path_factory.mktemp("conda") / "bin"
    programs.mkdir()
    call = shlex.join([sys.executable, str(ROOT / "tests/conda/conda.py"), str(programs.parent)])
    (programs / "conda").write_text(f'#!/bin/sh\nexec {call} "$@"\n', encoding="utf-8")
    (programs / "conda").chmod(0o755)
    shutil.copy(ROOT / "tests/conda/activate", programs)
    return {"PATH": f"{programs}:{os.environ['PATH']}"}


@pytest.fixture
def checkout(tmp_path):
    return copy_checkout(tmp_path / "checkout")


@pytest.mark.slow
def test_jobs_run_the_checkout_in_the_environment(conda, checkout, tmp_path):
    """Three jobs of `smoke`, one of which loads a model, from another working directory."""
    with open(checkout / "src/chord/io/seeds.py", "a", encoding="utf-8") as file:
        file.write("\n# Not the code of the repository.\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = "results/smoke/runs/original/seed-0/world_test.scores.parquet"
    call = ["--use-conda", "--cores", "1", *SMOKE, "--directory", str(elsewhere), "--", target]
    snakemake(checkout, "--conda-create-envs-only", *call, environment=conda)
    (python,) = elsewhere.glob(".snakemake/conda/*/bin/python")
    home = python.parents[1]
    trace = tmp_path / "trace"  # every Python of the environment notes where it is
    (note,) = home.glob("lib/python*/site-packages")
    (note / "trace.pth").write_text(
        f"import sys; open({str(trace)!r}, 'a').write(sys.prefix + chr(10))\n", encoding="utf-8"
    )

    output = snakemake(checkout, *call, environment=conda)

    assert "3 of 3 steps (100%) done" in output.stderr
    assert set(trace.read_text(encoding="utf-8").splitlines()) == {str(home)}
    hashes = [source_sha256(folder, python) for folder in (checkout, ROOT)]
    manifest = read_json(elsewhere / "results/smoke/data/benchmarks/world_test.manifest.json")
    assert manifest["code"]["source_sha256"] == hashes[0] != hashes[1]
    assert "Nothing to be done" in snakemake(checkout, *call, environment=conda).stderr


def source_sha256(folder, python) -> str:
    code = "from chord.io.provenance import source_sha256; print(source_sha256())"
    path = {"PYTHONPATH": str(folder / "src"), "PATH": os.environ["PATH"]}
    return subprocess.run([python, "-c", code], env=path, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_a_pin_that_pip_cannot_give_stops_before_any_job(conda, checkout):
    file = checkout / "environment.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("pyyaml==6.0.3", "pyyaml==6.0.3333"), encoding="utf-8")
    arguments = ("--use-conda", "--cores", "1", *SMOKE, "--", "results/smoke/data/manifest.json")
    result = snakemake(checkout, *arguments, check=False, environment=conda)
    assert result.returncode != 0
    assert "No matching distribution found for pyyaml==6.0.3333" in result.stderr
    assert not (checkout / "results/smoke/data").exists()


@pytest.mark.slow
def test_jobs_with_gpus_get_the_environment_for_them(conda, checkout):
    study = checkout / "config/studies/smoke.yaml"
    values = yaml.safe_load(study.read_text(encoding="utf-8"))
    values["resources"]["train"]["gpus"] = 1
    study.write_text(yaml.safe_dump(values), encoding="utf-8")

    def environments(target: str) -> set[str]:
        listed = snakemake(
            checkout, "--use-conda", "--list-conda-envs", *SMOKE, "--", f"results/smoke/{target}", environment=conda
        )
        lines = [line.split("\t")[0] for line in listed.stdout.splitlines() if ".snakemake/conda" in line]
        return {line.rsplit("/", 1)[-1] for line in lines}

    assert environments("runs/original/seed-0/world_test.scores.parquet") == {"environment.yml"}
    assert environments("runs/rl/seed-0/world_test.scores.parquet") == {"environment.yml", "gpu.yml"}


@pytest.mark.slow
def test_snakemake_writes_an_image_with_the_environment(conda, checkout):
    text = snakemake(checkout, "--containerize", *SMOKE, environment=conda).stdout
    kinds = {line.split()[0] for line in text.splitlines() if line and not line.startswith((" ", "#"))}
    assert kinds == {"FROM", "LABEL", "RUN", "COPY"}
    (prefix,) = re.findall(r"^COPY environment.yml (/conda-envs/\w+)/environment.yaml$", text, re.MULTILINE)
    assert f"conda env create --prefix {prefix} --file {prefix}/environment.yaml" in text
