"""Figures: the right curve is drawn, seeds are averaged, bytes repeat."""

import json
from pathlib import Path

import numpy as np
import pytest

from chord.analysis.catalogue import FIGURES
from chord.analysis.figures import plot
from chord.analysis.figures.looks import LOOKS, OWN, looks
from chord.analysis.figures.run_curves import curve, read_curves, running_mean
from chord.errors import UserError
from tests.helpers import fake_study

TITLES = {name: title for name, (title, _, _) in fake_study.METHODS.items()} | {"mix_is": "μ with IS"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("study")
    fake_study.make(root, n_questions=3, steps=60)
    return root


def folders(root: Path, *methods: str) -> list[Path]:
    return [folder for method in methods for folder in sorted((root / "runs" / method).iterdir())]


def spec(name: str) -> dict:
    found = {"name": name, "methods": [{"name": m, "title": TITLES.get(m, m)} for m in shown(name)]}
    return found | ({"chains": {m: fake_study.CHAINS[m] for m in shown(name)}} if name == "frontier" else {})


def shown(name: str) -> list[str]:
    return list(FIGURES[name].methods) or [method for method, chain in fake_study.CHAINS.items() if chain]


def curves_file(root: Path, method: str, seed: int, text: str) -> Path:
    folder = root / "runs" / method / f"seed-{seed}"
    folder.mkdir(parents=True)
    (folder / "curves.csv").write_text(text)
    return folder


@pytest.mark.parametrize("name", [name for name, figure in FIGURES.items() if not figure.shows_cells])
def test_every_figure(root: Path, tmp_path: Path, name: str) -> None:
    runs = folders(root, *shown(name))
    plot.run(spec(name), tmp_path / "one", runs)
    if name in ("fig4", "frontier"):  # one of each kind: the others are written in the same way
        plot.run(spec(name), tmp_path / "two", runs[::-1])
    for kind, start in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        data = (tmp_path / "one" / f"{name}.{kind}").read_bytes()
        assert data.startswith(start)
        assert len(data) > 8000
        for again in tmp_path.glob(f"two/{name}.{kind}"):
            assert again.read_bytes() == data
    record = json.loads((tmp_path / "one" / f"{name}.manifest.json").read_text())
    assert (FIGURES[name].paper or FIGURES[name].title) in record["caption"]
    assert "standard deviation" in record["caption"]
    assert all(TITLES.get(method, method) in record["alt"] for method in shown(name))
    files = 2 if name == "frontier" else 1  # which step a start delivered stands in its manifest
    assert len(record["inputs"]) == 3 * len(shown(name)) * files


def test_what_is_drawn_is_the_mean_over_seeds(root: Path) -> None:
    definition = FIGURES["fig7"]
    runs = {name: [read_curves(folder) for folder in folders(root, name)] for name in definition.methods}
    figure, *_ = plot.draw_curves(definition, runs, {name: name for name in definition.methods})
    (axis,) = figure.axes
    lines = {line.get_label(): line for line in axis.get_lines() if not line.get_label().startswith("_")}
    assert list(lines) == list(definition.methods)
    for name, line in lines.items():
        accuracy = [run.columns["validation_accuracy"] for run in runs[name]]
        there = ~np.isnan(accuracy[0])
        np.testing.assert_allclose(line.get_ydata(), 100 * np.mean(accuracy, axis=0)[there])
        np.testing.assert_allclose(line.get_xdata(), runs[name][0].columns["step"][there])
    looks = {(line.get_color(), str(line.get_linestyle()), line.get_marker()) for line in lines.values()}
    markers = {line.get_marker() for line in lines.values()}
    assert len(looks) == len(markers) == len(definition.methods)  # told apart without colour
    (legend,) = figure.legends
    figure.draw_without_rendering()
    assert legend.get_window_extent().y0 >= axis.get_window_extent().y1  # above the data, not on it


def test_seeds_are_lined_up_at_common_steps(tmp_path: Path) -> None:
    one = curves_file(tmp_path, "rl", 1, "step,entropy\n0,\n1,0.5\n2,0.4\n3,0.3\n")
    two = curves_file(tmp_path, "rl", 0, "step,entropy\n0,\n1,0.7\n2,0.8\n")
    found = curve([read_curves(one), read_curves(two)], "step", "entropy")
    assert found.seeds == (0, 1)
    assert found.x.tolist() == [1, 2]
    assert found.mean.tolist() == pytest.approx([0.6, 0.6])
    assert found.deviation.tolist() == pytest.approx([np.sqrt(0.02), np.sqrt(0.08)])


def test_one_seed_has_no_band_and_the_caption_says_so(tmp_path: Path) -> None:
    rows = "".join(f"{step},{step / 10},{0.3 + step / 100}\n" for step in range(8))
    one = curves_file(tmp_path, "sft_best", 0, "step,epoch,validation_accuracy\n" + rows)
    figure, caption, alt = plot.draw_curves(FIGURES["fig2"], {"sft_best": [read_curves(one)]}, {"sft_best": "SFT-best"})
    assert "One seed." in caption
    assert alt.endswith("SFT-best: from 30 to 37.")
    assert not figure.axes[0].collections
    assert len(figure.axes[0].get_lines()) == 1


def test_a_method_looks_the_same_in_every_figure_and_others_differ() -> None:
    for definition in FIGURES.values():
        for method, look in looks(definition.methods).items():
            assert look == LOOKS[OWN[method]]
    found = looks(["rl", "luffy", "mu_0.5", "sft_best_rl", "srft"])  # mu_0.5 came first to the look both have
    assert found["rl"] == LOOKS[OWN["rl"]]
    assert found["mu_0.5"] == LOOKS[OWN["mu_0.5"]]
    assert len(set(found.values())) == 5
    assert looks(["chord_mu@paper", "rl"])["chord_mu@paper"] == looks(["chord_mu"])["chord_mu"]
    assert len(set(looks(["chord_mu", "chord_mu@paper"]).values())) == 2
    assert set(looks([f"method_{i}" for i in range(9)]).values()) == set(LOOKS)


def test_running_mean_by_hand() -> None:
    assert running_mean(np.array([1.0, 2.0, 6.0, 3.0]), 3).tolist() == pytest.approx([1.5, 3.0, 11 / 3, 4.5])
    assert running_mean(np.array([1.0, 2.0]), 1).tolist() == [1.0, 2.0]


def test_problems_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown figure 'fig99'"):
        plot.run(spec("fig7") | {"name": "fig99"}, tmp_path, folders(root, "rl"))
    with pytest.raises(UserError, match=r"'mu_0\.02'"):
        plot.run(spec("fig7"), tmp_path, folders(root, "rl", "chord_mu"))
    empty = curves_file(tmp_path, "rl", 0, "step,entropy\n1,\n")
    with pytest.raises(UserError, match="'entropy' is empty"):
        curve([read_curves(empty)], "step", "entropy")
    with pytest.raises(UserError, match="no column 'mu'"):
        curve([read_curves(empty)], "step", "mu")
    with pytest.raises(UserError, match="expected numbers"):
        read_curves(curves_file(tmp_path, "rl", 1, "step,entropy\n1,x\n"))
