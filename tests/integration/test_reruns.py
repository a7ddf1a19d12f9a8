"""What runs again after an edit, from the jobs that Snakemake plans. No job runs: every output is there, empty."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from chord.io.files import read_json, write_jsonl
from tests.helpers.bfcl_files import bfcl_folder, function
from tests.helpers.workflow import copy_checkout, planned, pretend_finished

pytestmark = pytest.mark.slow
STUDY = "config/studies/tiny.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A checkout whose default study is finished, with one seed and fewer comparisons: to record a job takes 0.1 s."""
    folder = copy_checkout(tmp_path_factory.mktemp("checkout"))
    study = yaml.safe_load((folder / STUDY).read_text(encoding="utf-8")) | {"seeds": 1}
    for name in ("ablation_is", "tuned_mu"):
        del study["comparisons"][name]
    (folder / STUDY).write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    pretend_finished(folder)
    return folder


@contextmanager
def edited(path: Path, old: str, new: str) -> Iterator[None]:
    """The file with `old` replaced, as an editor would leave it; afterwards as it was, time of change included."""
    kept = path.with_name(f"{path.name}.kept")
    shutil.copy2(path, kept)
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new), encoding="utf-8")
    try:
        yield
    finally:
        kept.rename(path)


def runs(outputs: set[str]) -> set[str]:
    """`method/seed-n` of the runs that are trained or evaluated."""
    return {"/".join(output.split("/")[1:3]) for output in outputs if output.startswith("runs/")}


def methods(outputs: set[str]) -> set[str]:
    return {run.split("/")[0] for run in runs(outputs)}


def test_a_method_file_reruns_its_method_only(finished):
    with edited(finished / "config/methods/chord_phi.yaml", "mu: 0.1", "mu: 0.2"):
        again = planned(finished)
    assert methods(again) == {"chord_phi", "chord_phi@paper"}  # under both protocols
    assert {"runs/chord_phi/seed-0/model", "runs/chord_phi/seed-0/world_test.scores.parquet"} <= again
    assert {"main/cells.parquet", "main/tables/table1.csv", "main/figures/fig9.png", "report.html"} <= again
    assert not {output for output in again if output.startswith(("data/", "ablation_mu/"))}
    assert "main/figures/fig4.png" not in again  # it shows CHORD-mu


def test_a_method_reruns_what_starts_from_it(finished):
    with edited(finished / "config/methods/sft_best.yaml", "keep: best", "keep: last"):
        again = planned(finished)
    assert methods(again) == {"sft_best", "sft_best_rl", "sft_best@paper", "sft_best_rl@paper"}


def test_a_title_retrains_nothing(finished):
    with edited(finished / "config/methods/chord_phi.yaml", "title: CHORD-ϕ", "title: CHORD-phi"):
        again = planned(finished)
    assert not runs(again)
    assert "main/tables/table1.csv" in again


def test_a_margin_judges_again_and_retrains_nothing(finished):
    with edited(finished / "config/claims/chord.yaml", "margin: 0.75", "margin: 0.8"):
        again = planned(finished)
    assert {"claims/main/claims.json", "claims/all/claims.json", "report.html", "report-all.html"} <= again
    assert not {output for output in again if output.startswith(("runs/", "data/", "main/"))}


def test_code_of_figures_tables_and_report_retrains_nothing(finished):
    path = finished / "src/chord/analysis/figures/plot.py"  # one of the folder, whose hash they share
    with edited(path, text := path.read_text(encoding="utf-8"), text + "\n# another line\n"):
        again = planned(finished)
    assert {"main/figures/fig4.png", "main/tables/table1.csv", "report.html"} <= again
    assert not runs(again)
    assert not {output for output in again if output.startswith("data/")}


def test_code_of_training_reruns_nothing_by_itself(finished):
    """A run's manifest names the code that made it; to train again is a decision (docs/workflow.md)."""
    path = finished / "src/chord/training/hybrid_trainer.py"
    with edited(path, text := path.read_text(encoding="utf-8"), text + "\n# another line\n"):
        assert not planned(finished)


def test_a_further_seed_trains_that_seed_only(finished):
    with edited(finished / STUDY, "\nseeds: 1\n", "\nseeds: 2\n"):
        again = planned(finished)
    assert {run.split("/")[1] for run in runs(again)} == {"seed-1"}
    assert {"chord_mu", "rl", "sft_best", "mu_0.1"} <= methods(again)
    assert {"main/cells.parquet", "main/figures/fig4.png", "report.html"} <= again


