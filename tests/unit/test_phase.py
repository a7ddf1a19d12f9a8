"""The phase diagram: its base models and methods in a study, its differences, its table and its figure."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from chord.analysis.cells import cell_files
from chord.analysis.figures import phase, phase_figure
from chord.analysis.figures.phase_map import measure
from chord.analysis.specs import PhaseSpec
from chord.analysis.tables import formats, phase_table
from chord.errors import UserError
from chord.objectives.schedules import Constant
from chord.plan import phase_jobs, plan_text
from chord.study import load_study
from tests.helpers import fake_study
from tests.helpers.study_files import METHODS, STUDY_FILE, Root

SECTION = {"exposures": [0.02, 0.3], "base_steps": 40, "mu": [0.1, 0.9], "benchmark": "world"}
PHI = {"name": "power", "a": 1, "b": 1}


@pytest.fixture
def root(tmp_path):
    """The small study with the methods of the diagram; `decay` stands for CHORD-mu."""
    root = Root(tmp_path)
    root.write("config/methods/chord_mu.yaml", METHODS["decay"])
    stage = {"kind": "hybrid", "schedule": {"name": "constant", "mu": 0.1}, "token_weight": PHI}
    root.write("config/methods/chord_phi.yaml", {"title": "CHORD-ϕ", "paper": "Table 1", "stage": stage})
    root.set(STUDY_FILE, "methods", "chord_mu", value={"stage": {"schedule": {"decay": 4}}})
    root.set(STUDY_FILE, "methods", "chord_phi", value={})
    root.set(STUDY_FILE, "base_model", value={"steps": 100, "mixture": {"skills": 0.3}})
    root.set(STUDY_FILE, "phase_phi", value=SECTION)
    return root


def load(root):
    return load_study("small", root.path)


def test_base_models_differ_in_exposure_only(root):
    study = load(root)
    low, high = (study.phase_base_spec(name) for name in ("x0.02", "x0.3"))
    assert (low["mixture"].pop("exposure"), high["mixture"].pop("exposure")) == (0.02, 0.3)
    assert low == high
    assert (low["steps"], low["anneal_share"], low["gates"]["enforce"]) == (40, 1.0, False)
    assert low["mixture"]["skills"] == 0.3
    assert study.bases["x0.02"].anneal_from == 0


def test_methods_are_the_studys_own_from_another_base(root):
    study = load(root)
    names = {"rl", "chord_mu", "chord_phi-mu0.1", "chord_phi-mu0.9"}
    expected = {f"{method}@{base}{mu}" for base in study.bases for method, _, mu in (x.partition("-") for x in names)}
    expected = {name.replace("mu0", "-mu0") for name in expected}
    assert (
        {method.name for method in study.phase.methods} == expected == {name for name in study.methods if "@" in name}
    )
    for base in study.bases:
        for name in ("rl", "chord_mu"):
            assert study.train_spec(f"{name}@{base}", 0) == study.train_spec(name, 0)
        strong = study.methods[f"chord_phi@{base}-mu0.9"]
        assert study.start_of(strong.name) == base
        assert [step.name for step in study.chain(strong.name)] == [strong.name]
        assert strong.stage.schedule == Constant(mu=0.9)
        ours, theirs = study.train_spec(strong.name, 0), study.train_spec("chord_phi", 0)
        assert ours["stage"].pop("schedule") != theirs["stage"].pop("schedule")
        assert ours == theirs


def test_the_diagram_changes_no_other_job(root):
    def others(study):
        shown = [study.cells_spec("main"), study.report_spec(), study.table_spec("main", "table1")]
        return shown + [study.train_spec(name, 0) for name in study.methods if study.trains(name) and "@" not in name]

    with_it = others(load(root))
    root.delete(STUDY_FILE, "phase_phi")
    assert others(load(root)) == with_it
    assert load(root).phase is None


def test_its_cost_is_a_line_of_the_plan(root):
    study = load(root)
    assert {rule: len(minutes) for rule, minutes in phase_jobs(study).items()} == {
        "prepare": 1,
        "benchmark": 1,
        "experts": 1,
        "pretrain": 2,
        "train": 16,  # 2 base models x 4 methods x 2 seeds
        "generate": 16,
        "score": 16,
        "phase": 1,
    }
    # 40 steps x 32 rows x (6 + 4) tokens at 100/s = 128 s, and 30 s to start
    assert phase_jobs(study)["pretrain"] == pytest.approx([158 / 60] * 2)
    text = plan_text(study, cores=2)
    assert "chord_phi@" not in text
    (row,) = [line.split() for line in text.splitlines() if line.startswith("  phase_phi")]
    assert row[-4:-2] == ["16", "54"]


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("phase_phi", "mu"), [0.9, 0.1], r"phase_phi\.mu: expected ascending values, got \[0\.9, 0\.1\]"),
        (("phase_phi", "mu"), [0], r"phase_phi\.mu\.0: expected a value greater than 0, got 0"),
        (("phase_phi", "exposures"), [0.1, 0.1], r"phase_phi\.exposures: expected ascending values"),
        (("phase_phi", "benchmark"), "wordl", r"phase_phi\.benchmark: unknown benchmark of this study 'wordl'"),
        (("base_model",), None, "phase_phi: expected a section base_model too"),
        (("methods", "rl"), {"start_from": "sft"}, "phase_phi: expected rl to start from base, got sft"),
    ],
)
def test_problems_end_in_a_line(root, keys, value, message):
    root.set(STUDY_FILE, *keys, value=value)
    with pytest.raises(UserError, match=message):
        load(root)


def test_a_missing_method_is_named(root):
    root.delete(STUDY_FILE, "methods", "chord_phi")
    with pytest.raises(UserError, match="phase_phi: expected the method chord_phi among those of this study"):
        load(root)


MARKER_LOGP = {"x0.02": -3.4, "x0.06": -2.5, "x0.3": -0.8}


def diagram(mus=(0.1, 0.9)) -> dict:
    def method(name, title):
        return {"name": name, "title": title}

    return {
        "benchmark": "world",
        "title": "World",
        "decoding": "paper",
        "seeds": [0, 1, 2],
        "bases": [
            {
                "name": base,
                "exposure": float(base[1:]),
                "rl": method(f"rl@{base}", "RL"),
                "chord_mu": method(f"chord_mu@{base}", "CHORD-μ"),
                "chord_phi": [{"mu": mu, "method": method(f"chord_phi@{base}-mu{mu:g}", "CHORD-ϕ")} for mu in mus],
            }
            for base in MARKER_LOGP
        ],
    }


def chance(method: str) -> float:
    """RL and CHORD-mu .5 everywhere; CHORD-phi the better the larger mu and exposure."""
    if not method.startswith("chord_phi"):
        return 0.5
    exposure, mu = (float(part) for part in method.partition("@x")[2].split("-mu"))
    return 0.5 + 1.2 * exposure * mu


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, list[Path], list[Path]]:
    """Results of a diagram: the folder, the scores and the base models."""
    folder = tmp_path_factory.mktemp("phase")
    rng = np.random.default_rng(3)
    scores = []
    for method in [method.name for method in PhaseSpec.model_validate(diagram()).methods]:
        for seed in range(3):
            correct = {f"q{i:03d}": list((rng.random(4) < chance(method)).astype(int)) for i in range(150)}
            path = folder / "runs" / method / f"seed-{seed}" / "world.scores.parquet"
            frame = fake_study.score_frame(correct, tokens=20 + round(40 * (chance(method) - 0.5)))
            scores.append(fake_study.write_scores(path, frame, method=method, seed_index=seed, benchmark="world", k=4))
    bases = []
    for base, logp in MARKER_LOGP.items():
        bases.append(folder / "bases" / base)
        bases[-1].mkdir(parents=True)
        (bases[-1] / "manifest.json").write_text(json.dumps({"gates": {"marker_logp": logp}}))
    return folder, scores, bases


def test_differences_are_within_one_base_model(made):
    _, scores, bases = made
    found = measure(PhaseSpec.model_validate(diagram()), scores, bases)
    pairs = {(row["method"], row["reference"]) for row in found.differences}
    # each base model: 2 x CHORD-phi and CHORD-mu against RL, 2 x CHORD-phi against CHORD-mu; no pair twice
    assert len(pairs) == 3 * 5
    for method, reference in pairs:
        assert method.partition("@")[2].partition("-")[0] == reference.partition("@")[2]
        assert (reference, method) not in pairs
    family = [row for row in found.differences if row["metric"] == "accuracy"]
    assert min(row["p_holm"] / row["p"] for row in family if row["p_holm"] < 1) >= 1
    assert max(row["p_holm"] / row["p"] for row in family) == pytest.approx(15)
    base = found.spec.bases[2]
    expected = (
        found.cell(base.chord_phi[1].method, "accuracy")["estimate"] - found.cell(base.rl, "accuracy")["estimate"]
    )
    assert found.difference(base.chord_phi[1].method, base.rl)["estimate"] == pytest.approx(expected)


def test_table_has_a_row_for_each_base_model_and_mu(made):
    _, scores, bases = made
    found = measure(PhaseSpec.model_validate(diagram()), scores, bases)
    table = phase_table.build(found)
    assert table.header == ("Exposure", "log p of markers", "μ", "CHORD-ϕ", "minus RL", "minus CHORD-μ")
    assert [row[:3] for row in table.rows] == [
        (exposure, logp, mu)
        for exposure, logp in (("0.02", "−3.40"), ("0.06", "−2.50"), ("0.3", "−0.80"))
        for mu in ("0.1", "0.9")
    ]
    strong = found.difference(found.spec.bases[2].chord_phi[1].method, found.spec.bases[2].rl)
    assert strong["low"] > 0.1  # the truth is .3 x .9 x 1.2 = 32 points
    assert (table.rows[-1][4].marks == "*") == (strong["p_holm"] < 0.05)
    assert "a family of 15 comparisons" in table.caption
    lines = list(csv.DictReader(io.StringIO(formats.csv_text(table))))
    assert len(lines) == 3 * 2 * 3
    last = lines[-2]
    assert (last["reference"], last["exposure"], last["marker_logp"], last["mu"]) == ("rl@x0.3", "0.3", "-0.8", "0.9")
    assert float(last["estimate"]) == strong["estimate"]


def test_what_is_drawn_are_the_differences(made):
    _, scores, bases = made
    found = measure(PhaseSpec.model_validate(diagram()), scores, bases)
    figure, caption = phase_figure.draw(found)
    against_rl, against_mu, accuracy, length = figure.axes[:4]
    for axis, reference in ((against_rl, "rl"), (against_mu, "chord_mu")):
        (image,) = axis.get_images()
        expected = [
            [
                found.difference(base.chord_phi[place].method, getattr(base, reference))["estimate"]
                for base in found.spec.bases
            ]
            for place in range(2)
        ]
        np.testing.assert_allclose(image.get_array(), expected)
        assert image.norm.vmin == -image.norm.vmax  # no difference has the colour of the middle
    framed = [patch for patch in against_rl.patches if not patch.get_fill()]
    excludes = [
        row
        for base in found.spec.bases
        for point in base.chord_phi
        if (row := found.difference(point.method, base.rl))["low"] > 0 or row["high"] < 0
    ]
    assert len(framed) == len(excludes) > 0
    assert [label.get_text() for label in accuracy.get_yticklabels()] == [
        "RL",
        "CHORD-μ",
        "CHORD-ϕ, μ = 0.1",
        "CHORD-ϕ, μ = 0.9",
    ]
    assert [label.get_text() for label in accuracy.get_xticklabels()] == ["0.02\n−3.40", "0.06\n−2.50", "0.3\n−0.80"]
    assert length.get_images()[0].get_array()[3, 2] > length.get_images()[0].get_array()[0, 2]
    assert "Seeds: 3." in caption


def test_command_writes_the_same_bytes_twice(made, tmp_path):
    _, scores, bases = made
    for name, order in (("one", scores), ("two", scores[::-1])):
        phase.run(diagram(), order, bases, tmp_path / name)
    for path in ("tables/phase_phi.csv", "tables/phase_phi.md", "tables/phase_phi.tex"):
        assert (tmp_path / "one" / path).read_text() == (tmp_path / "two" / path).read_text()
    for kind, start in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        data = (tmp_path / f"one/figures/phase_phi.{kind}").read_bytes()
        assert data.startswith(start)
        assert data == (tmp_path / f"two/figures/phase_phi.{kind}").read_bytes()
    cells, record = cell_files.read(tmp_path / "one/cells.parquet")
    assert {cell["method"] for cell in cells} == {method.name for method in PhaseSpec.model_validate(diagram()).methods}
    assert record["marker_logp"] == MARKER_LOGP
    assert "bases/x0.3/manifest.json" in record["inputs"]


def test_a_run_without_scores_is_listed_and_leaves_its_place_empty(made, tmp_path):
    _, scores, bases = made
    gone = "chord_phi@x0.06-mu0.9"
    phase.run(diagram(), [path for path in scores if path.parts[-3] != gone], bases, tmp_path)
    _, record = cell_files.read(tmp_path / "cells.parquet")
    assert record["missing"] == [{"benchmark": "world", "method": gone, "seeds": [0, 1, 2]}]
    (row,) = [
        line for line in (tmp_path / "tables/phase_phi.md").read_text().splitlines() if "0.06 | −2.50 | 0.9" in line
    ]
    assert row.endswith("| – | – | – |")


def test_wrong_inputs_are_named(made):
    _, scores, bases = made
    spec = PhaseSpec.model_validate(diagram())
    with pytest.raises(UserError, match=r"base model x0\.3: its folder is not among those given"):
        measure(spec, scores, bases[:2])
    with pytest.raises(UserError, match="expected scores on skills and no other benchmark, got world"):
        measure(spec.model_copy(update={"benchmark": "skills"}), scores, bases)
