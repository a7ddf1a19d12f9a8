"""A comparison over two axes: its base models and methods in a study, its differences and its figure."""

import json
from pathlib import Path

import numpy as np
import pytest

from chord.analysis.cells import cell_files, estimates
from chord.analysis.figures import plot
from chord.analysis.figures.grid import draw_grid
from chord.analysis.specs import FigureSpec, Grid
from chord.analysis.tables import tabulate
from chord.errors import UserError
from chord.plan import jobs, plan_text
from chord.study import load_study
from tests.helpers import fake_study
from tests.helpers.study_files import METHODS, STUDY_FILE, Root

REFERENCE = Path(__file__).parents[2] / "results/reference/tiny/phase_phi"
BASES = {"x0.02": {"steps": 40, "mixture": {"exposure": 0.02}}, "x0.3": {"steps": 40, "mixture": {"exposure": 0.3}}}
GRID = {
    "method": "chord_phi",
    "rows": {"setting": "schedule.mu", "values": [0.1, 0.9], "title": "μ"},
    "columns": {"setting": "start_from", "values": ["x0.02", "x0.3"], "title": "base model"},
}
PLACE = ("comparisons", "phase")
COMPARISON = {
    "title": "Where it works",
    "paper": "none",
    "grid": GRID,
    "references": ["rl", "chord_mu"],
    "benchmarks": ["world"],
    "tables": ["table1", "table1_differences"],
    "figures": ["grid"],
    "on_demand": True,
}


@pytest.fixture
def root(tmp_path):
    """The small study with a grid of CHORD-phi; `decay` stands for CHORD-mu."""
    root = Root(tmp_path)
    root.write("config/methods/chord_mu.yaml", METHODS["decay"])
    weight = {"name": "power", "a": 1, "b": 1}
    stage = {"kind": "hybrid", "schedule": {"name": "constant", "mu": 0.1}, "token_weight": weight}
    root.write("config/methods/chord_phi.yaml", {"title": "CHORD-ϕ", "paper": "Table 1", "stage": stage})
    root.set(STUDY_FILE, "methods", "chord_mu", value={"stage": {"schedule": {"decay": 4}}})
    root.set(STUDY_FILE, "methods", "chord_phi", value={})
    root.set(STUDY_FILE, "base_model", value={"steps": 100, "mixture": {"skills": 0.3}})
    root.set(STUDY_FILE, "bases", value=BASES)
    root.set(STUDY_FILE, "comparisons", "phase", value=COMPARISON)
    return root


def load(root):
    return load_study("small", root.path)


def test_base_models_differ_in_what_they_change_only(root):
    study = load(root)
    low, high = (study.base_spec(name) for name in BASES)
    assert (low["mixture"].pop("exposure"), high["mixture"].pop("exposure")) == (0.02, 0.3)
    assert low == high
    assert (low["steps"], low["anneal_share"], low["gates"]["enforce"]) == (40, 1.0, False)
    assert low["mixture"]["skills"] == 0.3
    assert study.bases["x0.02"].anneal_from == 0


def test_a_method_may_start_from_a_further_base_without_a_grid(root):
    root.delete(STUDY_FILE, "comparisons", "phase")
    root.set(STUDY_FILE, "methods", "chord_phi", value={"start_from": "x0.3"})
    study = load(root)
    assert study.start_of("chord_phi") == "x0.3"
    assert [step.name for step in study.chain("chord_phi")] == ["chord_phi"]


def test_methods_are_the_studys_own_with_the_values_of_their_place(root):
    study = load(root)
    assert study.comparisons["phase"].methods == [
        f"{name}@{base}{row}"
        for base in BASES
        for name, row in (("rl", ""), ("chord_mu", ""), ("chord_phi", "-mu0.1"), ("chord_phi", "-mu0.9"))
    ]
    for base in BASES:
        for name in ("rl", "chord_mu"):
            assert study.train_spec(f"{name}@{base}", 0) == study.train_spec(name, 0)
        strong = study.methods[f"chord_phi@{base}-mu0.9"]
        assert study.start_of(strong.name) == base
        assert strong.title == f"CHORD-ϕ, from {base}, μ = 0.9"
        ours, theirs = study.train_spec(strong.name, 0), study.train_spec("chord_phi", 0)
        assert ours["stage"]["schedule"].pop("mu") == 0.9
        theirs["stage"]["schedule"].pop("mu")
        assert ours == theirs


