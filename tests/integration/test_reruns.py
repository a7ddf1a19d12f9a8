"""What runs again after an edit, from the jobs that Snakemake plans. No job runs: every output is there, empty."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.workflow import copy_checkout, planned, pretend_finished

pytestmark = pytest.mark.slow
STUDY = "config/studies/tiny.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A checkout whose default study is finished, with one seed: recording a job as done takes 0.1 s."""
    folder = copy_checkout(tmp_path_factory.mktemp("checkout"))
    study = folder / STUDY
    study.write_text(study.read_text(encoding="utf-8").replace("\nseeds: 3 ", "\nseeds: 1 "), encoding="utf-8")
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
    with edited(finished / "config/methods/chord_phi.yaml", "value: 0.1", "value: 0.2"):
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


@pytest.mark.parametrize("module", ["figures", "tables", "report"])
def test_code_of_figures_tables_and_report_retrains_nothing(finished, module):
    path = finished / f"src/chord/analysis/{module}.py"
    with edited(path, text := path.read_text(encoding="utf-8"), text + "\n# another line\n"):
        again = planned(finished)
    assert {"main/figures/fig4.png", "main/tables/table1.csv", "report.html"} <= again
    assert not runs(again)
    assert not {output for output in again if output.startswith("data/")}


def test_code_of_training_reruns_nothing_by_itself(finished):
    """A run's manifest names the code that made it; to train again is a decision (docs/workflow.md)."""
    path = finished / "src/chord/training/hybrid.py"
    with edited(path, text := path.read_text(encoding="utf-8"), text + "\n# another line\n"):
        assert not planned(finished)


def test_a_further_seed_trains_that_seed_only(finished):
    with edited(finished / STUDY, "\nseeds: 1 ", "\nseeds: 2 "):
        again = planned(finished)
    assert {run.split("/")[1] for run in runs(again)} == {"seed-1"}
    assert {"chord_mu", "rl", "sft_best", "mu_0.1"} <= methods(again)
    assert {"main/cells.parquet", "main/figures/fig4.png", "report.html"} <= again


def test_a_benchmark_trains_nothing(finished):
    with edited(finished / "config/benchmarks/skills.yaml", "k: 2", "k: 3"):
        again = planned(finished)
    assert not {output for output in again if output.endswith(("/model", "world_test.completions.parquet"))}
    assert "runs/original/seed-0/skills.completions.parquet" in again
