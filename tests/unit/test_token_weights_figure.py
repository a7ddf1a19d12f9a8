"""The figure of token weights: the curves are the weights' own formula, the points the cells."""

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from chord.analysis.figures import plot
from chord.analysis.figures.token_weights import draw_token_weights
from chord.analysis.specs import FigureSpec
from chord.errors import UserError
from chord.objectives import AnyTokenWeight, ExpertTokens

PHI, TRSFT = {"name": "power", "a": 1, "b": 1}, {"name": "trsft", "alpha": 0.1}
WEIGHTS = {
    "mu_0.1": {"name": "one"},
    "phi_focal": {"name": "power", "a": 0, "b": 2},
    "mix_is": {"name": "power", "a": 1, "b": 0},
    "trsft": TRSFT,
    "trsft_equal": {"name": "equal_mass", "of": TRSFT, "mean": 0.1},
    "chord_phi": PHI,
    "phi_equal": {"name": "equal_mass", "of": PHI, "mean": 0.1},
    "phi_cutoff": PHI | {"cutoff_prob": 0.9},
    "k": {"name": "scaled_power", "k": 10},
    "clip": {"name": "is_clip", "limit": 0.4, "above": "clamp"},
    "eaft": {"name": "eaft", "normalisation": "paper"},
}
OF_P = [name for name, value in WEIGHTS.items() if value["name"] not in ("equal_mass", "eaft")]
WORLD = {"benchmark": "world", "title": "World"}


def spec(*methods: str, columns=(WORLD,)) -> FigureSpec:
    shown = [{"name": name, "title": name} for name in methods]
    weights = {name: WEIGHTS[name] for name in methods if name in WEIGHTS}
    return FigureSpec.model_validate(
        {"name": "token_weights", "methods": shown, "columns": columns, "token_weights": weights}
    )


def cell(method: str, estimate: float, benchmark: str = "world") -> dict:
    of = {"method": method, "benchmark": benchmark, "group": "all", "metric": "accuracy", "n_seeds": 3}
    return of | {"estimate": estimate, "low": estimate - 0.05, "high": estimate + 0.04}


CELLS = [cell(name, 0.3 + 0.05 * place) for place, name in enumerate(["rl", *WEIGHTS])]


@pytest.mark.parametrize("name", OF_P)
def test_a_curve_is_the_weight_that_training_uses(name):
    figure, *_ = draw_token_weights(spec(name), CELLS)
    (line,) = figure.axes[0].get_lines()
    odds = torch.from_numpy(line.get_xdata())
    weight = TypeAdapter(AnyTokenWeight).validate_python(WEIGHTS[name])
    expected = weight(ExpertTokens(torch.nn.functional.logsigmoid(odds))).numpy()
    drawn = line.get_ydata()
    there = ~np.isnan(drawn)
    assert there.sum() > 100
    np.testing.assert_allclose(drawn[there], expected[there], rtol=1e-9)
    assert (expected[~there] < 1.001e-3).all()


def test_a_weight_and_its_equal_mass_share_a_row_and_have_their_cells():
    methods = ("rl", "trsft", "trsft_equal", "phi_equal", "chord_phi", "eaft")
    figure, caption, alt = draw_token_weights(spec(*methods), CELLS)
    shapes, results = figure.axes
    assert [line.get_label() for line in shapes.get_lines()] == ["trsft", "phi_equal"]
    assert [label.get_text() for label in results.get_yticklabels()] == ["trsft", "phi_equal", "eaft"]
    points = [line for line in results.get_lines() if line.get_marker() not in ("None", None)]
    found = {(round(float(line.get_ydata()[0])), line.get_markerfacecolor() == "white"): line for line in points}
    levels = {row["method"]: 100 * row["estimate"] for row in CELLS}
    expected = {(0, False): "trsft", (0, True): "trsft_equal", (1, True): "phi_equal", (1, False): "chord_phi"}
    assert {place: line.get_xdata()[0] for place, line in found.items()} == {
        place: levels[name] for place, name in {**expected, (2, False): "eaft"}.items()
    }
    (vertical,) = [line for line in results.get_lines() if list(line.get_ydata()) == [0, 1]]
    assert vertical.get_xdata()[0] == levels["rl"]
    assert "(here 0.1)" in caption
    assert "no functions of p: eaft" in caption
    assert "World, trsft: 50.0." in alt


def test_a_cell_that_is_missing_leaves_its_place_empty():
    columns = [WORLD, {"benchmark": "skills", "title": "Skills"}]
    cells = [cell("trsft", 0.5), cell("chord_phi", 0.6, "skills")]
    figure, _, alt = draw_token_weights(spec("trsft", "chord_phi", columns=columns), cells)
    assert len(figure.axes) == 3
    assert "World, trsft: 50.0." in alt
    assert "Skills, trsft" not in alt


def test_it_needs_cells_and_weights(tmp_path):
    with pytest.raises(UserError, match="token_weights: needs the files of cells"):
        plot.run(spec("trsft").specification(), tmp_path)
    with pytest.raises(UserError, match="expected token weights"):
        draw_token_weights(spec("rl"), CELLS)