def test_columns_may_be_a_setting_of_the_stage_too(root):
    columns = {"setting": "optimizer.lr", "values": [0.001, 0.002]}
    root.set(STUDY_FILE, "comparisons", "phase", "grid", "columns", value=columns)
    study = load(root)
    assert study.train_spec("rl@lr0.002", 0)["stage"]["optimizer"]["lr"] == 0.002
    stage = study.train_spec("chord_phi@lr0.001-mu0.9", 0)["stage"]
    assert (stage["optimizer"]["lr"], stage["schedule"]["mu"]) == (0.001, 0.9)
    assert study.figure_spec("phase", "grid")["grid"]["columns"]["labels"] == ["lr = 0.001", "lr = 0.002"]


def test_columns_may_be_the_model_before_and_after_its_priming(root):
    columns = {"setting": "start_from", "values": ["base", "unprimed"]}
    root.set(STUDY_FILE, "comparisons", "phase", "grid", "columns", value=columns)
    study = load(root)
    assert [study.start_of(f"rl@{start}") for start in columns["values"]] == [None, "unprimed"]


def test_what_is_on_demand_changes_no_other_job(root):
    def others(study):
        shown = [
            study.cells_spec("main"),
            study.report_spec(),
            study.claims_spec("all"),
            study.table_spec("main", "table1"),
        ]
        return shown + [study.train_spec(name, 0) for name in study.methods if study.trains(name) and "@" not in name]

    with_it = others(load(root))
    root.delete(STUDY_FILE, "comparisons", "phase")
    assert others(load(root)) == with_it


def test_its_tables_and_cells_are_of_its_benchmarks_and_pairs(root):
    study = load(root)
    cells = study.cells_spec("phase")
    assert set(cells["decodings"]) == {"world"}
    assert cells["pairs"] == [list(pair) for pair in study.grids["phase"].pairs]
    table = study.table_spec("phase", "table1_differences")
    assert {column["benchmark"] for column in table["columns"]} == {"world"}
    assert table["pairs"] == cells["pairs"]


def test_its_cost_is_a_line_of_the_plan(root):
    study = load(root)
    planned = jobs(study, ["phase"])
    assert {rule: len(minutes) for rule, minutes in planned.items()} == {
        "prepare": 1,
        "benchmark": 1,
        "experts": 1,
        "pretrain": 3,  # the study's own is not there
        "train": 16,  # 2 base models x 4 methods x 2 seeds
        "generate": 16,
        "score": 16,
        "cells": 1,
        "table": 2,
        "figure": 1,
        "claims": 0,
        "report": 0,
    }
    # 40 steps x 32 rows x (6 + 4) tokens at 100/s = 128 s, and 30 s to start
    assert planned["pretrain"][:2] == pytest.approx([158 / 60] * 2)
    text = plan_text(study, cores=2)
    assert "chord_phi@" not in text
    (row,) = [line.split() for line in text.splitlines() if line.startswith("  phase")]
    assert row[-4:-2] == ["16", "58"]


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ((*PLACE, "grid", "rows", "values"), [], r"phase\.grid\.rows\.values: "),
        ((*PLACE, "grid", "rows", "values"), [0.1, 0.1], r"phase\.grid\.rows\.values: .*twice"),
        ((*PLACE, "grid", "rows", "values"), [2.0], r"phase\.grid\.rows\.schedule\.mu: .*2\.0"),
        ((*PLACE, "grid", "rows", "setting"), "schedule.vlaue", r"phase\.grid\.rows\.schedule\.vlaue: unknown key"),
        ((*PLACE, "grid", "columns", "values"), ["x0.03"], r"columns\.values: unknown start 'x0\.03'.*x0\.3"),
        ((*PLACE, "grid", "method"), "chord_ph", r"grid\.method: unknown method .*did you mean 'chord_phi'"),
        ((*PLACE, "grid", "method"), "original", r"grid\.columns: expected methods that train"),
        ((*PLACE, "references"), ["r"], r"phase\.references: unknown method of this study 'r'"),
        ((*PLACE, "benchmarks"), ["wordl"], r"phase\.benchmarks: .*did you mean 'world'"),
        ((*PLACE, "methods"), ["rl"], r"phase\.methods: expected .*grid"),
        ((*PLACE, "protocol"), "paper", r"phase\.protocol: expected none"),
        (("comparisons", "main", "figures"), ["grid"], r"main\.figures: grid shows a grid"),
        (("base_model",), None, "bases: expected a section base_model too"),
        (("bases", "rl"), {}, r"bases\.rl: expected a name"),
        (("bases", "x0.3", "mixture", "exposuer"), 0.3, r"bases\.x0\.3\.mixture\.exposuer: unknown key"),
    ],
)  # fmt: skip
def test_problems_end_in_a_line(root, keys, value, message):
    root.set(STUDY_FILE, *keys, value=value)
    with pytest.raises(UserError, match=message):
        load(root)