def test_a_benchmark_trains_nothing(finished):
    with edited(finished / "config/benchmarks/skills.yaml", "k: 2", "k: 3"):
        again = planned(finished)
    assert not {output for output in again if output.endswith(("/model", "world_test.completions.parquet"))}
    assert "runs/original/seed-0/skills.completions.parquet" in again


# A study whose model and rows are local folders: what is in their files counts, and none of their times.

LOCAL = {
    "base": "smoke",
    "data": {
        "source": {
            "kind": "splits",
            "sft": {"folder": "data/prompts", "files": ["sft*"], "task": "math", "columns": {"question": "question"}},
            "rl": {
                "folder": "data/prompts",
                "files": ["rl*"],
                "task": "math",
                "columns": {"question": "question", "answer": "answer"},
            },
        }
    },
    "experts": {"source": {"kind": "dataset", "folder": "data/solutions", "format": "answers"}},
    "benchmarks": {
        "world_test": None,
        "gsm8k": {
            "data": {"source": {"folder": "data/questions", "files": ["sums*"], "answers": "text"}},
            "decodings": {"short": {"k": 1, "temperature": 1.0, "max_response_tokens": 8}},
            "decoding": "short",
        },
        "math500": {
            "data": {
                "source": {
                    "folder": "data/questions",
                    "files": ["algebra*"],
                    "columns": {"question": "question", "id": None, "group": None},
                }
            },
            "decodings": {"short": {"k": 1, "temperature": 1.0, "max_response_tokens": 8}},
            "decoding": "short",
        },
    },
    "methods": dict.fromkeys(("sft_best", "sft_light_rl", "sft_best_rl", "chord_mu", "rl")),
    "comparisons": {
        "main": {"methods": ["original", "sft_light", "chord_phi"], "references": ["original"], "figures": []},
        "phase_phi": None,
    },
    **dict.fromkeys(("base_model", "bases", "claims", "tuning")),
}
MODEL = "models/world-base"


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    folder = copy_checkout(tmp_path_factory.mktemp("local"))
    models = (folder / "models").resolve()
    (folder / "models").unlink()
    shutil.copytree(models, folder / "models")
    (folder / "config/config.yaml").write_text("study: local\n", encoding="utf-8")
    (folder / "config/studies/local.yaml").write_text(yaml.safe_dump(LOCAL, sort_keys=False), encoding="utf-8")
    for name in ("prompts/sft", "prompts/rl", "solutions/train", "questions/sums", "questions/algebra"):
        write_jsonl(folder / f"data/{name}.jsonl", [{"question": f"Of {name}?", "answer": "4", "thinking": "2 + 2"}])
    pretend_finished(folder)
    return folder


@contextmanager
def overwritten(path: Path, content: bytes) -> Iterator[None]:
    """The file with another content, written in place: its folder does not notice. Afterwards as it was."""
    kept = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(kept)


def appended(path: Path):
    return overwritten(path, path.read_bytes() * 2)


def test_an_appended_row_reruns_what_reads_it(local):
    with appended(local / "data/solutions/train.jsonl"):
        again = planned(local)
    assert {"data/experts.jsonl", "runs/sft_light/seed-0/model", "runs/chord_phi/seed-1/model", "report.html"} <= again
    assert not {output for output in again if output.startswith(("runs/original", "data/benchmarks", "data/sft"))}


def test_an_edited_benchmark_file_reruns_that_benchmark(local):
    with appended(local / "data/questions/sums.jsonl"):
        again = planned(local)
    assert {"data/benchmarks/gsm8k.jsonl", "runs/original/seed-0/gsm8k.scores.parquet"} <= again
    assert "data/benchmarks/math500.jsonl" not in again  # a file of the same folder that was not touched


@pytest.mark.parametrize("name", ["sft", "rl"])
def test_an_edited_file_of_prompts_reruns_the_training(local, name):
    with appended(local / f"data/prompts/{name}.jsonl"):
        again = planned(local)
    assert {"data/sft.jsonl", "data/rl.jsonl", "runs/chord_phi/seed-0/model"} <= again
    assert not {output for output in again if output.startswith(("runs/original", "data/benchmarks"))}


def test_a_further_file_of_a_dataset_is_noticed(local):
    further = local / "data/questions/sums-2.jsonl"
    write_jsonl(further, [{"question": "One more?", "answer": "1"}])
    try:
        assert "data/benchmarks/gsm8k.jsonl" in planned(local)
    finally:
        further.unlink()


def test_weights_written_in_place_rerun_what_starts_from_them(local):
    weights = local / MODEL / "model.safetensors"
    kept = weights.stat()
    with overwritten(weights, weights.read_bytes()[:-1] + b"\1"):  # as many bytes as before
        os.utime(weights, ns=(kept.st_atime_ns, kept.st_mtime_ns))
        again = planned(local)
    assert {"runs/original/seed-0/gsm8k.completions.parquet", "runs/sft_light/seed-0/model"} <= again
    assert not {output for output in again if output.startswith("data/")}  # they read the tokenizer only


