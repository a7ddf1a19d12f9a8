"""A study that is killed again and again, with everything that it started, ends with the results of an undisturbed one.

Byte for byte: every table as csv, Markdown and LaTeX, the verdicts, the weights, and all columns of cells, differences,
completions and scores. What is measured on the clock cannot be equal and is left out: the minutes in the table of costs
(its last column; a line each in the csv), and the manifests, which also lie in the metadata of parquet and hold times.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from chord.io.files import PARTIAL
from chord.io.locks import exclusive
from tests.helpers.workflow import ROOT, copy_checkout

pytestmark = pytest.mark.slow
SEED = 20
KILLS = 20
LOST = (7, 14)  # the kills with which Snakemake's own records are lost as well
STUDY = "killed"
MAKE = ("make", "replicate", f"STUDY={STUDY}", "CORES=2")
SNAKEMAKE = (".venv/bin/snakemake", "--cores", "2", "--config", f"study={STUDY}", "--", "main")  # what it starts


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """With a study of `smoke`'s kind, one seed and four methods, and an environment that `make` takes for installed."""
    folder = copy_checkout(tmp_path_factory.mktemp("killed") / "checkout")
    shutil.copy2(ROOT / "Makefile", folder)
    study = yaml.safe_load((folder / "config/studies/smoke.yaml").read_text(encoding="utf-8"))
    methods = ["original", "sft_best", "sft_best_rl", "chord_mu"]
    main = study["comparisons"]["main"]
    main |= {"methods": methods, "references": ["sft_best_rl"], "figures": ["fig4"]}
    main["tables"] = ["table1", "table1_differences", "costs"]
    study |= {"seeds": 1, "methods": {name: study["methods"][name] for name in methods}}
    del study["comparisons"]["phase_phi"]
    for key in ("tuning", "bases", "base_model"):
        del study[key]
    (folder / f"config/studies/{STUDY}.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
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


def finish(folder: Path, moments: list[str]) -> None:
    process = start(folder, MAKE)
    assert process.wait() == 0, "\n".join([*moments, (folder / "said").read_text()])


def results(folder: Path) -> Path:
    return folder / "results" / STUDY


def finished_jobs(folder: Path) -> int:
    return len(list((results(folder) / "timings").rglob("*.tsv")))


def running(group: int) -> list[str]:
    """The commands of chord that run in a process group."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if os.getpgid(process.pid) == group and words[1:3] == ["-m", "chord"]:
                found.append(words[3])
        except (psutil.Error, ProcessLookupError):  # it ended in the meantime
            continue
    return found


def without_clock(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.stem != "costs":
        return text
    if path.suffix == ".csv":
        return "".join(line for line in text.splitlines(keepends=True) if line.split(",")[2] != "minutes")
    return re.sub(r"[|&] [\d.]+ (\||\\\\)$", "", text, flags=re.MULTILINE)


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


def test_a_study_killed_at_twenty_random_moments_loses_nothing(checkout, tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in (undisturbed, killed):
        shutil.copytree(checkout, folder, symlinks=True)
    began = time.monotonic()
    finish(undisturbed, [])
    total = finished_jobs(undisturbed)
    a_job = 2 * (time.monotonic() - began) / total  # seconds, on two cores

    rng = random.Random(SEED)
    moments, hit = [f"{total} jobs of about {a_job:.1f} s"], Counter()
    for number, behind in enumerate(sorted(rng.randrange(total) for _ in range(KILLS))):
        delay = rng.uniform(0, a_job)
        process = start(killed, SNAKEMAKE)
        while process.poll() is None and finished_jobs(killed) < behind:
            time.sleep(0.01)
        time.sleep(delay)
        commands = running(process.pid)
        moments.append(
            f"kill {number}: behind {behind} jobs + {delay:.2f} s, in {' and '.join(commands) or 'Snakemake'}"
        )
        assert process.poll() in (None, 0), "\n".join([*moments, (killed / "said").read_text()])
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            hit.update(set(commands))
        if number in LOST:
            shutil.rmtree(killed / ".snakemake")
    finish(killed, moments)

    print("\n".join(moments))  # shown when what follows fails
    assert hit["train"] >= 2
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