COLUMNS = ("x0.02", "x0.06", "x0.3")
MUS = (0.1, 0.9)
WORLD = [{"benchmark": "world", "title": "World"}]


def grid_of(columns=COLUMNS, mus=MUS) -> dict:
    return {
        "title": "CHORD-ϕ",
        "rows": {"title": "μ", "labels": [f"μ = {mu:g}" for mu in mus]},
        "columns": {"title": "base model", "labels": list(columns)},
        "methods": [[f"chord_phi@{base}-mu{mu:g}" for mu in mus] for base in columns],
        "references": [
            {"title": title, "methods": [f"{name}@{base}" for base in columns]}
            for name, title in (("rl", "RL"), ("chord_mu", "CHORD-μ"))
        ],
    }


def shown(grid: dict) -> list[dict]:
    names = [name for column in grid["methods"] for name in column]
    names += [name for reference in grid["references"] for name in reference["methods"]]
    return [{"name": name, "title": name} for name in names]


def figure_spec(columns: list[dict] = WORLD) -> dict:
    return {"name": "grid", "methods": shown(grid_of()), "grid": grid_of(), "columns": columns}


def chance(method: str) -> float:
    """RL and CHORD-mu .5 everywhere; CHORD-phi the better the larger mu and exposure."""
    if not method.startswith("chord_phi"):
        return 0.5
    exposure, mu = (float(part) for part in method.partition("@x")[2].split("-mu"))
    return 0.5 + 1.2 * exposure * mu


def measure(scores: list[Path], out: Path) -> Path:
    spec = {"comparison": "phase", "methods": shown(grid_of()), "pairs": Grid.model_validate(grid_of()).pairs}
    estimates.run(spec | {"seeds": [0, 1, 2], "decodings": {"world": "paper"}}, scores, out)
    return out