def test_another_chat_template_reruns_experts_and_training(local):
    with appended(local / MODEL / "chat_template.jinja"):
        again = planned(local)
    assert {"data/experts.jsonl", "runs/sft_light/seed-0/model"} <= again
    assert not {output for output in again if output.startswith("data/benchmarks")}


def test_files_that_no_job_reads_rerun_nothing(local):
    for name in (f"{MODEL}/README.md", "data/questions/README.md", f"{MODEL}/.cache"):
        (local / name).write_bytes(b"other words")
    assert not planned(local)


def test_the_same_bytes_anew_rerun_nothing_and_are_hashed_once(local):
    """As after `git checkout`, `cp -r`, `touch`: other times, other inodes, the same content."""
    for name in ("data", "models", "config"):
        (local / name).rename(local / "before")
        shutil.copytree(local / "before", local / name, copy_function=shutil.copy)
        shutil.rmtree(local / "before")
        for path in (local / name).rglob("*"):
            path.touch()
    assert not planned(local)
    manifests = {path: path.stat().st_mtime_ns for path in (local / ".snakemake/contents").glob("*.json")}
    assert {read_json(path)["folder"] for path in manifests} == {
        str(local / name) for name in (MODEL, "data/prompts", "data/questions", "data/solutions")
    }
    assert not planned(local)
    assert manifests == {path: path.stat().st_mtime_ns for path in manifests}
    with appended(local / "data/questions/sums.jsonl"):
        assert planned(local)


def test_a_file_that_is_gone_is_noticed(local):
    """The job that reads it says in a line that it is not there."""
    (local / "data/questions/sums.jsonl").rename(local / "data/kept")
    try:
        assert "data/benchmarks/gsm8k.jsonl" in planned(local)
    finally:
        (local / "data/kept").rename(local / "data/questions/sums.jsonl")


# A study that primes its model, on questions of BFCL in a local folder.

PRIMING = {
    "base": "smoke",
    "data": {
        "source": {"kind": "bfcl", "folder": "data/bfcl", "categories": ["simple"], "task": "bfcl_call"},
        "priming": 8,
    },
    "experts": {"source": {"kind": "official"}},
    "priming": {
        "experts": {"source": {"kind": "official", "style": "terse"}, "max_response_tokens": 64},
        "stage": {"epochs": 1, "keep": "last"},
        "gates": {"samples": 2},
    },
    "seeds": 1,
    "methods": {"rl": {}, "rl_unprimed": {}},
    "comparisons": {
        "main": {
            "methods": ["original", "sft_best", "rl", "rl_unprimed"],
            "references": ["rl"],
            "tables": ["table1"],
            "figures": [],
        },
        "phase_phi": None,
    },
    "claims": None,
    "tuning": None,
}
CONFIG = ("--config", "study=primed")


@pytest.fixture(scope="module")
def primed(tmp_path_factory) -> Path:
    """A checkout in which that study is finished."""
    folder = copy_checkout(tmp_path_factory.mktemp("primed"))
    (folder / "config/studies/primed.yaml").write_text(yaml.safe_dump(PRIMING, sort_keys=False), encoding="utf-8")
    bfcl_folder(folder / "data/bfcl", [(f"Question {number}?", [function(f"f{number}", "a")]) for number in range(9)])
    pretend_finished(folder, "main", *CONFIG)
    return folder


def again(folder: Path, old: str, new: str) -> set[str]:
    with edited(folder / "config/studies/primed.yaml", old, new):
        return planned(folder, "main", *CONFIG)


def test_a_further_seed_does_not_prime_again(primed):
    outputs = again(primed, "\nseeds: 1\n", "\nseeds: 2\n")
    assert {run.split("/")[1] for run in runs(outputs)} == {"seed-1"}
    assert not {output for output in outputs if output.startswith("priming/")}


def test_other_gates_are_measured_again_and_train_nothing(primed):
    outputs = again(primed, "samples: 2", "samples: 3")
    assert "priming/gates.json" in outputs
    assert not {output for output in outputs if output.endswith(("model", "completions.parquet"))}


def test_another_priming_trains_what_starts_from_it(primed):
    outputs = again(primed, "epochs: 1", "epochs: 2")
    assert {"priming/model", "priming/gates.json", "runs/rl/seed-0/model", "runs/sft_best/seed-0/model"} <= outputs
    assert "runs/original/seed-0/world_test.completions.parquet" in outputs
    assert "rl_unprimed" not in methods(outputs)
