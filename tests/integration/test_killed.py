"""A study that is killed again and again, with everything that it started, ends with the results of an undisturbed one.

Byte for byte: every table as csv, Markdown and LaTeX, the verdicts, the weights, and all columns of cells, differences,
completions and scores. What is measured on the clock cannot be equal and is left out: the minutes in the table of costs
(its last column; a line each in the csv), and the manifests, which also lie in the metadata of parquet and hold times.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chord.io.files import PARTIAL
from chord.io.locks import exclusive
from tests.helpers.workflow import ROOT, copy_checkout, snakemake

pytestmark = pytest.mark.slow
SEED = 20
STUDY = "killed"
AFTER_CHECKPOINT = "train, after a checkpoint"
# In each of these it is killed once, in the order in which they come.
PHASES = ("prepare", "train", AFTER_CHECKPOINT, "generate", "claims")
LOST = ("train", "generate")  # with these kills Snakemake's own records are lost as well
MAKE = ("make", "replicate", f"STUDY={STUDY}", "CORES=2")
SNAKEMAKE = (".venv/bin/snakemake", "--cores", "2", "--config", f"study={STUDY}", "--", "main")  # what it starts
OVERLAY = """
base: smoke
seeds: 1
methods:
  chord_mu: {start_from: sft_best, stage: {steps: 6}} # three checkpoints
  original: null
  sft_light: null
  rl: null
  sft_light_rl: null
  sft_best_rl: null
  chord_phi: null
comparisons:
  main:
    methods: [sft_best, chord_mu]
    references: [sft_best]
    tables: [table1, table1_differences, costs]
    figures: [fig4]
  phase_phi: null
base_model: null
bases: null
tuning: null
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """With a study of `smoke`'s kind, one seed and two methods, and an environment that `make` takes for installed."""
    folder = copy_checkout(tmp_path_factory.mktemp("killed") / "checkout")
    shutil.copy2(ROOT / "Makefile", folder)
    (folder / f"config/studies/{STUDY}.yaml").write_text(OVERLAY, encoding="utf-8")
    commands = folder / ".venv/bin"
    commands.mkdir(parents=True)
    for name in ("chord", "snakemake"):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n')
        (commands / name).chmod(0o755)
    (folder / ".venv/installed").touch()
    return folder


def start(folder: Path, command: tuple[str, ...]) -> subprocess.Popen:
    """A documented command, in a process group of its own; what it says goes to `said` in the folder."""
    with open(folder / "said", "w") as said:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder / "src")},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def results(folder: Path) -> Path:
    return folder / "results" / STUDY


def running(folder: Path, snakemake: int) -> set[str]:
    """The phases in which a call of Snakemake is."""
    phases = set()
    for process in psutil.Process(snakemake).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended in the meantime
            words = process.cmdline()
            if words[1:3] == ["-m", "chord"]:
                phases.add(words[3])
    if "train" in phases and any(results(folder).glob("runs/chord_mu/*/checkpoints/checkpoint-*/complete")):
        phases.add(AFTER_CHECKPOINT)
    return phases


def without_clock(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.stem != "costs":
        return text
    if path.suffix == ".csv":
        return "".join(line for line in text.splitlines(keepends=True) if line.split(",")[2] != "processor_minutes")
    # The last column says what a method learns from.
    return re.sub(r"[|&] [\d.]+ ([|&] [^|&]+ (?:\||\\\\))$", r"\1", text, flags=re.MULTILINE)


def content(folder: Path) -> dict[str, str | bytes]:
    """Everything that an interruption must not change, by its path."""
    found = {}
    for path in sorted(results(folder).rglob("*")):
        name = path.relative_to(results(folder)).as_posix()
        # The code that jobs ran, whose name holds the place of the checkout; and what a kill left half-written, which
        # nothing reads.
        if name.startswith("source/") or path.name.startswith(PARTIAL):
            continue
        if path.suffix in (".csv", ".md", ".tex") and path.name != "curves.csv":
            found[name] = without_clock(path)
        elif path.suffix == ".parquet":
            table = pq.read_table(path).replace_schema_metadata()
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table.combine_chunks())
            found[name] = sink.getvalue().to_pybytes()
        elif path.suffix in (".safetensors", ".jsonl"):
            found[name] = path.read_bytes()
    return found


def test_a_study_killed_in_each_of_its_phases_loses_nothing(checkout, tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in (undisturbed, killed):
        shutil.copytree(checkout, folder, symlinks=True)
    snakemake(undisturbed, *SNAKEMAKE[1:])
    rng = random.Random(SEED)
    kills, hit = [], set()
    for phase in PHASES:
        process = start(killed, SNAKEMAKE)
        while process.poll() is None and phase not in running(killed, process.pid):
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 0.5))  # seconds; starting Python and its imports take up to 4
        hit |= (phases := running(killed, process.pid) if process.poll() is None else set())
        kills.append(f"waited for {phase}, killed in {' and '.join(phases) or 'Snakemake'}")
        assert process.poll() in (None, 0), "\n".join([*kills, (killed / "said").read_text()])
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if phase in LOST:
            shutil.rmtree(killed / ".snakemake")
    made = start(killed, MAKE).wait()
    assert made == 0, "\n".join([*kills, (killed / "said").read_text()])

    print("\n".join(kills))  # shown when what follows fails
    assert {"train", AFTER_CHECKPOINT} <= hit
    assert len(hit) >= 4
    expected, found = content(undisturbed), content(killed)
    assert expected.keys() == found.keys()
    assert {"main/tables/table1.tex", "main/cells.parquet", "claims/main/claims.md"} <= expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    # The last kill may leave nothing to do, and so a dead holder's lock, which whoever comes next has at once.
    began = time.monotonic()
    with exclusive(results(killed) / "lock", "testing"):
        assert time.monotonic() - began < 10
    # Nor is anyone there then to delete the links to the results that were kept for it.
    left = {folder: [path.name for path in results(folder).rglob("*")] for folder in (undisturbed, killed)}
    assert {"lock", "checkpoints"}.isdisjoint(left[undisturbed])
    assert [name for name in left[killed] if name == "lock" or name.startswith("checkpoint-")] == []