@pytest.fixture(scope="module")
def scores(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("grid")
    rng = np.random.default_rng(3)
    paths = []
    for method in [method["name"] for method in shown(grid_of())]:
        for seed in range(3):
            correct = {f"q{i:03d}": list((rng.random(4) < chance(method)).astype(int)) for i in range(90)}
            path = folder / "runs" / method / f"seed-{seed}" / "world.scores.parquet"
            frame = fake_study.score_frame(correct, tokens=20 + round(40 * (chance(method) - 0.5)))
            paths.append(fake_study.write_scores(path, frame, method=method, seed_index=seed, benchmark="world", k=4))
    return paths


@pytest.fixture(scope="module")
def made(scores, tmp_path_factory) -> Path:
    return measure(scores, tmp_path_factory.mktemp("cells"))


def rows_of(folder: Path) -> tuple[list[dict], list[dict]]:
    return tuple(cell_files.read(folder / f"{name}.parquet")[0] for name in ("cells", "differences"))


def test_differences_are_within_one_column(made):
    _, differences = rows_of(made)
    pairs = {(row["method"], row["reference"]) for row in differences}
    # each column: 2 x CHORD-phi and CHORD-mu against RL, 2 x CHORD-phi against CHORD-mu; no pair twice
    assert len(pairs) == 3 * 5
    for method, reference in pairs:
        assert method.partition("@")[2].partition("-")[0] == reference.partition("@")[2]
        assert (reference, method) not in pairs
    family = [row for row in differences if row["metric"] == "accuracy"]
    assert max(row["p_holm"] / row["p"] for row in family) == pytest.approx(15)


def test_the_pairs_are_those_of_the_committed_reference():
    _, differences = rows_of(REFERENCE)
    grid = Grid.model_validate(grid_of(("x0.005", "x0.05", "x0.2", "x0.5"), (0.05, 0.1, 0.3, 0.9)))
    assert list(dict.fromkeys((row["method"], row["reference"]) for row in differences)) == list(grid.pairs)


def test_what_is_drawn_are_the_estimates_and_the_differences(made):
    cells, differences = rows_of(made)
    levels = {(row["method"], row["metric"]): row["estimate"] for row in cells}
    pairs = {(row["method"], row["reference"]): row for row in differences if row["metric"] == "accuracy"}
    figure, caption, alt = draw_grid(FigureSpec.model_validate(figure_spec()), cells, differences)
    against_rl, against_mu, accuracy, length = figure.axes[:4]
    for axis, reference in ((against_rl, "rl"), (against_mu, "chord_mu")):
        (image,) = axis.get_images()
        expected = [
            [pairs[f"chord_phi@{base}-mu{mu:g}", f"{reference}@{base}"]["estimate"] for base in COLUMNS] for mu in MUS
        ]
        np.testing.assert_allclose(image.get_array(), expected)
        assert image.norm.vmin == -image.norm.vmax  # no difference has the colour of the middle
    framed = [patch for patch in against_rl.patches if not patch.get_fill()]
    of_phi = [row for (method, of), row in pairs.items() if method.startswith("chord_phi") and of.startswith("rl")]
    assert len(framed) == sum(row["low"] > 0 or row["high"] < 0 for row in of_phi) > 0
    labels = [label.get_text() for label in accuracy.get_yticklabels()]
    assert labels == ["RL", "CHORD-μ", "CHORD-ϕ, μ = 0.1", "CHORD-ϕ, μ = 0.9"]
    assert [label.get_text() for label in length.get_xticklabels()] == list(COLUMNS)
    assert accuracy.get_images()[0].get_array()[0, 1] == levels["rl@x0.06", "accuracy"]
    assert length.get_images()[0].get_array()[3, 2] == levels["chord_phi@x0.3-mu0.9", "response_tokens"]
    assert "Seeds: 3." in caption
    assert f"World, RL: {100 * levels['rl@x0.02', 'accuracy']:.1f}, " in alt


def test_benchmarks_stand_side_by_side(made):
    cells, differences = (rows + [row | {"benchmark": "other"} for row in rows] for rows in rows_of(made))
    spec = FigureSpec.model_validate(figure_spec([*WORLD, {"benchmark": "other", "title": "Other"}]))
    figure, *_ = draw_grid(spec, cells, differences)
    titles = [axis.get_title(loc="left") for axis in figure.axes[:8]]
    assert [title.partition(":")[0] for title in titles] == ["World", "Other"] * 4


@pytest.mark.slow
def test_the_commands_write_the_same_bytes_twice(scores, made, tmp_path):
    for name, folder in (("one", made), ("two", measure(scores[::-1], tmp_path / "cells"))):
        files = {kind: folder / f"{kind}.parquet" for kind in ("cells", "differences")}
        plot.run(figure_spec(), tmp_path / name, **files)
        table = {"name": "table1_differences", "methods": shown(grid_of()), "columns": WORLD}
        tabulate.run(table | {"pairs": Grid.model_validate(grid_of()).pairs}, tmp_path / name, **files)
    for file in ("grid.png", "grid.pdf", "table1_differences.csv", "table1_differences.html"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert len((tmp_path / "one/table1_differences.csv").read_text().splitlines()) == 1 + 15
    assert set(json.loads((tmp_path / "one/grid.manifest.json").read_text())["inputs"]) == {"cells", "differences"}


def test_a_run_without_scores_is_listed_and_leaves_its_place_empty(scores, tmp_path):
    gone = "chord_phi@x0.06-mu0.9"
    folder = measure([path for path in scores if path.parts[-3] != gone], tmp_path)
    _, record = cell_files.read(folder / "cells.parquet")
    assert record["missing"] == [{"benchmark": "world", "method": gone, "seeds": [0, 1, 2]}]
    *_, alt = draw_grid(FigureSpec.model_validate(figure_spec()), *rows_of(folder))
    (line,) = [line for line in alt.split(". ") if "μ = 0.9" in line]
    assert line.split(": ")[1].split(", ")[1] == "none"


def test_a_grid_needs_its_files():
    with pytest.raises(UserError, match="grid: needs the files of cells"):
        plot.run(figure_spec(), Path("nowhere"))
